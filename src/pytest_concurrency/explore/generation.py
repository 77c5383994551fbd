"""Programs drawn by Hypothesis, and the smallest one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.explore.case import Case, Step
from pytest_concurrency.explore.operations import Made, Operation
from pytest_concurrency.explore.snapshot import fingerprint

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_VALUES = (1, 2, 2, 3)
"""How many values an argument takes in one program, each as likely: few, so that calls meet."""

_BEFORE = (0, 0, 1, 2)
_AFTER = (0, 1, 2)
"""How many calls come before and after, each as likely; what went wrong often shows only after."""


class _Stop(BaseException):
    """Carries what is not a failing program past Hypothesis, which would make it smaller."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Failing(Exception):
    pass


def cases(
    operations: Mapping[str, Operation], *, workers: int, length: int
) -> SearchStrategy[Case]:
    """Return a strategy for programs.

    Args:
        operations: What can be called.
        workers: How many workers call at once.
        length: How many calls each makes at most.
    """
    from hypothesis import strategies as st

    @st.composite
    def case(draw: Callable[[Any], Any]) -> Case:
        drawing = _Calls(draw, operations)
        first = drawing.once("first")
        before = drawing.calls(_BEFORE)
        together = [drawing.calls([*range(1, length), *[length] * length]) for _ in range(workers)]
        after = [*drawing.calls(_AFTER), *drawing.once("last")]
        return Case(*together, before=[*first, *drawing.makers, *before], after=after)

    return case()


class _Calls:
    """Draws the calls of one program; arguments of one kind share a few values."""

    def __init__(self, draw: Callable[[Any], Any], operations: Mapping[str, Operation]) -> None:
        self._draw = draw
        self._operations = operations
        self._names = sorted(name for name, each in operations.items() if each.turn is None)
        self._pools: dict[str, list[Any]] = {}
        self._bundles: dict[str, list[Made]] = {}
        self.makers: list[Step] = []

    def once(self, turn: str) -> list[Step]:
        """Return a call of each operation that has its turn now."""
        return [self._call(name) for name, each in self._operations.items() if each.turn == turn]

    def calls(self, sizes: Sequence[int]) -> list[Step]:
        """Draw some calls, as many as one of the sizes says."""
        from hypothesis import strategies as st

        size = self._draw(st.sampled_from(sizes))
        return [self._call(self._draw(st.sampled_from(self._names))) for _ in range(size)]

    def _call(self, name: str) -> Step:
        return (name, *map(self._argument, self._operations[name].arguments))

    def _argument(self, strategy: Any) -> Any:
        from hypothesis import strategies as st
        from hypothesis.stateful import Bundle

        if isinstance(strategy, Bundle):
            return self._made(strategy)
        name = repr(strategy)
        if name not in self._pools:
            count = self._draw(st.sampled_from(_VALUES))
            values = [self._draw(strategy) for _ in range(count)]
            self._pools[name] = list({fingerprint(value): value for value in values}.values())
        return self._draw(st.sampled_from(self._pools[name]))

    def _made(self, bundle: Any) -> Made:
        """Refer to something that a call before all others puts into the bundle."""
        from hypothesis import strategies as st

        makers = [name for name in self._names if bundle.name in self._operations[name].makes]
        if not makers:
            self._draw(st.nothing())
        known = self._bundles.setdefault(bundle.name, [])
        if not known or self._draw(st.booleans()):
            maker = self._call(self._draw(st.sampled_from(makers)))
            known.append(Made(len(self.makers)))
            self.makers.append(maker)
        chosen: Made = self._draw(st.sampled_from(known))
        if getattr(bundle, "consume", False) or "Consumer" in type(bundle).__name__:
            known.remove(chosen)
        return chosen


def drawn_outside(strategy: SearchStrategy[Case]) -> tuple[Case, bool] | None:
    """Draw a program from the test that Hypothesis is running, if it runs one.

    Hypothesis then makes the program smaller together with the rest of that test's data.

    Returns:
        The program, and whether this is the run whose failure is shown.
    """
    import hypothesis

    if not hypothesis.currently_in_test_context():
        return None
    from hypothesis.control import current_build_context

    context = current_build_context()
    return context.data.draw(strategy), bool(getattr(context, "is_final", True))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How long to draw programs.

    Args:
        examples: How many to draw at most.
        seed: Same seed, same programs.
        deadline: When to stop drawing, by ``time.perf_counter``.
        patience: Seconds for making a failing program smaller.
    """

    examples: int
    seed: int
    deadline: float
    patience: float


def smallest_failing(
    strategy: SearchStrategy[Case], fails: Callable[[Case], bool], drawing: Drawing
) -> Case | None:
    """Draw programs until one fails, and return the smallest one that fails likewise.

    Args:
        strategy: Where programs come from.
        fails: Tells whether a program fails; asked once for each.
        drawing: How long.
    """
    import hypothesis
    from hypothesis.errors import Flaky

    judge = _Judge(fails, drawing)
    every: Any = list(hypothesis.HealthCheck)
    quiet = hypothesis.settings(
        max_examples=drawing.examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=every,
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=False,
    )

    def examine(case: Case) -> None:
        judge.examine(case)

    try:
        hypothesis.seed(drawing.seed)(quiet(hypothesis.given(strategy)(examine)))()
    except (_Failing, Flaky):
        return judge.failing
    except _Stop as stopped:
        raise stopped.error from None
    return None


class _Judge:
    """Asks for each program once whether it fails, and stops asking when the time is up."""

    def __init__(self, fails: Callable[[Case], bool], drawing: Drawing) -> None:
        self._fails = fails
        self._patience = drawing.patience
        self._until = drawing.deadline
        self._known: dict[Hashable, bool] = {}
        self.failing: Case | None = None

    def examine(self, case: Case) -> None:
        """Raise if the program fails."""
        name = fingerprint((case.before, case.workers, case.after))
        if name not in self._known:
            if time.perf_counter() > self._until:
                return
            self._known[name] = self._asked(case)
        if self._known[name]:
            self.failing = case
            raise _Failing

    def _asked(self, case: Case) -> bool:
        try:
            found = self._fails(case)
        except Exception as error:  # noqa: BLE001 - raised again outside of Hypothesis
            raise _Stop(error) from None
        if found and self.failing is None:
            self._until = time.perf_counter() + self._patience
        return found
