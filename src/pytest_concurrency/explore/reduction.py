"""Which schedules cannot differ, and which preemptions cannot matter.

Two plays are of one class when each worker does the same and conflicting steps come in the same
order (happens-before). The class of a prefix is the sum of its steps' hashes, each made of the
hashes of all that the step depends on; so a prefix that only swaps independent steps has the same
class and leads to the same state. From one class with one worker running, one play is enough
(`Cache`).

A preemption before a step matters only if another worker, before the first one goes on, does
something that conflicts with the step: otherwise the preemption may as well come one step later.
In the play where it does come later the conflicting step follows, so it has been seen there
(`Conflicts`). Whoever has not been seen to conflict is put off, not forgotten: what is learned in
any later play brings it back.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, TypeAlias, final

from pytest_concurrency.explore.marks import EVERYTHING, Mark, Marks
from pytest_concurrency.explore.program import FOREVER, Touch, Trace

_MASK: Final = (1 << 64) - 1

Key = tuple[int, int]
"""A worker and the number of its step."""


def settle(trace: Trace) -> None:
    """Rename resources that stand for several, so that only equal names conflict."""
    if not trace.coarse:
        return
    names: set[Any] = set()
    owners: set[Any] = set()
    for resource in (r for touches in trace.touched for r, _ in touches if isinstance(r, tuple)):
        if resource[0] == "?":
            names.add(resource[1])
        if resource[-1] == "*":
            owners.add(resource[0])

    def settled(touch: Touch) -> Touch:
        resource, write = touch
        if isinstance(resource, tuple):
            if resource[-1] in names:
                return ("?", resource[-1]), write
            if resource[0] in owners:
                return (resource[0], "*"), write
        return touch

    trace.touched = [tuple(map(settled, touches)) for touches in trace.touched]
    trace.pending = {w: (label, tuple(map(settled, t))) for w, (label, t) in trace.pending.items()}


@final
class Walk:
    """Goes through a trace step by step, keeping the class of what is behind and who can run."""

    __slots__ = (
        *("_chain", "_change", "_due", "_marks_of", "_reads", "_trace", "_writes", "able", "at"),
        *("behind", "count", "marks"),
    )

    def __init__(self, trace: Trace, marks_of: Marks | None = None) -> None:
        """Stand before the first step.

        Args:
            trace: What was played.
            marks_of: Where to read what was touched, to be shared among traces.
        """
        self._trace = trace
        self._marks_of = marks_of or Marks()
        self.marks: Sequence[tuple[Mark, ...]] = self._marks_of.all(trace.touched)
        for _, touches in trace.pending.values():
            self._marks_of.of(touches)
        self._chain: dict[int, int] = {0: 1}
        self._writes = [0] * self._marks_of.count
        self._reads = self._writes.copy()
        self._change = 0
        self._due = trace.changes[0][0] if trace.changes else FOREVER
        self.able: set[int] = {0}
        self.behind = 0
        self.at = 0
        self.count: dict[int, int] = {}

    def look(self) -> None:
        """Take note of who became able or unable before the next step."""
        if self._due > self.at:
            return
        changes = self._trace.changes
        while self._change < len(changes) and changes[self._change][0] <= self.at:
            position, worker, able = changes[self._change]
            self._change += 1
            if able:
                self.able.add(worker)
            else:
                self.able.discard(worker)
            if worker not in self._chain:
                parent = self._trace.workers[position - 1] if position else 0
                self._chain[worker] = hash((worker, self._chain.get(parent, 1)))
        self._due = changes[self._change][0] if self._change < len(changes) else FOREVER

    def _class(self, worker: int, marks: tuple[Mark, ...]) -> int:
        """Hash a step if it were the next, with all that it depends on."""
        found = self._chain[worker]
        writes, reads = self._writes, self._reads
        for resource, write, across, _, joined, _ in marks:
            if write:
                met = writes[resource], reads[resource], writes[across], reads[across]
                found = hash((found, met))
                if resource == EVERYTHING:
                    found = hash((found, self.behind))
            elif joined is None:
                found = hash((found, writes[resource], writes[across]))
            else:
                found = hash((found, self._chain.get(joined, 0)))
        return hash((found, worker))

    def step(self) -> None:
        """Go past the next step."""
        at = self.at
        if self._due <= at:
            self.look()
        worker, touched, count = self._trace.workers[at], self.marks[at], self.count
        mine = self._chain[worker] = self._class(worker, touched)
        writes, reads = self._writes, self._reads
        for resource, write, _, part, _, _ in touched:
            if part is not None:
                kept = writes if write else reads
                kept[part] = (kept[part] + mine) & _MASK
            if write:
                writes[resource], reads[resource] = mine, 0
            else:
                reads[resource] = (reads[resource] + mine) & _MASK
        self.behind = (self.behind + mine) & _MASK
        count[worker] = count.get(worker, 0) + 1
        self.at = at + 1

    def forward(self, end: int) -> None:
        """Go on until a step is the next."""
        while self.at < end:
            self.step()

    def after(self, worker: int, touches: tuple[Touch, ...]) -> int:
        """Return the class that the prefix would have if this worker made this step next."""
        return (self.behind + self._class(worker, self._marks_of.of(touches))) & _MASK


_TRYING = frozenset({"try", "took"})
_NOTHING: Final[frozenset[Hashable]] = frozenset()


@final
class Conflicts:
    """The steps before which a preemption can matter: another's later step conflicts."""

    def __init__(self) -> None:
        """Know of none."""
        self.known: set[Key] = set()

    def learn(
        self, trace: Trace, marks: Sequence[tuple[Mark, ...]], start: int, end: int
    ) -> list[Key]:
        """Find conflicts in a trace and return those that were not known.

        Args:
            trace: What was played.
            marks: What each step touched.
            start: From this step; those before it were compared in an earlier trace.
            end: Up to this step; the rest was seen before.
        """
        return _Study(trace, marks, self.known).conflicts(0 if trace.coarse else start, end)


_Past: TypeAlias = dict[int, list[tuple[int, int, frozenset[Hashable], bool]]]
"""Touches of each resource: worker, number of its step, what it held, whether it lets a lock go."""


@final
class _Study:
    def __init__(self, trace: Trace, marks: Sequence[tuple[Mark, ...]], known: set[Key]) -> None:
        self._trace = trace
        self._marks = marks
        self._known = known
        self._read: _Past = {}
        self._written: _Past = {}
        self._seen: dict[Hashable, int] = {}
        self._held: dict[int, frozenset[Hashable]] = {}
        self._joined: dict[int, set[int]] = {}
        self._found: list[Key] = []

    def conflicts(self, start: int, end: int) -> list[Key]:
        held, known = self._held, self._known
        workers, marks, locks = self._trace.workers, self._marks, self._trace.locks
        count: dict[int, int] = {}
        for at in range(end):
            worker = workers[at]
            number = count[worker] = count.get(worker, -1) + 1
            mine = has = held.get(worker, _NOTHING)
            op = None
            if at in locks:
                op, lock = locks[at]
                has = self._operated(worker, op, lock, mine)
            touched = marks[at]
            if at >= start:
                self._against(touched, worker, has, trying=op in _TRYING)
            one = None
            if (worker, number) not in known:
                one = worker, number, mine, op == "release"
            for resource, write, _, part, joined, is_ordered in touched:
                if joined is not None:
                    self._join(worker, joined)
                elif one is not None and not is_ordered:
                    past = self._written if write else self._read
                    past.setdefault(resource, []).append(one)
                    if part is not None:
                        past.setdefault(part, []).append(one)
        return self._found

    def _against(
        self, touched: tuple[Mark, ...], worker: int, has: frozenset[Hashable], *, trying: bool
    ) -> None:
        """Compare a step with those before it that touched the same, one of the two writing."""
        read, written = self._read, self._written
        for resource, write, across, _, _, is_ordered in touched:
            if is_ordered:
                continue
            for name in (resource, across):
                if name in written:
                    self._compare(written[name], (name, True, worker, has, trying))
                if write and name in read:
                    self._compare(read[name], (name, False, worker, has, trying))

    def _operated(
        self, worker: int, op: str, lock: Hashable, mine: frozenset[Hashable]
    ) -> frozenset[Hashable]:
        """Take note of an operation of a lock; return what the worker holds while it is made."""
        if op in {"acquire", "took"}:
            self._held[worker] = mine | {lock}
        elif op == "release":
            self._released(lock)
        return mine | {lock} if op == "acquire" else mine

    def _released(self, lock: Hashable) -> None:
        """Take a lock from whoever holds it: it may not be the one that releases it."""
        for other, locks in self._held.items():
            if lock in locks:
                self._held[other] = locks - {lock}
                return

    def _join(self, worker: int, other: int) -> None:
        self._joined.setdefault(worker, set()).update({other}, self._joined.get(other, ()))

    def _compare(
        self,
        past: list[tuple[int, int, frozenset[Hashable], bool]],
        step: tuple[int, bool, int, frozenset[Hashable], bool],
    ) -> None:
        start = self._seen.get(step, 0)
        if start == len(past):
            return
        self._seen[step] = len(past)
        _, _, worker, has, trying = step
        joined = self._joined.get(worker, ())
        known = self._known
        for other, number, locks, releases in past[start:]:
            if (
                other == worker
                or other in joined
                or (releases and not trying)
                or (other, number) in known
                or not locks.isdisjoint(has)
            ):
                continue
            known.add((other, number))
            self._found.append((other, number))
