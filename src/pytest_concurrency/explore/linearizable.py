"""`linearizable`: does an object, asked by several workers, answer as if they took turns?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.case import Case
from pytest_concurrency.explore.explorer import explore
from pytest_concurrency.explore.failures import NothingExplored
from pytest_concurrency.explore.generation import cases, drawn_outside, smallest_failing
from pytest_concurrency.explore.history import Key
from pytest_concurrency.explore.machines import Machine, is_machine, machine_operations
from pytest_concurrency.explore.operations import Operation, is_asynchronous, operations
from pytest_concurrency.explore.program import BODY, Trace
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.trial import NotLinearizable, Trial

_SHRINKING = 1.0
_FEWEST = 30


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Linearizable:
    """What was tried when every answer could be explained.

    >>> print(Linearizable(programs=30, schedules=1_204, complete=28, preemptions=2))
    30 programs, 1,204 schedules; 28 complete up to 2 preemptions
    """

    programs: int
    schedules: int
    complete: int
    """Programs of which every order up to ``preemptions`` was covered."""
    preemptions: int
    seconds: float = 0.0

    def __str__(self) -> str:
        """Say how far it got, in one line."""
        programs = f"{self.programs:,} program{'' if self.programs == 1 else 's'}"
        schedules = f"{self.schedules:,} schedule{'' if self.schedules == 1 else 's'}"
        bound = f"{self.preemptions} preemption{'' if self.preemptions == 1 else 's'}"
        return f"{programs}, {schedules}; {self.complete:,} complete up to {bound}"


def linearizable(
    factory: Callable[[], Any],
    calls: Mapping[str, Any] | None = None,
    /,
    *,
    model: Callable[[], Any] | None = None,
    key: Key | None = None,
    workers: int = 2,
    operations_each: int = 3,
    examples: int = 200,
    schedules: int = 100,
    preemptions: int = 2,
    seconds: float = 10.0,
    seed: int = 0,
    packages: Sequence[str] = (),
    replay: Case | None = None,
    **methods: Any,
) -> Linearizable:
    """Check that concurrent calls of an object are answered as in some order, one by one.

    Programs of calls are drawn by Hypothesis; each runs under explored schedules; each answer
    must be what the object gives to one worker alone, in an order that keeps who came after whom.
    Within a test that Hypothesis runs, one program is drawn for each example of that test.

    >>> from hypothesis import strategies as st
    >>> from queue import Queue
    >>> print(linearizable(Queue, put=st.integers(), qsize=(), examples=3).programs)
    3

    Args:
        factory: A class, or a function without arguments, that makes a fresh object.
        calls: The operations as a mapping, where their names cannot be keywords.
        model: What says the answers instead: a class with methods of the same names.
        key: Names the part of the object that a call is about, if calls on different parts never
            interact.
        workers: How many call at once: 2, 3 or 4.
        operations_each: How many calls each makes at most.
        examples: How many programs to draw.
        schedules: How many schedules of each program to run at most.
        preemptions: Explore every schedule with at most this many preemptions.
        seconds: Stop after this long.
        seed: Same seed, same programs and schedules.
        packages: Installed packages to explore besides the project's own files; that of the class
            is.
        replay: Run this program only, as a failure shows it.
        methods: For each operation the strategies of its arguments, as a tuple; a function that
            takes the object may stand before them.

    Returns:
        What was tried, when every answer could be explained.

    Raises:
        NotLinearizable: With the smallest program found, its history and its schedule.
    """
    __tracebackhide__ = True
    _check(factory, workers, operations_each, examples)
    given = {**(calls or {}), **methods}
    named = operations(given, factory) if given or not is_machine(factory) else None
    settings = Settings(
        preemptions=preemptions,
        schedules=schedules,
        seconds=seconds,
        seed=seed,
        packages=_packages(factory, packages),
    )
    check = _Check(factory, named, settings, model=model, key=key)
    if replay is not None:
        return check.one(replay)
    return check.many(workers=workers, length=operations_each, examples=examples)


class _Check:
    """One call of `linearizable`."""

    def __init__(
        self,
        factory: Callable[[], Any],
        named: Mapping[str, Operation] | None,
        settings: Settings,
        *,
        model: Callable[[], Any] | None,
        key: Key | None,
    ) -> None:
        name, close = getattr(factory, "__name__", type(factory).__name__), None
        self._has_preconditions = False
        if named is None:
            named = machine_operations(cast("type", factory))
            self._has_preconditions = any(each.is_conditional for each in named.values())
            factory, close = partial(_machine, factory), Machine.close
        self._operations = named
        self._settings = settings
        self._began = time.perf_counter()
        self._programs = self._schedules = self._complete = 0
        self._met = False
        self._limit = settings.schedules
        self._trial = Trial(
            factory,
            {name: each.function for name, each in named.items() if each.function is not None},
            settings,
            name=name,
            model=model,
            key=key,
            asynchronous=is_asynchronous(named, factory),
            close=close,
        )

    def one(self, case: Case) -> Linearizable:
        """Explore one program, or play its one schedule."""
        __tracebackhide__ = True
        unknown = [name for name, *_ in case.steps if name not in self._operations]
        if unknown:
            msg = (
                f"linearizable: replay calls {unknown[0]!r}, which is not among the operations "
                f"{', '.join(sorted(self._operations))}. Add it, or correct the case."
            )
            raise UsageError(msg)
        with self._trial:
            self._explore(case)
        return self._report()

    def many(self, *, workers: int, length: int, examples: int) -> Linearizable:
        """Draw programs and explore each."""
        __tracebackhide__ = True
        strategy = cases(self._operations, workers=workers, length=length)
        with self._trial:
            drawn = drawn_outside(strategy)
            if drawn is not None:
                return self._drawn(*drawn)
            found = smallest_failing(
                strategy,
                self._fails,
                examples=examples,
                seed=self._settings.seed,
                deadline=self._began + self._settings.seconds,
                patience=min(_SHRINKING, self._settings.seconds),
            )
            if found is not None:
                self._explore(self._possible(found) or found)
        if not self._met:
            msg = (
                f"linearizable: nothing was explored: no call of {self._trial.specification.name} "
                "touches what another can see. Name its package: packages=['…'], or use "
                "concurrent_runner if it is not written in Python."
            )
            raise NothingExplored(msg)
        return self._report()

    def _drawn(self, case: Case, is_final: bool) -> Linearizable:  # noqa: FBT001
        """Explore a program of a test that Hypothesis runs; explain only what will be shown."""
        __tracebackhide__ = True
        if self._fails(case):
            if not is_final:
                msg = f"{self._trial.specification.name} is not linearizable."
                raise NotLinearizable(msg)
            self._explore(self._possible(case) or case)
        return self._report()

    def _explore(self, case: Case) -> None:
        __tracebackhide__ = True
        self._trial.set(case)
        replayed = repr(Case(*case.workers, before=case.before, after=case.after, schedule="{}"))
        command = f"linearizable(…, replay={replayed.replace('{', '{{').replace('}', '}}')})"
        settings = replace(
            self._settings,
            replay=case.schedule,
            command=command.replace("'{{}}'", "{token!r}"),
        )
        found = explore(self._trial, settings)
        self._programs += 1
        self._schedules += found.schedules
        self._complete += found.complete is not None or found.exhausted

    def _possible(self, case: Case) -> Case | None:
        """Leave out calls of rules whose precondition may fail; classes have none."""
        return self._trial.possible(case) if self._has_preconditions else case

    def _fails(self, case: Case) -> bool:
        possible = self._possible(case)
        if possible is None:
            return False
        self._trial.set(possible)
        settings = replace(self._settings, schedules=self._limit)
        search = Search(self._trial, settings)
        failed = search.failure() is not None
        self._programs += 1
        self._schedules += search.plays
        self._complete += search.exhausted or search.complete >= self._settings.preemptions
        self._met = self._met or (search.first is not None and _meet(search.first))
        if failed:
            self._limit = min(self._limit, max(_FEWEST, 2 * search.plays))
        return failed

    def _report(self) -> Linearizable:
        return Linearizable(
            programs=self._programs,
            schedules=self._schedules,
            complete=self._complete,
            preemptions=self._settings.preemptions,
            seconds=time.perf_counter() - self._began,
        )


def _meet(trace: Trace) -> bool:
    """Tell whether two workers touch one thing."""
    seen: dict[object, int] = {}
    for worker, touches in zip(trace.workers, trace.touched, strict=True):
        for resource, _ in touches:
            if worker == BODY or (isinstance(resource, tuple) and resource[0] == "worker"):
                continue
            if seen.setdefault(resource, worker) != worker:
                return True
    return False


def _machine(kind: Callable[[], Any]) -> Machine:
    return Machine(kind())


def _check(factory: object, workers: int, length: int, examples: int) -> None:
    if not callable(factory):
        msg = (
            f"linearizable: {factory!r} is not a class and not a function. "
            f"Pass what makes a fresh object: linearizable({type(factory).__name__}, …)."
        )
        raise UsageError(msg)
    if workers not in {2, 3, 4}:
        msg = f"linearizable: workers={workers!r} is out of range. Write workers=2, 3 or 4."
        raise UsageError(msg)
    for name, value in (("operations_each", length), ("examples", examples)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            msg = f"linearizable: {name}={value!r} is not a whole number of at least 1."
            raise UsageError(msg)


def _packages(factory: Callable[[], Any], packages: Sequence[str]) -> Sequence[str]:
    """Explore the package of the class itself, unless it is the standard library's."""
    if isinstance(packages, str) or not isinstance(factory, type):
        return packages
    import sys

    name = factory.__module__.partition(".")[0]
    if name in sys.stdlib_module_names or name in packages or name == "__main__":
        return packages
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return packages if spec is None else (*packages, name)
