"""What the machine did to the samples: waits for a processor, stolen time, a slower clock."""

from __future__ import annotations

import gc
import os
from _thread import get_ident
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns, process_time_ns, thread_time_ns
from typing import Any, Final

_WAITS: Final = "/proc/thread-self/schedstat"
_CANARY_STEPS: Final = 300
_OWN_THREADS_MATTER: Final = 0.05
_STOLEN_MATTERS: Final = 0.02
_SLOWER_MATTERS: Final = 1.02


class WaitReader:
    """Reads how long the thread that made it has waited for a processor since it began.

    Raises:
        OSError: This kernel does not tell.
    """

    __slots__ = ("fd",)

    def __init__(self) -> None:
        """Open the kernel's figures of the calling thread."""
        self.fd: int = os.open(_WAITS, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def read_ns(self) -> int:
        """Return the nanoseconds waited so far."""
        return waited_ns(os.pread(self.fd, 64, 0))

    def __del__(self, *, close: Callable[[int], None] = os.close) -> None:
        """Close the file; a thread's reader goes when the thread ends, or the interpreter."""
        if hasattr(self, "fd"):
            close(self.fd)


def waited_ns(line: bytes) -> int:
    """Return the second figure of a line of the kernel: the time waited for a processor.

    >>> waited_ns(b"76683 50866 2")
    50866
    """
    return int(line.split(b" ", 2)[1])


def are_waits_known() -> bool:
    """Return whether this kernel tells how long a thread waited for a processor."""
    try:
        WaitReader().read_ns()
    except (OSError, IndexError, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What the machine did while samples were taken.

    Attributes:
        seconds: How long samples were taken.
        excused: The share of the waits for a processor that other processes caused.
        stolen: The share of processor time that the hypervisor gave to other machines.
        pressure: The share of the time in which some process waited for a processor.
        slowdown: How much slower a fixed piece of work ran than at its best, if it was run.
        collections: How many garbage collections ran.
        collecting_ns: How long they took together.
        canary_ns: The fastest run of that work meanwhile, the unit between machines.
    """

    seconds: float = 0.0
    excused: float = 1.0
    stolen: float = 0.0
    pressure: float = 0.0
    slowdown: float | None = None
    collections: int = 0
    collecting_ns: int = 0
    canary_ns: int | None = None

    @property
    def factor(self) -> float:
        """By how much a latency may be too high because of the machine, 1 when it is clean."""
        factor = 1.0
        if self.slowdown is not None:
            factor = max(factor, self.slowdown)
        if self.stolen > _STOLEN_MATTERS:
            factor /= 1 - min(self.stolen, 0.9)
        return factor

    def __str__(self) -> str:
        """Say what is worth saying, in a few words; empty on a quiet machine."""
        parts = []
        if self.slowdown is not None and self.slowdown > _SLOWER_MATTERS:
            parts.append(f"{self.slowdown:.2f} times slower than at its best")
        if self.stolen > _STOLEN_MATTERS:
            parts.append(f"with {self.stolen * 100:.0f} % of its time stolen")
        return ", ".join(parts)


def canary_ns() -> int:
    """Return how long a fixed piece of work took, the faster of two runs."""
    best = None
    for _ in range(2):
        started_ns = perf_counter_ns()
        total = 0
        for step in range(_CANARY_STEPS):
            total += step * step % 7
        took_ns = perf_counter_ns() - started_ns
        best = took_ns if best is None else min(best, took_ns)
    return best or 1


def fastest_canary_ns(runs: int = 50) -> int:
    """Return how long the fixed piece of work takes at its best, for a baseline's unit."""
    return min(canary_ns() for _ in range(runs))


class NoiseWatch:
    """Watches the machine while samples are taken.

    Args:
        reference_ns: How long the fixed piece of work takes on this machine at its best; the
            fastest run of this watch if unknown.
        times_collections: Time garbage collection too, until :meth:`close`.
        on_pause: Called with the nanoseconds of each collection, in the thread that collected.
    """

    def __init__(
        self,
        *,
        reference_ns: int | None = None,
        times_collections: bool = True,
        on_pause: Callable[[int], None] | None = None,
    ) -> None:
        """Begin to watch."""
        self._on_pause = on_pause
        self._thread = get_ident()
        self._reference_ns = reference_ns
        self._canaries: list[int] = []
        self._pauses: list[int] = []
        self._pause_began_ns = 0
        self._began_ns = perf_counter_ns()
        self._machine = _machine_ticks()
        self._pressure_us = _pressure_us()
        self._own_ns = process_time_ns()
        self._thread_ns = thread_time_ns()
        if times_collections:
            gc.callbacks.append(self._on_collection)

    @property
    def fastest_ns(self) -> int | None:
        """The fastest run of the fixed piece of work, for the next watch's reference."""
        known = [*self._canaries, *([self._reference_ns] if self._reference_ns else [])]
        return min(known, default=None)

    @property
    def pauses_ns(self) -> int:
        """How long garbage collection has taken so far."""
        return sum(self._pauses)

    def tick(self) -> None:
        """Run the fixed piece of work once, between two samples."""
        self._canaries.append(canary_ns())

    def read(self, *, workers: int = 1) -> Noise:
        """Return what happened since the watch began; it goes on.

        Args:
            workers: How many threads took samples, if it was not only the one that began to
                watch.
        """
        span_ns = max(1, perf_counter_ns() - self._began_ns)
        busy, stolen, total = (
            now - then for now, then in zip(_machine_ticks(), self._machine, strict=True)
        )
        return Noise(
            seconds=span_ns / 1e9,
            excused=self._excused(busy, span_ns, workers),
            stolen=stolen / total if total > 0 else 0.0,
            pressure=min(1.0, (_pressure_us() - self._pressure_us) * 1e3 / span_ns),
            slowdown=self._slowdown(),
            collections=len(self._pauses),
            collecting_ns=sum(self._pauses),
            canary_ns=min(self._canaries, default=None),
        )

    def close(self) -> None:
        """Stop watching garbage collection."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def _excused(self, busy_ns: float, span_ns: int, workers: int) -> float:
        own_ns = process_time_ns() - self._own_ns
        sampled_ns = own_ns / workers
        if workers == 1 and self._thread == get_ident():
            sampled_ns = thread_time_ns() - self._thread_ns
        own_others_ns = max(0.0, own_ns - sampled_ns)
        if own_others_ns <= _OWN_THREADS_MATTER * span_ns:
            return 1.0
        foreign_ns = max(0.0, busy_ns - own_ns)
        return foreign_ns / (foreign_ns + own_others_ns)

    def _slowdown(self) -> float | None:
        fastest = self.fastest_ns
        if not self._canaries or not fastest:
            return None
        return sorted(self._canaries)[len(self._canaries) // 2] / fastest

    def _on_collection(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._pause_began_ns = perf_counter_ns()
        elif self._pause_began_ns:
            took_ns = perf_counter_ns() - self._pause_began_ns
            self._pauses.append(took_ns)
            if self._on_pause is not None:
                self._on_pause(took_ns)


def _machine_ticks() -> tuple[float, float, float]:
    """Return the machine's busy, stolen and whole processor time in nanoseconds."""
    line = _first_line("/proc/stat", lambda text: text.startswith("cpu "))
    if line is None:
        return 0.0, 0.0, 0.0
    user, nice, system, idle, iowait, irq, softirq, steal = (
        int(each) * 1e9 / os.sysconf("SC_CLK_TCK") for each in line.split()[1:9]
    )
    busy = user + nice + system + irq + softirq
    return busy, steal, busy + steal + idle + iowait


def _pressure_us() -> int:
    """Return for how many microseconds some process has waited for a processor."""
    line = _first_line("/proc/pressure/cpu", lambda text: text.startswith("some "))
    return int(line.rpartition("total=")[2]) if line else 0


def _first_line(path: str, is_wanted: Callable[[str], bool]) -> str | None:
    try:
        with Path(path).open(encoding="ascii") as lines:
            return next((line for line in lines if is_wanted(line)), None)
    except OSError:
        return None
