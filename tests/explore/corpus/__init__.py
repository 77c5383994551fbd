"""Small concurrent programs: buggy ones that must be caught, correct ones that must pass.

Each is a body for `interleave`. A correct one that owes its correctness to one thing (a lock, an
atomic step, a check) takes that thing as an argument, so that its mutant is the very same program
with the thing taken away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

_MODULES = (
    "lost_updates",
    "stale_checks",
    "torn_reads",
    "deadlocks",
    "lost_wakeups",
    "own_threads",
    "deep_orders",
    "guarded_state",
    "guarded_steps",
    "hand_offs",
    "pools",
    "lock_free",
    "await_races",
    "await_correct",
    "await_services",
)
_NOTHING = object()
_programs: list[Program] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program and what exploring it must say."""

    name: str
    kind: str
    body: Callable[[Any], None]
    fails: type[BaseException] | None = None
    says: str = ""
    mutant: Callable[[Any], None] | None = None
    complete: bool = True
    preemptions: int | None = None
    budget: int | None = None
    """Schedules granted where the default must not be spent on a program known to be large."""


def buggy(
    kind: str,
    *,
    fails: type[BaseException] = AssertionError,
    says: str = "",
    preemptions: int | None = None,
    since: tuple[int, int] = (3, 11),
):
    """Register a body that must be caught, with the exception that tells."""

    def register(body):
        if sys.version_info >= since:
            _programs.append(
                Program(
                    name=body.__name__,
                    kind=kind,
                    body=body,
                    fails=fails,
                    says=says,
                    preemptions=preemptions,
                )
            )
        return body

    return register


def correct(
    kind: str,
    *,
    sound: object = _NOTHING,
    broken: object = _NOTHING,
    fails: type[BaseException] = AssertionError,
    complete: bool = True,
    budget: int | None = None,
):
    """Register a body that must pass with `sound`, and be caught with `broken` in its place."""

    def register(body):
        whole, mutant = body, None
        if sound is not _NOTHING:
            whole = _given(body, sound)
        if broken is not _NOTHING:
            mutant = _given(body, broken)
        _programs.append(
            Program(
                name=body.__name__,
                kind=kind,
                body=whole,
                mutant=mutant,
                fails=fails if mutant else None,
                complete=complete,
                budget=budget,
            )
        )
        return body

    return register


def _given(body, thing):
    def with_thing(run):
        body(run, thing)

    with_thing.__name__ = body.__name__
    with_thing.__qualname__ = body.__qualname__
    return with_thing


def programs(only: str) -> list[Program]:
    """Return the buggy programs, the correct ones, or the correct ones that have a mutant."""
    for module in _MODULES:
        import_module(f"{__name__}.{module}")
    names = [program.name for program in _programs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        msg = f"two programs share a name: {sorted(twice)}"
        raise ValueError(msg)
    chosen = {
        "buggy": lambda program: program.fails is not None and program.mutant is None,
        "correct": lambda program: program.fails is None or program.mutant is not None,
        "mutants": lambda program: program.mutant is not None,
    }[only]
    return [program for program in _programs if chosen(program)]


class NoLock:
    """Looks like a lock, a semaphore or a condition, and keeps nobody out."""

    def __init__(self, *_):
        """Take what a semaphore or a condition takes."""

    def acquire(self, *_, **__):
        return True

    def release(self, *_):
        return None

    def __enter__(self):
        return True

    def __exit__(self, *_):
        return None
