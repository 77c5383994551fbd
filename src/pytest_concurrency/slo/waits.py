"""How long each call of one thread waited for a processor, read no oftener than it can change."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from pytest_concurrency.slo.noise import WaitReader, waited_ns

pread: Callable[[int, int, int], bytes] = getattr(os, "pread", lambda *_: b"")

SETTLED_NS: Final = 20_000
"""Two readings this near to each other have no wait for a processor between them."""

_SLACK_NS: Final = 50_000
_SWITCHES: Final = slice(14, 16)
"""Where ``getrusage`` has how often a thread gave its processor up, and how often it lost it."""


def open_reader() -> WaitReader | None:
    """Return a reader for the calling thread, or None if the kernel does not tell."""
    try:
        reader = WaitReader()
        reader.read_ns()
    except (OSError, IndexError, ValueError):
        return None
    return reader


def wait_of_call(before: bytes, after: bytes, late_ns: int, took_ns: int) -> int:
    """Return how long a call waited for a processor, from the kernel's lines around it.

    A processor lost after the call and before the second line was read shows as time that passed
    since the call ended; a wait of that length belongs to it and not to the call.
    """
    if before == after:
        return 0
    waited = waited_ns(after) - waited_ns(before)
    if late_ns > SETTLED_NS and waited >= late_ns - _SLACK_NS:
        waited -= late_ns
    return min(max(waited, 0), took_ns)


def settled(fd: int) -> tuple[bytes, int]:
    """Return the kernel's line and the clock, read with no wait for a processor in between."""
    while True:
        asked_ns = perf_counter_ns()
        line = pread(fd, 64, 0)
        read_ns = perf_counter_ns()
        if read_ns - asked_ns < SETTLED_NS:
            return line, read_ns


class Waits:
    """The waits of one thread's calls.

    A thread that has kept its processor has not waited for one. So the kernel's figure is read
    only where the count of switches, which costs a third of it, has changed.
    """

    __slots__ = ("_append", "_before", "_fd", "_read_ns", "_switches", "_usage", "_who")

    def __init__(self, reader: WaitReader, waits_ns: array[int]) -> None:
        """Append to an array, for the thread that made the reader."""
        from resource import RUSAGE_THREAD, getrusage

        self._fd = reader.fd
        self._append = waits_ns.append
        self._usage: Callable[[int], Any] = getrusage
        self._who = RUSAGE_THREAD
        self._before, self._read_ns = b"", -SETTLED_NS - 1  # never yet
        self._switches: Any = None

    def begin(self) -> int:
        """Return when a call begins: now, once it is known how long was waited before."""
        asked_ns = perf_counter_ns()
        if asked_ns - self._read_ns <= SETTLED_NS:
            return asked_ns
        switches = self._usage(self._who)[_SWITCHES]
        if switches == self._switches:
            started_ns = perf_counter_ns()
            if started_ns - asked_ns <= SETTLED_NS:
                return started_ns
        self._switches = switches  # read before the line: what comes between is found at the end
        self._before, started_ns = settled(self._fd)
        return started_ns

    def end(self, ended_ns: int, started_ns: int) -> None:
        """Append how long a call waited that has just ended."""
        switches = self._usage(self._who)[_SWITCHES]
        if switches == self._switches:
            self._append(0)
            self._read_ns = perf_counter_ns()
            return
        after = pread(self._fd, 64, 0)
        self._read_ns = read_ns = perf_counter_ns()
        took_ns = ended_ns - started_ns
        self._append(wait_of_call(self._before, after, read_ns - ended_ns, took_ns))
        self._before, self._switches = after, switches
