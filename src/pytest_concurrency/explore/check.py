"""One call of `linearizable`: draw programs, explore each, tell what was tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.case import Case
from pytest_concurrency.explore.coroutines import OnALoop
from pytest_concurrency.explore.explorer import explore
from pytest_concurrency.explore.failures import NothingExplored
from pytest_concurrency.explore.garbage import steady
from pytest_concurrency.explore.generation import Drawing, cases, drawn_outside, smallest_failing
from pytest_concurrency.explore.limits import Limits, packages_of
from pytest_concurrency.explore.machines import Machine, machine_operations
from pytest_concurrency.explore.operations import Operation
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


@final
class Check:
    """One call of `linearizable`."""

    def __init__(
        self, factory: Callable[[], Any], named: Mapping[str, Operation] | None, limits: Limits
    ) -> None:
        """Prepare to check.

        Args:
            factory: Makes the object.
            named: The operations; those of a state machine if there are none.
            limits: How much to try.
        """
        name, close = getattr(factory, "__name__", type(factory).__name__), None
        packages = packages_of(factory, limits.packages)
        if named is None:
            named = machine_operations(cast("type", factory))
            factory, close = partial(_machine, factory), Machine.close
        self._operations = named
        self._has_preconditions = any(each.is_conditional for each in named.values())
        self._limits = limits
        self._settings = Settings(
            preemptions=limits.preemptions,
            schedules=limits.schedules,
            seconds=limits.seconds,
            seed=limits.seed,
            packages=packages,
        )
        self._began = time.perf_counter()
        self._programs = self._schedules = self._complete = 0
        self._met = False
        self._limit = limits.schedules
        self._trial = Trial(factory, named, self._settings, name=name, limits=limits, close=close)

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

    def many(self) -> Linearizable:
        """Draw programs and explore each."""
        __tracebackhide__ = True
        limits = self._limits
        strategy = cases(self._operations, workers=limits.workers, length=limits.operations_each)
        with self._trial:
            drawn = drawn_outside(strategy)
            if drawn is not None:
                return self._drawn(*drawn)
            drawing = Drawing(
                examples=limits.examples,
                seed=limits.seed,
                deadline=self._began + limits.seconds,
                patience=min(_SHRINKING, limits.seconds),
            )
            found = smallest_failing(strategy, self._fails, drawing)
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
        try:
            self._explained(case)
        except OnALoop:
            self._trial.move_onto_a_loop()
            self._explained(case)

    def _explained(self, case: Case) -> None:
        """Explore a program and raise what is found, with all that tells why."""
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
        try:
            return self._tried(case)
        except OnALoop:
            self._trial.move_onto_a_loop()
            return self._tried(case)

    def _tried(self, case: Case) -> bool:
        possible = self._possible(case)
        if possible is None:
            return False
        self._trial.set(possible)
        settings = replace(self._settings, schedules=self._limit)
        search = Search(self._trial, settings)
        with steady():
            found = search.failure()
        if found is not None and isinstance(found.ending.error, OnALoop):
            raise found.ending.error
        failed = found is not None
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
