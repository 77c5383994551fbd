"""Which events of a failing play tell why it fails."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from pytest_concurrency.explore.cancellations import with_cancellations
from pytest_concurrency.explore.inversion import inverted, overlap, parted, refusals
from pytest_concurrency.explore.program import BODY, Event, Trace

_MANY: Final = 16
_NEAR: Final = 3
_SILENT: Final = frozenset({"lock", "worker", "life"})
_Met: TypeAlias = tuple[Hashable, int, bool]
"""Which part of a resource a worker came to, and whether it wrote it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What tells why a play fails.

    Attributes:
        told: What a reader is shown.
        around: The same with the locks that were taken and given back meanwhile.
    """

    told: Sequence[Event] = ()
    around: Sequence[Event] = ()


def cause(trace: Trace, before: Trace | None) -> Cause:
    """Find the events that tell why, or failing that, what the workers share.

    Args:
        trace: The failing play, explained.
        before: The play without the last preemption, explained, if that one passes.
    """
    told, around = _ordered(trace, before)
    return Cause(
        told=with_cancellations(told, trace, before),
        around=with_cancellations(around, trace, before),
    )


def _ordered(trace: Trace, before: Trace | None) -> tuple[list[Event], list[Event]]:
    """Return the events whose order tells why, without the locks between them and with them."""
    steps = inverted(trace, before) if before is not None else frozenset()
    placed = [event for event in trace.events if event.where]
    found = _without_last_words([event for event in placed if event.step in steps])
    if len({event.worker for event in found}) > 1:
        return _with_values(found, trace), found
    shared = _near_switches(_conflicting(placed))
    return shared, shared


def _with_values(events: list[Event], trace: Trace) -> list[Event]:
    """Leave out locks that were taken and given back, where values tell why."""
    told = [event for event in events if event.does]
    if len({event.worker for event in told}) < 2:  # noqa: PLR2004
        return events
    refused = refusals(trace)
    return [event for event in events if event.does or event.step in refused]


def _without_last_words(events: list[Event]) -> list[Event]:
    """Leave out what the body does after all others, unless there is nobody else to tell of."""
    last = max((at for at, event in enumerate(events) if event.worker != BODY), default=-1)
    within = events[: last + 1]
    return within if len({event.worker for event in within}) > 1 else events


def _conflicting(events: Sequence[Event]) -> list[Event]:
    """Return the events that another worker's conflict with, up to the body's last words."""
    last = max((i for i, event in enumerate(events) if event.worker != BODY), default=-1)
    within = list(events[: last + 1])
    met: dict[Hashable, set[_Met]] = {}
    for event in within:
        for resource, write in event.touches:
            if not is_silent(resource):
                whole, part = parted(resource)
                met.setdefault(whole, set()).add((part, event.worker, write))
    found = [event for event in within if any(_is_hot(r, met) for r, _ in event.touches)]
    told = [event for event in found if event.does]
    return told if len({event.worker for event in told}) > 1 else found


def _is_hot(resource: Hashable, met: Mapping[Hashable, Collection[_Met]]) -> bool:
    """Whether several workers came to a resource, and one of them wrote it."""
    whole, part = parted(resource)
    near = [
        (worker, write) for its_part, worker, write in met.get(whole, ()) if overlap(part, its_part)
    ]
    return len({worker for worker, _ in near}) > 1 and any(write for _, write in near)


def is_silent(resource: Hashable) -> bool:
    """Whether a resource tells a reader nothing: a lock, or a worker itself."""
    return resource == "*" or (isinstance(resource, tuple) and resource[0] in _SILENT)


def _near_switches(events: list[Event]) -> list[Event]:
    """Keep what is near a change of workers, where there is much."""
    if len(events) <= _MANY:
        return events
    switches = [i for i in range(1, len(events)) if events[i].worker != events[i - 1].worker]
    return [
        event
        for i, event in enumerate(events)
        if any(-_NEAR <= i - switch < _NEAR for switch in switches)
    ]
