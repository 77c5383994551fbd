"""Programs drawn by Hypothesis, and the smallest one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_concurrency.explore.case import Case, Step
from pytest_concurrency.explore.operations import Operation

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_VALUES = 3
"""How many different values an argument takes in one program: calls should meet."""

_AROUND = 2


class _Failing(Exception):  # noqa: N818 - never shown: it tells Hypothesis that a program fails
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

    names = sorted(operations)

    @st.composite
    def case(draw: Callable[[Any], Any]) -> Case:
        pools: dict[str, list[Any]] = {}

        def argument(strategy: SearchStrategy[Any]) -> Any:
            name = repr(strategy)
            if name not in pools:
                pools[name] = draw(st.lists(strategy, min_size=1, max_size=_VALUES))
            return draw(st.sampled_from(pools[name]))

        def calls(least: int, most: int) -> list[Step]:
            chosen = draw(st.lists(st.sampled_from(names), min_size=least, max_size=most))
            return [(name, *map(argument, operations[name].arguments)) for name in chosen]

        return Case(
            *[calls(1, length) for _ in range(workers)],
            before=calls(0, _AROUND),
            after=calls(0, _AROUND),
        )

    return case()


def smallest_failing(
    strategy: SearchStrategy[Case],
    fails: Callable[[Case], bool],
    *,
    examples: int,
    seed: int,
    deadline: float,
    patience: float,
) -> Case | None:
    """Draw programs until one fails, and return the smallest one that fails likewise.

    Args:
        strategy: Where programs come from.
        fails: Tells whether a program fails; asked once for each.
        examples: How many to draw at most.
        seed: Same seed, same programs.
        deadline: When to stop drawing, by ``time.perf_counter``.
        patience: Seconds for making a failing program smaller.
    """
    import hypothesis

    known: dict[str, bool] = {}
    failing: list[Case] = []
    until = deadline

    def judged(case: Case) -> bool:
        nonlocal until
        name = repr(case)
        if name in known:
            return known[name]
        if time.perf_counter() > until:
            return False
        known[name] = found = fails(case)
        if found and not failing:
            until = time.perf_counter() + patience
        return found

    def examine(case: Case) -> None:
        if judged(case):
            failing.append(case)
            raise _Failing

    quiet = hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=False,
    )
    try:
        hypothesis.seed(seed)(quiet(hypothesis.given(strategy)(examine)))()
    except _Failing:
        return failing[-1]
    return None
