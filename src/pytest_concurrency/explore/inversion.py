"""Which steps of a failing play matter: those that come in another order than in one that passes.

The schedule without its last preemption passes, or it would have been the shorter one to show.
Where two conflicting steps have changed places between the two plays lies the cause; the rest of
a long play only leads there.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from pytest_concurrency.explore.program import BODY, FOREVER, Program, Trace, worker_name
from pytest_concurrency.explore.schedule import Leg, Plan

_OWN = frozenset({"worker", "life"})
_ITEM = 3


def passing(program: Program, legs: Sequence[Leg]) -> Trace | None:
    """Play the schedule without its last preemption.

    Args:
        program: What to play.
        legs: The schedule that fails.

    Returns:
        What happened if that passes, in the detail of a play that is explained.
    """
    if len(legs) < 2:  # noqa: PLR2004
        return None
    plan = [(leg.worker, leg.points) for leg in legs[:-2]]
    trace = program.play(Plan([*plan, (legs[-2].worker, FOREVER)]), explain=True)
    return trace if trace.ending.kind == "passed" else None


def inverted(failing: Trace, before: Trace) -> frozenset[int]:
    """Return the steps of a failing play that changed places, and what belongs to them.

    To them belong what each worker last did there before, and what it did there only this time.

    Args:
        failing: The play that fails.
        before: The play that passes.
    """
    twins = _twins(failing, before)
    found: set[int] = set()
    new: set[int] = set()
    hot: set[Hashable] = set()
    for resource, met, at in _meetings(failing):
        swapped = [earlier for earlier in met if _swapped(twins[earlier], twins[at])]
        if swapped:
            hot.add(resource)
            found |= {at, *swapped}
            found.update(_last(failing, resource, swapped[0]))
        new |= {step for step in (at, *met) if twins[step] is None}
    beside = {at for at, places in enumerate(_places(failing)) if hot & {p for p, _, _ in places}}
    return frozenset(found | (new & beside)) if found else frozenset()


def _meetings(trace: Trace) -> Iterator[tuple[Hashable, list[int], int]]:
    """Go through the steps that conflict with earlier ones of other workers, per resource."""
    seen: dict[Hashable, list[tuple[int, Hashable, bool]]] = {}
    for at, places in enumerate(_places(trace)):
        for whole, part, wrote in places:
            past = seen.setdefault(whole, [])
            met = [
                earlier
                for earlier, its_part, had_written in past
                if (wrote or had_written)
                and trace.workers[earlier] != trace.workers[at]
                and overlap(part, its_part)
            ]
            if met:
                yield whole, met, at
            past.append((at, part, wrote))


def _places(trace: Trace) -> Iterator[list[tuple[Hashable, Hashable, bool]]]:
    for touches in trace.touched:
        yield [(*parted(resource), wrote) for resource, wrote in touches if not _own(resource)]


def _twins(failing: Trace, before: Trace) -> list[int | None]:
    """Find for each step the same one in the other play: as many steps of its worker in."""
    place = {name: at for at, name in enumerate(_numbered(before))}
    twins: list[int | None] = []
    for at, name in enumerate(_numbered(failing)):
        twin = place.get(name)
        same = twin is not None and before.labels[twin] == failing.labels[at]
        twins.append(twin if same else None)
    return twins


def _swapped(first: int | None, second: int | None) -> bool:
    return first is not None and second is not None and first > second


def _last(trace: Trace, resource: Hashable, end: int) -> list[int]:
    """Return the last step of each worker there before a step: what it had seen or taken."""
    last: dict[int, int] = {}
    for at, places in enumerate(_places(trace)):
        if at >= end:
            break
        if trace.workers[at] != BODY and any(whole == resource for whole, _, _ in places):
            last[trace.workers[at]] = at
    return list(last.values())


def parted(resource: Hashable) -> tuple[Hashable, Hashable]:
    """Tell an item from the container that it is a part of."""
    if isinstance(resource, tuple) and len(resource) == _ITEM:
        return resource[:-1], resource[-1]
    return resource, None


def overlap(part: Hashable, other: Hashable) -> bool:
    """Whether two parts of one resource may be the same; ``None`` is all of it."""
    return part is None or other is None or part == other


def _own(resource: Hashable) -> bool:
    return resource == "*" or (isinstance(resource, tuple) and resource[0] in _OWN)


def _numbered(trace: Trace) -> list[tuple[int, int]]:
    counts: dict[int, int] = {}
    numbered = []
    for worker in trace.workers:
        counts[worker] = counts.get(worker, 0) + 1
        numbered.append((worker, counts[worker]))
    return numbered


def refusals(trace: Trace) -> dict[int, str]:
    """Say of each step that tried a lock in vain who had it."""
    holder: dict[Hashable, int] = {}
    found: dict[int, str] = {}
    for at in sorted(trace.locks):
        op, lock = trace.locks[at]
        if op in {"acquire", "took"}:
            holder[lock] = trace.workers[at]
        elif op == "release":
            holder.pop(lock, None)
        elif lock in holder:
            found[at] = f"does not get it: {worker_name(holder[lock], trace.names)} has it"
    return found
