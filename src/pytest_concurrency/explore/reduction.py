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

from collections.abc import Hashable, Iterator
from typing import Any, Final, final

from pytest_concurrency.explore.program import Touch, Trace

_KEYED: Final = 3
"""A resource ``(owner, name, key)`` is one item of ``(owner, name)``."""

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
        "_chain",
        "_change",
        "_reads",
        "_trace",
        "_writes",
        "able",
        "at",
        "behind",
        "count",
    )

    def __init__(self, trace: Trace) -> None:
        """Stand before the first step."""
        self._trace = trace
        self._chain: dict[int, int] = {0: 1}
        self._writes: dict[Hashable, int] = {}
        self._reads: dict[Hashable, int] = {}
        self._change = 0
        self.able: set[int] = {0}
        self.behind = 0
        self.at = 0
        self.count: dict[int, int] = {}

    def look(self) -> None:
        """Take note of who became able or unable before the next step."""
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

    def hash_of(self, worker: int, touches: tuple[Touch, ...]) -> int:
        """Hash a step if it were the next, with all that it depends on."""
        found = self._chain[worker]
        writes, reads = self._writes, self._reads
        for resource, write in touches:
            if type(resource) is tuple and len(resource) == _KEYED:
                whole = resource[:2]
                found = hash((found, writes.get(whole, 0), reads.get(whole, 0) if write else 0))
            elif (resource, "any") in writes:
                found = hash(
                    (
                        found,
                        writes[resource, "any"],
                        reads.get((resource, "any"), 0) if write else 0,
                    )
                )
            if write:
                if resource == "*":
                    found = hash((found, self.behind))
                else:
                    found = hash((found, writes.get(resource, 0), reads.get(resource, 0)))
            elif resource in writes:
                found = hash((found, writes[resource]))
            elif type(resource) is tuple and resource[0] == "worker":
                found = hash((found, self._chain.get(resource[1], 0)))
            else:
                found = hash((found, 0))
        return found

    def step(self) -> None:
        """Go past the next step."""
        worker, touches = self._trace.workers[self.at], self._trace.touched[self.at]
        mine = hash((self.hash_of(worker, touches), worker))
        self._chain[worker] = mine
        for resource, write in touches:
            if type(resource) is tuple and len(resource) == _KEYED:
                part = (resource[:2], "any")
                self._writes.setdefault(part, 0)
                kept = self._writes if write else self._reads
                kept[part] = (kept.get(part, 0) + mine) & _MASK
            if write:
                self._writes[resource] = mine
                self._reads[resource] = 0
            else:
                self._reads[resource] = (self._reads.get(resource, 0) + mine) & _MASK
        self.behind = (self.behind + mine) & _MASK
        self.count[worker] = self.count.get(worker, 0) + 1
        self.at += 1

    def after(self, worker: int, touches: tuple[Touch, ...]) -> int:
        """Return the class that the prefix would have if this worker made this step next."""
        return (self.behind + hash((self.hash_of(worker, touches), worker))) & _MASK


def whole(resource: Hashable) -> Hashable:
    """Return what an item is an item of, and other resources as they are."""
    return resource[:2] if type(resource) is tuple and len(resource) == _KEYED else resource


def _against(resource: Hashable) -> tuple[Hashable, ...]:
    """Return the names under which past touches of a resource are to be looked up."""
    if type(resource) is tuple and len(resource) == _KEYED:
        return resource, resource[:2]
    return resource, (resource, "any")


def _under(resource: Hashable) -> tuple[Hashable, ...]:
    """Return the names under which a touch is kept for others to find."""
    if type(resource) is tuple and len(resource) == _KEYED:
        return resource, (resource[:2], "any")
    return (resource,)


_ORDERED: Final = frozenset({"worker", "wake"})
"""Resources that come in one order only: who waits for the other's end, or to be woken by it,
cannot come first.
"""

_TRYING = frozenset({"try", "took"})


@final
class Conflicts:
    """The steps before which a preemption can matter: another's later step conflicts."""

    def __init__(self) -> None:
        """Know of none."""
        self.known: set[Key] = set()

    def learn(self, trace: Trace, end: int) -> Iterator[Key]:
        """Find conflicts in a trace and give those that were not known.

        Args:
            trace: What was played.
            end: Up to this step; the rest was seen before.
        """
        study = _Study(trace)
        for key in study.conflicts(end, self.known):
            if key not in self.known:
                self.known.add(key)
                yield key


@final
class _Study:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._past: dict[Hashable, list[tuple[int, int, bool, frozenset[Hashable], bool]]] = {}
        self._seen: dict[Hashable, int] = {}
        self._held: dict[int, frozenset[Hashable]] = {}
        self._joined: dict[int, set[int]] = {}
        self._count: dict[int, int] = {}
        self._born = self._births()

    def _births(self) -> dict[int, int]:
        born: dict[int, int] = {}
        for position, worker, _ in self._trace.changes:
            born.setdefault(worker, position)
        return born

    def conflicts(self, end: int, known: set[Key]) -> Iterator[Key]:
        trace, held = self._trace, self._held
        nothing: frozenset[Hashable] = frozenset()
        for at in range(end):
            worker = trace.workers[at]
            number = self._count.get(worker, 0)
            self._count[worker] = number + 1
            mine = held.get(worker, nothing)
            op, lock = trace.locks.get(at, (None, None))
            if op in {"acquire", "took"}:
                held[worker] = mine | {lock}
            elif op == "release":
                self._released(lock)
            has = mine | {lock} if op == "acquire" else mine
            for resource, write in trace.touched[at]:
                if type(resource) is tuple and resource[0] in _ORDERED:
                    if resource[0] == "worker" and not write:
                        self._join(worker, resource[1])
                    continue
                for against in _against(resource):
                    yield from self._compare(against, worker, write, has, op in _TRYING, known)
                if (worker, number) not in known:
                    for under in _under(resource):
                        self._past.setdefault(under, []).append(
                            (worker, number, write, mine, op == "release")
                        )

    def _released(self, lock: Hashable) -> None:
        """Take a lock from whoever holds it: it may not be the one that releases it."""
        for other, locks in self._held.items():
            if lock in locks:
                self._held[other] = locks - {lock}
                return

    def _join(self, worker: int, other: int) -> None:
        self._joined.setdefault(worker, set()).update({other}, self._joined.get(other, ()))

    def _compare(  # noqa: PLR0917 - called for every touch
        self,
        resource: Hashable,
        worker: int,
        write: bool,  # noqa: FBT001
        has: frozenset[Hashable],
        trying: bool,  # noqa: FBT001
        known: set[Key],
    ) -> Iterator[Key]:
        past = self._past.get(resource)
        if past is None:
            return
        signature = (resource, worker, write, has, trying)
        start = self._seen.get(signature, 0)
        self._seen[signature] = len(past)
        joined = self._joined.get(worker, ())
        for other, number, wrote, locks, releases in past[start:]:
            if (
                other == worker
                or other in joined
                or not (write or wrote)
                or (other, number) in known
            ):
                continue
            if releases and not trying:
                continue
            if locks and not locks.isdisjoint(has):
                continue
            yield other, number
