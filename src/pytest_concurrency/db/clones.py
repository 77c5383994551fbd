"""Clones of a template, made in the background before a test asks for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, Queue, SimpleQueue
from typing import TYPE_CHECKING, final

from pytest_concurrency.db.database import Database
from pytest_concurrency.errors import InternalError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Job = Callable[["Connection"], None]

_PATIENCE = 60.0


@final
class Janitor:
    """Makes and drops databases while tests run, in a thread that is started when needed."""

    def __init__(self, admin: Engine) -> None:
        """Work with connections of an engine."""
        self._admin = admin
        self._jobs: SimpleQueue[tuple[Job, Callable[[Exception], None]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, job: Job, *, failed: Callable[[Exception], None] = lambda _: None) -> None:
        """Do a job after those that wait already.

        Args:
            job: What to do, on a connection of the engine.
            failed: Told why it could not be done. What is not dropped is dropped at the end.
        """
        self._jobs.put((job, failed))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="clones", daemon=True)
            self._thread.start()

    def alone(self, action: Callable[[], None]) -> None:
        """Do something between two jobs, and return when it is done."""
        done: Queue[Exception | None] = Queue()

        def job(connection: Connection) -> None:
            connection.invalidate()
            action()
            done.put(None)

        self.do(job, failed=done.put)
        error = done.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """End after the last job."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(_PATIENCE)
            self._thread = None

    def _work(self) -> None:
        while (order := self._jobs.get()) is not None:
            job, failed = order
            try:
                with self._admin.connect() as connection:
                    job(connection)
            except Exception as error:  # noqa: BLE001  (whoever ordered it is told)
                failed(error)


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
        make: Callable[[], tuple[str, Job]],
        wrap: Callable[[str], Database],
        janitor: Janitor,
        ahead: int,
    ) -> None:
        """Begin to make clones.

        Args:
            name: The name it was declared under.
            make: Returns a name for a clone and the job that makes it.
            wrap: Returns the database of that name.
            janitor: Does the jobs.
            ahead: How many clones to have ready.
        """
        self.name = name
        self._make = make
        self._wrap = wrap
        self._janitor = janitor
        self._ready: Queue[str | BaseException] = Queue()
        for _ in range(ahead):
            self._order()

    def clone(self) -> Database:
        """Return a fresh copy, ready to connect to, and order the next one."""
        self._order()
        try:
            made = self._ready.get(timeout=_PATIENCE)
        except Empty:
            msg = f"no clone of {self.name!r} was made within {_PATIENCE:g} s"
            raise InternalError(msg) from None
        if isinstance(made, BaseException):
            raise made
        return self._wrap(made)

    def _order(self) -> None:
        name, job = self._make()

        def make(admin: Connection) -> None:
            job(admin)
            self._ready.put(name)

        self._janitor.do(make, failed=self._ready.put)
