"""The memory of this process and its children: the peak while something ran."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_EVERY_SECONDS: Final = 0.02
_KB: Final = 1024


class MemoryPeak:
    """The most memory above the start while its block ran; made by :func:`track_memory`.

    On Linux the kernel keeps the peak of this process; children, and other systems, are asked
    every 20 ms. Pages that processes share count for each of them, and a child that ends makes no
    room for what grows elsewhere.
    """

    def __init__(self) -> None:
        """Prepare to track; the block starts it."""
        self._start = self._highest = (0, 0)
        self._is_peak_kept = False
        self._stop = threading.Event()
        self._sampler: threading.Thread | None = None

    @property
    def peak_bytes(self) -> int:
        """The peak above the start, so far."""
        return sum(
            highest - start for start, highest in zip(self._start, self._highest, strict=True)
        )

    def __enter__(self) -> Self:
        """Start to track."""
        self._is_peak_kept = _forget_peak()
        self._start = self._highest = (_resident_of(os.getpid()), _of_children())
        self._stop.clear()
        self._sampler = threading.Thread(target=self._sample, name="slo-memory", daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop to track."""
        self._stop.set()
        if self._sampler is not None:
            self._sampler.join()
        self._look()

    def _sample(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        own = _status_bytes("VmHWM") if self._is_peak_kept else None
        mine = own if own is not None else _resident_of(os.getpid())
        self._highest = (max(self._highest[0], mine), max(self._highest[1], _of_children()))


def track_memory() -> MemoryPeak:
    """Track the peak memory of a block.

    >>> with track_memory() as memory:
    ...     block = bytearray(50_000_000)
    >>> memory.peak_bytes > 40_000_000
    True
    """
    return MemoryPeak()


def resident_bytes() -> int:
    """Return the memory that this process and its children hold."""
    return _resident_of(os.getpid()) + _of_children()


def _of_children() -> int:
    return sum(map(_resident_of, _children()))


def _resident_of(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return _asked_of_psutil(pid)


def _asked_of_psutil(pid: int) -> int:
    import psutil  # type: ignore[import-untyped]

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _children() -> list[int]:
    """Return the ids of the children, grandchildren and so on."""
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        for pid in _children_of(waiting.pop()):
            found.append(pid)
            waiting.append(pid)
    return found


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                text = (task / "children").read_text(encoding="ascii")
                found += [int(each) for each in text.split()]
    return found


def _forget_peak() -> bool:
    """Have the kernel forget this process's peak, and return whether it did."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return _status_bytes("VmHWM") is not None


def _status_bytes(name: str) -> int | None:
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KB
    return None
