"""A connection pool that tells who waits for it, which SQLAlchemy's own does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection, QueuePool


class Waits:
    """Who waited for a connection, since the process began.

    Attributes:
        now: How many wait at this moment.
        count: How many have waited.
        seconds: How long, all of them together.
        timeouts: How many in vain.
    """

    def __init__(self) -> None:
        """Begin at nought."""
        self.now = self.count = self.timeouts = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one who waits."""
        begun = perf_counter()
        with self._lock:
            self.now += 1
        in_vain = False
        try:
            yield
        except PoolTimeout:
            in_vain = True
            raise
        finally:
            with self._lock:
                self.now -= 1
                self.count += 1
                self.seconds += perf_counter() - begun
                self.timeouts += in_vain


class CountedPool(QueuePool):
    """A pool that counts those who find it empty."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Make a pool, as SQLAlchemy does."""
        super().__init__(*args, **options)
        self.waits = Waits()

    def connect(self) -> PoolProxiedConnection:
        """Return a connection, and count the wait if there is one."""
        if self.free() > 0:
            return super().connect()
        with self.waits.counted():
            return super().connect()

    def free(self) -> int:
        """Return how many more connections may be taken out without waiting."""
        return self.size() + self._max_overflow - self.checkedout()

    def in_overflow(self) -> int:
        """Return how many connections are out beyond those that the pool keeps."""
        return max(0, self.checkedout() - self.size())

    def recreate(self) -> QueuePool:
        """Return the pool that follows a disposed one; it goes on counting."""
        follower = super().recreate()
        if isinstance(follower, CountedPool):
            follower.waits = self.waits
        return follower
