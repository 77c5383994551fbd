"""Where each worker keeps its samples and its open blocks."""

from __future__ import annotations

import functools
import inspect
import threading
from _thread import get_ident
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from pytest_concurrency.slo.noise import WaitReader
from pytest_concurrency.slo.samples import Samples
from pytest_concurrency.slo.turns import Turns
from pytest_concurrency.slo.waits import open_reader, pread, wait_of_call

P = ParamSpec("P")
T = TypeVar("T")


class Cell:
    """The samples of one worker."""

    __slots__ = ("failed", "ns", "samples", "waits_ns")

    def __init__(self) -> None:
        """Start with no samples."""
        self.samples: Samples = Samples()
        self.ns = self.samples.ns
        self.waits_ns = self.samples.waits_ns
        self.failed = self.samples.failed

    def clear(self) -> None:
        """Drop the samples."""
        del self.ns[:], self.waits_ns[:], self.failed[:]
        self.samples.folded, self.samples.failed_folded = None, 0


class OfThisWorker(threading.local):
    """The cell of the calling thread, and its reader, closed when the thread ends."""

    def __init__(self, cells: list[Cell], *, takes_out_waits: bool) -> None:
        """Make the cell of the calling thread, and keep it among the others."""
        self.cell: Cell = Cell()
        cells.append(self.cell)
        self.reader: WaitReader | None = open_reader() if takes_out_waits else None


class Open:
    """A block that has begun on a worker other than the first, or inside another block."""

    __slots__ = ("before", "outer", "owner", "started_ns", "takes_turn")

    def __init__(self, owner: object, outer: Open | None) -> None:
        """Open a block inside the one that is open in this context."""
        self.owner: object | None = owner
        self.outer: Open | None = outer
        self.before: bytes = b""
        self.started_ns: int = 0
        self.takes_turn: bool = False


INNERMOST: Final[ContextVar[Open | None]] = ContextVar(
    "pytest_concurrency_open_block", default=None
)


class Beside:
    """The open blocks of other threads and tasks, and of blocks inside blocks, of one timer.

    Attributes:
        open: The blocks that have begun and not ended.
    """

    def __init__(
        self, cells: list[Cell], *, takes_out_waits: bool, turns: Turns | None = None
    ) -> None:
        """Add a cell to the others for each thread that takes a sample this way.

        Args:
            cells: Those of all threads.
            takes_out_waits: Read how long each call waited for a processor.
            turns: Who has a turn between blocks of the calling thread.
        """
        self.open: set[Open] = set()
        self.turns: Turns | None = turns
        self._owner = get_ident()
        self._here = OfThisWorker(cells, takes_out_waits=takes_out_waits)

    def enter(self) -> None:
        """Begin a block in this context."""
        opened = Open(self, INNERMOST.get())
        if self.turns is not None and not self.open and self._owner == get_ident():
            opened.takes_turn = True
            self.turns.before()
        INNERMOST.set(opened)
        self.open.add(opened)
        reader = self._here.reader
        if reader is not None:
            opened.before = pread(reader.fd, 64, 0)
        opened.started_ns = perf_counter_ns()

    def exit(self, ended_ns: int, *, failed: bool) -> bool:
        """End the innermost block of this context, and return False if there is none."""
        opened = INNERMOST.get()
        while opened is not None and opened.owner is not self:
            opened = opened.outer
        if opened is None:
            return False
        INNERMOST.set(opened.outer)
        opened.owner = None
        self.open.discard(opened)
        cell, reader = self._here.cell, self._here.reader
        took_ns = ended_ns - opened.started_ns
        waited_ns = 0
        cell.ns.append(took_ns)
        if reader is not None:
            after = pread(reader.fd, 64, 0)
            late_ns = perf_counter_ns() - ended_ns
            waited_ns = wait_of_call(opened.before, after, late_ns, took_ns)
            cell.waits_ns.append(waited_ns)
        if failed:
            cell.failed.append(len(cell.ns) - 1)
        if opened.takes_turn and self.turns is not None:
            self.turns.after(took_ns - waited_ns)
        return True


class Times(Protocol):
    """A timer, as far as wrapping a function goes."""

    def __enter__(self) -> object:
        """Begin a call."""

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: object, /
    ) -> None:
        """End the call."""

    async def __aenter__(self) -> object:
        """Begin a call of a task."""

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the call of a task."""


def timed(timer: Times, function: Callable[P, T]) -> Callable[P, T]:
    """Return the function, or coroutine function, with every call timed."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            async with timer:
                return await function(*args, **kwargs)

        return cast("Callable[P, T]", awaited)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        with timer:
            return function(*args, **kwargs)

    return called
