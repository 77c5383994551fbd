"""The search: schedules with no preemption first, then one, then two; then samples of the rest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, final

from pytest_concurrency.explore.comparison import DECIDED_OTHERWISE, differing, shares
from pytest_concurrency.explore.failures import NotDeterministic
from pytest_concurrency.explore.held import Region
from pytest_concurrency.explore.marks import Marks
from pytest_concurrency.explore.portfolio import guide
from pytest_concurrency.explore.program import FOREVER, Program, Touch, Trace
from pytest_concurrency.explore.reduction import Conflicts, Key, Walk, settle
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.settings import Settings

_BEYOND: Final = 2_000
_SOME: Final = 1_000
_PATIENCE: Final = 200
_WHILE: Final = 1.0
_STRAY: Final = 20


class _Branch(NamedTuple):
    """A play to be made: as an earlier one up to a step, then another worker."""

    trace: Trace | None
    at: int
    worker: int
    cost: int
    node: int


@final
class Search:
    """Plays a program in every order that matters.

    Attributes:
        plays: Schedules played so far.
        complete: Preemptions up to which all orders were covered; -1 when not even those with
        none were.
        exhausted: Whether no order is left at all.
        budget: What ran out, if something did.
        steps: Steps of the longest play.
        first: The first play.
        spun: Whether a worker was made to yield.
        sampled: How many of the plays were samples.
        strayed: How many plays did not repeat the one that they should have.
        shared: Whether two workers touched one resource in some play.
        differed: Where the first of them went another way.
    """

    def __init__(
        self,
        program: Program,
        settings: Settings,
        *,
        began: float | None = None,
        beyond: int = _BEYOND,
    ) -> None:
        """Prepare to search.

        Args:
            program: What to play.
            settings: How far.
            began: When the budget of seconds began, by ``time.perf_counter``.
            beyond: How many plays past the bound on preemptions to make at most.
        """
        self._beyond = beyond
        self._held: Sequence[Region] = getattr(program, "together", ())
        self._program = program
        self._settings = settings
        self._began = time.perf_counter() if began is None else began
        self._levels: dict[int, deque[_Branch]] = {0: deque([_Branch(None, 0, 0, 0, 0)])}
        self._nodes: dict[int, int] = {}
        self._planned: dict[int, int] = {}
        self._conflicts = Conflicts()
        self._marks_of = Marks()
        self._put_off: dict[Key, list[_Branch]] = {}
        self.plays = 0
        self.complete = -1
        self.exhausted = False
        self.budget: str | None = None
        self.steps = 1
        self.first: Trace | None = None
        self.spun = False
        self.sampled = 0
        self.strayed = 0
        self.shared = False
        self._at_bound: tuple[int, float] | None = None
        self.differed: str | None = None

    def failure(self) -> Trace | None:
        """Search until a play fails, or everything asked for is done."""
        for trace in self._all():
            self.plays += 1
            self.steps = max(self.steps, len(trace.workers))
            self.spun = self.spun or trace.spun
            self.shared = self.shared or shares(trace)
            if trace.ending.kind != "passed":
                return trace
            if self._spent():
                return None
        return None

    def _spent(self) -> bool:
        if self.plays >= self._settings.schedules:
            self.budget = "schedules"
        elif time.perf_counter() - self._began > self._settings.seconds:
            self.budget = "seconds"
        return self.budget is not None

    def _all(self) -> Iterator[Trace]:
        beyond = 0
        while True:
            level = self._level()
            if level is None:
                self.exhausted = not self.spun and not self.strayed
                self.complete = max(self.complete, self._settings.preemptions)
                return
            if level > self.complete + 1:
                self.complete = level - 1
            if level > self._settings.preemptions:
                beyond += 1
                if self._far_enough():
                    return
            patience = self.plays > _PATIENCE
            if patience and (beyond % 2 or self.plays % 4 == 0):
                yield self._sample()
                continue
            trace = self._play(self._levels[level].popleft())
            if trace is not None:
                yield trace

    def _far_enough(self) -> bool:
        """Whether as many plays were made past the bound as up to it, and some besides.

        They are counted, so that an exploration is the same each time. Where a play takes long,
        time decides: as long as reaching the bound took, and a while besides.
        """
        now = time.perf_counter()
        if self._at_bound is None:
            self._at_bound = self.plays, now
        plays, reached = self._at_bound
        return self.plays - plays >= min(self._beyond, max(_SOME, plays)) or now - reached > max(
            _WHILE, reached - self._began
        )

    def _level(self) -> int | None:
        """Return the fewest preemptions with which something is left to play."""
        return min((cost for cost, branches in self._levels.items() if branches), default=None)

    def _sample(self) -> Trace:
        self.sampled += 1
        sample = guide(self.sampled, seed=self._settings.seed, steps=self.steps)
        return self._program.play(sample, record=False)

    def _play(self, branch: _Branch) -> Trace | None:
        if branch.trace is not None and self._nodes.get(branch.node, FOREVER) <= branch.cost:
            return None
        plan = Plan(_legs(branch))
        trace = self._program.play(plan)
        if branch.trace is None:
            self.first = trace
        elif not self._repeats(branch, trace):
            return trace
        if trace.ending.kind == "passed" and plan.misfit is None and _is_taken(branch, trace):
            settle(trace)
            self._expand(trace, branch)
        return trace

    def _repeats(self, branch: _Branch, trace: Trace) -> bool:
        """Whether a play went the way of the one that it was to repeat."""
        before = branch.trace
        if before is None or trace.workers[: branch.at] == before.workers[: branch.at]:
            return True
        self.strayed += 1
        if self.differed is None:
            self.differed = differing(before, trace, branch.at)
        if self.strayed > _STRAY and self.strayed * 2 > self.plays:
            msg = f"{self.differed}\n{DECIDED_OTHERWISE}"
            raise NotDeterministic(msg)
        return False

    def _expand(self, trace: Trace, branch: _Branch) -> None:
        """Put down what else may be played, as this trace up to some step."""
        self._marks_of.trim()
        walk = Walk(trace, self._marks_of)
        workers = trace.workers
        found: list[_Branch] = []
        keys: list[Key | None] = []
        start = branch.at + 1 if branch.trace is not None else 0
        end = len(workers)
        numbers = _numbers(trace)
        walk.forward(start)
        for at in range(start, len(workers)):
            walk.look()
            current = workers[at - 1] if at else 0
            node = walk.behind ^ hash((current, "node"))
            if self._nodes.get(node, FOREVER) <= branch.cost:
                end = at
                break
            self._nodes[node] = branch.cost
            if len(walk.able) > 1:
                self._alternatives(walk, trace, branch.cost, current, numbers, found, keys)
            walk.step()
        for key in self._conflicts.learn(trace, walk.marks, branch.at, end):
            for back in self._put_off.pop(key, ()):
                self._plan(back)
        for one, needed in zip(found, keys, strict=True):
            if needed is None or needed in self._conflicts.known:
                self._plan(one)
            else:
                self._put_off.setdefault(needed, []).append(one)

    def _alternatives(  # noqa: PLR0917 - called for every step
        self,
        walk: Walk,
        trace: Trace,
        cost: int,
        current: int,
        numbers: dict[int, list[int]],
        found: list[_Branch],
        keys: list[Key | None],
    ) -> None:
        at = walk.at
        taken = trace.workers[at]
        preempts = current in walk.able
        key = (current, walk.count.get(current, 0)) if preempts else None
        if self._held and key is not None and self._bound_up(trace, current, key[1], numbers):
            key = None
        for worker in walk.able:
            if worker in {taken, current}:
                continue
            touches = _next_touches(trace, worker, walk.count.get(worker, 0), numbers)
            node = 0
            if touches is not None:
                node = walk.after(worker, touches) ^ hash((worker, "node"))
            found.append(_Branch(trace, at, worker, cost + preempts, node))
            keys.append(key)

    def _bound_up(
        self, trace: Trace, worker: int, number: int, numbers: dict[int, list[int]]
    ) -> bool:
        """Whether a worker may not be stopped one step later: then it must be stopped here."""
        steps = numbers.get(worker, ())
        return number + 1 >= len(steps) or steps[number + 1] in trace.held

    def _plan(self, branch: _Branch) -> None:
        if branch.node and not self._held:
            best = min(
                self._nodes.get(branch.node, FOREVER), self._planned.get(branch.node, FOREVER)
            )
            if best <= branch.cost:
                return
            self._planned[branch.node] = branch.cost
        self._levels.setdefault(branch.cost, deque()).append(branch)


def _is_taken(branch: _Branch, trace: Trace) -> bool:
    """Whether the worker of a branch could make its step, as it was thought to."""
    at = branch.at
    return branch.trace is None or (at < len(trace.workers) and trace.workers[at] == branch.worker)


def _numbers(trace: Trace) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {worker: [] for worker in set(trace.workers)}
    for at, worker in enumerate(trace.workers):
        found[worker].append(at)
    return found


def _next_touches(
    trace: Trace, worker: int, number: int, numbers: dict[int, list[int]]
) -> tuple[Touch, ...] | None:
    steps = numbers.get(worker, ())
    if number < len(steps):
        return trace.touched[steps[number]]
    pending = trace.pending.get(worker)
    return None if pending is None else pending[1]


def runs(workers: list[int]) -> list[tuple[int, int]]:
    """Return the run lengths of a list of workers."""
    found: list[tuple[int, int]] = []
    for worker in workers:
        if found and found[-1][0] == worker:
            found[-1] = (worker, found[-1][1] + 1)
        else:
            found.append((worker, 1))
    return found


def _legs(branch: _Branch) -> list[tuple[int, int]]:
    if branch.trace is None:
        return []
    return [*runs(branch.trace.workers[: branch.at]), (branch.worker, FOREVER)]
