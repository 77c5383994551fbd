"""Running alone: a readers-writer lock between processes, in which no writer starves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Literal

_SLOTS: Final = 256
_FIRST_NAP: Final = 0.001
_LONGEST_NAP: Final = 0.05

Way = Literal["shared", "alone"]


class Exclusive:
    """Lets many processes run together, or one of them alone.

    Everyone passes a gate before entering. Whoever wants to be alone keeps the gate shut behind
    itself while those inside leave, so newcomers wait and it is never overtaken for ever. The
    kernel takes the locks of a process that dies away from it.

    Args:
        directory: Where the lock files are; the same one for every process.
    """

    def __init__(self, directory: Path) -> None:
        """Use two files of a directory, made if they are missing."""
        directory.mkdir(parents=True, exist_ok=True)
        self._gate = directory / "gate"
        self._room = directory / "room"

    @contextmanager
    def shared(self) -> Iterator[float]:
        """Be inside with others, and yield the seconds waited."""
        began = monotonic()
        with ExitStack() as inside:
            with _locked(self._gate, "alone"):
                inside.enter_context(_locked(self._room, "shared"))
            yield monotonic() - began

    @contextmanager
    def alone(self) -> Iterator[float]:
        """Be inside with nobody else, and yield the seconds waited."""
        began = monotonic()
        with _locked(self._gate, "alone"), _locked(self._room, "alone"):
            yield monotonic() - began


@contextmanager
def _locked(path: Path, way: Way) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        release = _take(descriptor, way)
        try:
            yield
        finally:
            release()
    finally:
        os.close(descriptor)


def _take(descriptor: int, way: Way) -> Any:
    """Take a lock, and return what gives it back."""
    try:
        import fcntl
    except ImportError:
        return _take_bytes(descriptor, way)
    fcntl.flock(descriptor, fcntl.LOCK_EX if way == "alone" else fcntl.LOCK_SH)
    return lambda: fcntl.flock(descriptor, fcntl.LOCK_UN)


def _take_bytes(descriptor: int, way: Way) -> Any:
    """Take a lock where files have only exclusive ones: one byte of many, or all of them."""
    from importlib import import_module

    msvcrt = import_module("msvcrt")
    nap, slot = _FIRST_NAP, os.getpid()
    while True:
        slot = (slot + 1) % _SLOTS
        first, count = (0, _SLOTS) if way == "alone" else (slot, 1)
        os.lseek(descriptor, first, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, count)
        except OSError:
            sleep(nap)
            nap = min(nap * 2, _LONGEST_NAP)
            continue

        def release(first: int = first, count: int = count) -> None:
            os.lseek(descriptor, first, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, count)

        return release
