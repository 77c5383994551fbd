"""Clones of a template, made in the background before a test asks for one."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from queue import Empty, Queue
from typing import TYPE_CHECKING, final

from pytest_concurrency.db.database import Database
from pytest_concurrency.errors import InternalError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Job = Callable[["Connection"], None]
Failed = Callable[[Exception], None]

_PATIENCE = 60.0
_QUIET = 0.01
_MOST_DEAD = 8


class Rank(IntEnum):
    """What is done first."""

    ALONE = 0
    MAKE_SOON = 1
    MAKE = 2
    DROP = 3


@final
class Janitor:
    """Makes and drops databases while tests run, in a thread that is started when needed.

    What nobody waits for begins a moment later, so that a test that has just taken its database
    has the machine while it connects.
    """

    def __init__(self, admin: Engine) -> None:
        """Work with connections of an engine."""
        self._admin = admin
        self._jobs: list[tuple[Rank, int, Job, Failed]] = []
        self._numbers = count()
        self._changed = threading.Condition()
        self._awaited = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def do(self, job: Job, *, rank: Rank, failed: Failed = lambda _: None) -> None:
        """Do a job after those of its rank that wait already.

        Args:
            job: What to do, on a connection of the engine.
            rank: What kind of job it is.
            failed: Told why it could not be done. What is not dropped is dropped at the end.
        """
        with self._changed:
            heapq.heappush(self._jobs, (rank, next(self._numbers), job, failed))
            self._changed.notify_all()
            if self._thread is None:
                self._stopping = False
                self._thread = threading.Thread(target=self._work, name="clones", daemon=True)
                self._thread.start()

    def hurry(self, more: int) -> None:
        """Begin the next jobs at once while somebody waits for them.

        Args:
            more: 1 when somebody begins to wait, -1 when they have what they waited for.
        """
        with self._changed:
            self._awaited += more
            self._changed.notify_all()

    def alone(self, action: Callable[[], None]) -> None:
        """Do something between two jobs, and return when it is done."""
        done: Queue[Exception | None] = Queue()

        def job(connection: Connection) -> None:
            connection.invalidate()
            action()
            done.put(None)

        self.do(job, rank=Rank.ALONE, failed=done.put)
        error = done.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """Drop what is to be dropped, make nothing more, and end."""
        thread = self._thread
        if thread is None:
            return
        with self._changed:
            self._jobs = [one for one in self._jobs if one[0] is Rank.DROP]
            heapq.heapify(self._jobs)
            self._stopping = True
            self._changed.notify_all()
        thread.join(_PATIENCE)
        self._thread = None

    def _work(self) -> None:
        while (order := self._next()) is not None:
            job, failed = order
            try:
                with self._admin.connect() as connection:
                    job(connection)
            except Exception as error:  # noqa: BLE001  (whoever ordered it is told)
                failed(error)

    def _next(self) -> tuple[Job, Failed] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping)
            self._changed.wait_for(self._is_pressed, timeout=_QUIET)
            if not self._jobs:
                return None
            dead = [one for one in self._jobs if one[0] is Rank.DROP]
            if len(dead) > _MOST_DEAD:  # short tests make more than there is time to drop
                self._jobs.remove(chosen := min(dead))
                heapq.heapify(self._jobs)
            else:
                chosen = heapq.heappop(self._jobs)
            return chosen[2], chosen[3]

    def _is_pressed(self) -> bool:
        return self._awaited > 0 or self._stopping or self._jobs[0][0] <= Rank.MAKE_SOON


@final
class ClonedTemplate:
    """A template on a server, and its clones made ahead.

    Attributes:
        name: The name it was declared under.
    """

    def __init__(
        self,
        *,
        name: str,
        make: Callable[[Connection], Database],
        janitor: Janitor,
        ahead: int,
    ) -> None:
        """Begin to make clones.

        Args:
            name: The name it was declared under.
            make: Makes a clone, with a connection to the server.
            janitor: Does the jobs.
            ahead: How many clones to have ready.
        """
        self.name = name
        self._make = make
        self._janitor = janitor
        self._ready: Queue[Database | Exception] = Queue()
        for _ in range(ahead):
            self._order(Rank.MAKE_SOON)

    def clone(self) -> Database:
        """Return a fresh copy, ready to connect to, and order the next one."""
        # The last one is taken: the next test would have to wait.
        self._order(Rank.MAKE if self._ready.qsize() > 1 else Rank.MAKE_SOON)
        try:
            made = self._ready.get_nowait()
        except Empty:
            made = self._awaited()
        if isinstance(made, Exception):
            raise made
        return made

    def _awaited(self) -> Database | Exception:
        self._janitor.hurry(1)
        try:
            return self._ready.get(timeout=_PATIENCE)
        except Empty:
            msg = f"no clone of {self.name!r} was made within {_PATIENCE:g} s"
            raise InternalError(msg) from None
        finally:
            self._janitor.hurry(-1)

    def _order(self, rank: Rank) -> None:
        self._janitor.do(
            lambda admin: self._ready.put(self._make(admin)),
            rank=rank,
            failed=self._ready.put,
        )
