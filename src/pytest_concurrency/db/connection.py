"""One connection to a database, as it is known from outside."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any, final

from pytest_concurrency.db import drivers
from pytest_concurrency.db.busy import Patience
from pytest_concurrency.db.place import Place
from pytest_concurrency.db.statement import Statement


def current_worker() -> object:
    """Return what runs now: the asyncio task if there is one, else the thread."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is not None:
            return task
    return threading.current_thread()


@final
class WatchedConnection:
    """What is known about one connection to the database.

    Attributes:
        number: The server's own number for it, else a running number.
        session: The name of the session that uses it, if it has one.
        driver: The driver's connection.
        opened: The line that took it out of the pool; ``None`` while it is in the pool.
        checked_out: Whether it is out of the pool.
        begun_ns: When its transaction began; ``None`` outside of one.
        last: The last statement it carried.
        returned_dirty: Whether it went back to the pool inside a transaction.
        dirty_after: Its last statement before that.
        shared: The two places where two workers used it at the same time.
        locked: The last statement that named a lock of the session.
        wrote: Whether the transaction holds SQLite's write lock.
    """

    def __init__(self, number: int, driver: Any) -> None:  # noqa: D107  (made by the watch)
        self.number = number
        self.driver = driver
        self.session: str | None = None
        self.opened: Place | None = None
        self.checked_out = False
        self.begun_ns: int | None = None
        self.last: Statement | None = None
        self.current: Statement | None = None
        self.returned_dirty = False
        self.dirty_after: Statement | None = None
        self.locked: Statement | None = None
        self.shared: tuple[Place | None, Place | None] | None = None
        self.wrote = False
        self.user: object = None
        self.user_place: Place | None = None
        self.worker: object = None
        self.proxy: weakref.ref[Any] | None = None
        self.named_locks: set[str] = set()
        self.patience: Patience | None = None

    @property
    def name(self) -> str:
        """The session's name, or ``connection 4121``."""
        return self.session or f"connection {self.number}"

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as the driver knows it."""
        known = drivers.in_transaction(self.driver)
        return self.begun_ns is not None if known is None else known

    def waited_since(self, moment_ns: int) -> bool:
        """Tell whether SQLite has refused it a lock for some time since a moment."""
        return self.patience is not None and self.patience.refused_ns >= moment_ns
