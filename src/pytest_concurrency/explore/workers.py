"""Workers, and the pooled real threads that they run on."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Hashable
from typing import Any, final

from pytest_concurrency.explore.program import Touch

_start = threading.Thread.start
_join = threading.Thread.join
_allocate = _thread.allocate_lock


class Abandoned(BaseException):
    """Unwinds a worker whose schedule is over."""


@final
class Seat:
    """A real thread that one worker after the other runs on, and the lock that wakes it."""

    __slots__ = ("baton", "ident", "job", "thread")

    def __init__(self, number: int) -> None:
        """Start the thread; it waits for its first job."""
        self.baton = _allocate()
        self.baton.acquire()
        self.job: Callable[[], object] | None = None
        self.ident = 0
        self.thread = threading.Thread(target=self._sit, name=f"explorer-{number}", daemon=True)
        ready = _allocate()
        ready.acquire()
        self.job = ready.release
        try:
            _start(self.thread)
            self.baton.release()
            ready.acquire()
        except BaseException:  # a signal's too: nobody would ever end it
            self.job = None
            if self.baton.locked():
                self.baton.release()
            raise

    def _sit(self) -> None:
        self.ident = _thread.get_ident()
        while True:
            self.baton.acquire()
            job, self.job = self.job, None
            if job is None:
                return
            job()
            del job  # else the whole play lives on until this thread is needed again

    def leave(self, seconds: float) -> bool:
        """End the thread; tell whether it ended in time."""
        self.job = None
        self.baton.release()
        _join(self.thread, seconds)
        return not self.thread.is_alive()


@final
class Pool:
    """Real threads, kept from schedule to schedule and given back at the end."""

    def __init__(self) -> None:
        """Start with none."""
        self._seats: list[Seat] = []
        self._used = 0

    def take(self) -> Seat:
        """Return a seat that no worker of this schedule has."""
        if self._used == len(self._seats):
            self._seats.append(Seat(self._used))
        seat = self._seats[self._used]
        self._used += 1
        return seat

    def clear(self) -> None:
        """Make all seats free for the next schedule."""
        self._used = 0

    def lose(self, seat: Seat) -> None:
        """Forget a seat whose thread cannot be had back."""
        self._seats.remove(seat)

    def close(self) -> None:
        """End the threads."""
        seats, self._seats = self._seats, []
        for seat in seats:
            seat.leave(1.0)


@final
class Worker:
    """One of those that a schedule orders."""

    __slots__ = (
        *(
            "able",
            "arrived",
            "baton",
            "call",
            "daemon",
            "deadline",
            "ended",
            "error",
            "frame",
            "held",
            "ident",
            "number",
        ),
        *(
            "open",
            "pending",
            "ready",
            "region",
            "seat",
            "thread",
            "timed_out",
            "value",
            "wants",
        ),
    )

    def __init__(self, number: int, seat: Seat | None, call: Callable[[], Any]) -> None:
        """Seat a worker.

        Args:
            number: Its number in this schedule.
            seat: The thread it runs on; none for the body, which runs where it is.
            call: What it does.
        """
        self.number = number
        self.seat = seat
        self.call = call
        self.baton = _allocate() if seat is None else seat.baton
        if seat is None:
            self.baton.acquire()
        self.ident: int = _thread.get_ident() if seat is None else seat.ident
        self.able = True
        self.arrived = True
        self.ready: Callable[[], bool] | None = None
        self.deadline: float | None = None
        self.timed_out = False
        self.pending: tuple[Hashable, tuple[Touch, ...]] | None = None
        self.wants: Any = None
        self.frame: Any = None
        self.held: dict[Any, Any] = {}
        self.open: Any = None
        self.ended = False
        self.error: BaseException | None = None
        self.value: Any = None
        self.thread: threading.Thread | None = None
        self.daemon = False
        self.region: object = None
