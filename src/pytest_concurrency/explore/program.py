"""The protocol behind which code points, await points and SQL points live.

A program is something that can be played from the start, again and again, each time in an order
that a guide chooses. Search, shrinking, tokens and timelines know nothing else about it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

FOREVER = 1 << 60
"""As many points as it takes: until the worker ends or waits."""

BODY = 0
"""The worker that runs the body itself; those that it starts are 1, 2, 3, … in order of their
start.
"""

Touch: TypeAlias = tuple[Hashable, bool]
"""A resource, and whether it was written. The worker itself, ``("worker", n)``, is written by
each of its steps.
"""

Place: TypeAlias = tuple[Hashable, str, int]
"""A function, its file without directories, and a line."""

EVERYTHING: Final[Touch] = ("*", True)
"""Touched by a step that happened only because nobody else could do anything."""

EndKind: TypeAlias = Literal["passed", "failed", "deadlock", "hang", "misfit"]


class Guide(Protocol):
    """Decides who runs next."""

    def choose(self, current: int | None, able: Sequence[int]) -> tuple[int, int]:
        """Name the worker to run next, and for how many points at most before asking again.

        Args:
            current: Who ran last; ``None`` before the first step, and when it cannot go on.
            able: Those who can run, in ascending order; never empty. Programs ask only when there
            is a
                choice: with a single able worker it runs without asking, unless a leg must be
                counted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a timeline: what a worker did in one step, for a person to read."""

    worker: int
    where: str
    """File name and line (``counter.py:7``), or what stands for it."""
    source: str
    """The source line, or the SQL statement."""
    does: str
    """What it did with which values: ``reads value = 0``, ``value: 0 -> 1``. May be empty."""
    touches: tuple[Touch, ...] = ()
    wrote: bool = False
    step: int = 0
    """Index of the step in the trace."""
    stack: tuple[Place, ...] = ()
    """Where it was called from, in code under test, innermost first."""


@dataclass(slots=True, kw_only=True)
class Ending:
    """How one play ended."""

    kind: EndKind = "passed"
    error: BaseException | None = None
    """What the body raised, or the deadlock or hang as an exception ready to be raised."""


@dataclass(slots=True)
class Trace:
    """What happened in one play: parallel lists with one entry for each step.

    A step starts at a point, where a worker may be paused *before* it touches something, and ends
    at the next point of the same worker.
    """

    workers: list[int] = field(default_factory=list)
    labels: list[Hashable] = field(default_factory=list)
    """Where each step started: equal for equal points in every play of the same program."""
    touched: list[tuple[Touch, ...]] = field(default_factory=list)
    changes: list[tuple[int, int, bool]] = field(default_factory=list)
    """``(i, worker, able)``: before step ``i`` this worker became able, or unable, to run. Its
    first entry is its start.
    """
    pending: dict[int, tuple[Hashable, tuple[Touch, ...]]] = field(default_factory=dict)
    """For each worker that did not end: the label and touches of the step it stood before."""
    locks: dict[int, tuple[str, Hashable]] = field(default_factory=dict)
    """Steps that are operations of a lock: ``acquire`` (waits until it is free), ``try`` (looks
    or fails), ``took`` (a ``try`` that got it) or ``release``, and the lock."""
    ending: Ending = field(default_factory=Ending)
    events: list[Event] = field(default_factory=list)
    """Filled only when the play was asked to explain."""
    names: dict[int, str] = field(default_factory=dict)
    """What to call each worker in texts; ``worker 0`` where absent (see `worker_name`)."""
    held: set[int] = field(default_factory=set)
    """Steps before which nobody could come, because lines were held together."""
    coarse: bool = False
    """Some resources are ``("?", name)``, any object's, or ``(object, "*")``, anything of it."""
    before: int | None = None
    """How many threads the code had started itself when the body first gave calls to ``run``."""
    stuck: bool = False
    """A worker waited outside, for as long as is waited for it in real time."""
    spun: bool = False
    """A worker was made to yield because it ran on and on: nothing is complete any more."""


class Program(Protocol):
    """Something whose workers can be played in an order of our choice, from the start."""

    def play(self, guide: Guide, *, record: bool = True, explain: bool = False) -> Trace:
        """Run everything once, in the order that the guide chooses.

        Args:
            guide: Who runs next.
            record: Whether steps and what they touch are wanted, or only the ending.
            explain: Whether events for a timeline are wanted, however slow.
        """
        ...


def worker_name(worker: int, names: dict[int, str] | None = None) -> str:
    """Name a worker as texts do.

    >>> worker_name(1), worker_name(0)
    ('worker 0', 'the body')
    """
    if names and worker in names:
        return names[worker]
    return "the body" if worker == BODY else f"worker {worker - 1}"
