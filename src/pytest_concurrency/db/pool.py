"""A connection pool, watched: who took, who waited, how full it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.db.drivers import sync_engine
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """How a pool was used.

    Attributes:
        capacity: How many connections it may have; ``None`` if there is no limit.
        size: How many of them it keeps.
        checkouts: How many times a connection was taken out.
        peak: The most connections that were out at one time.
        overflow: How many connections were out beyond ``size`` at the peak.
        waited_ns: How long each waited for a connection, in order, in nanoseconds: 0 where one was
            free.
        timeouts: How many gave up waiting.
        invalidated: How many connections were thrown away as broken.
        levels: How many connections were out after each checkout.
    """

    capacity: int | None
    size: int
    checkouts: int
    peak: int
    overflow: int
    waited_ns: tuple[int, ...]
    timeouts: int
    invalidated: int
    levels: tuple[int, ...]

    @property
    def waits_ns(self) -> tuple[int, ...]:
        """How long each waited that found the pool empty, in nanoseconds."""
        return tuple(filter(None, self.waited_ns))

    @property
    def saturation(self) -> float:
        """The most that was in use, as a share of the capacity."""
        return self.peak / self._limit()

    def _limit(self) -> int:
        if self.capacity is None:
            msg = (
                "pool: this pool has no limit, so no share of it can be in use. "
                "Give the engine one: create_engine(url, pool_size=5, max_overflow=5)."
            )
            raise UsageError(msg)
        return self.capacity


@final
class PoolWatch:
    """Counts what happens to an engine's pool, from ``with`` to its end.

    Attributes:
        engine: The sync engine.
    """

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        """Watch the pool of an engine.

        Args:
            engine: A sync or an async engine.
        """
        self.engine: Engine = sync_engine(engine)
        self._lock = threading.Lock()
        self._out = 0
        self._levels: list[int] = []
        self._waited: list[int] = []
        self._waiting = 0
        self._timeouts = 0
        self._invalidated = 0
        self._pool: Any = None

    def __enter__(self) -> PoolWatch:
        """Start counting."""
        from sqlalchemy import event

        self._out = self._checked_out()
        for name, listener in self._listeners():
            event.listen(self.engine, name, listener)
        self._follow(self.engine)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop counting."""
        from sqlalchemy import event

        for name, listener in self._listeners():
            event.remove(self.engine, name, listener)
        vars(self._pool).pop("connect", None)

    @property
    def use(self) -> PoolUse:
        """What was counted until now."""
        pool: Any = self.engine.pool
        size = pool.size() if hasattr(pool, "size") else 0
        beyond = getattr(pool, "_max_overflow", -1)
        with self._lock:
            peak = max(self._levels, default=0)
            return PoolUse(
                capacity=size + beyond if size and beyond >= 0 else None,
                size=size,
                checkouts=len(self._levels),
                peak=peak,
                overflow=max(peak - size, 0),
                waited_ns=tuple(self._waited),
                timeouts=self._timeouts,
                invalidated=self._invalidated,
                levels=tuple(self._levels),
            )

    @property
    def waiting(self) -> int:
        """How many have found the pool empty and wait now."""
        return self._waiting

    def _count_waiting(self, more: int) -> None:
        with self._lock:
            self._waiting += more

    def _listeners(self) -> list[tuple[str, Callable[..., None]]]:
        return [
            ("checkout", self._on_checkout),
            ("checkin", self._on_checkin),
            ("invalidate", self._on_invalidate),
            ("engine_disposed", self._follow),
        ]

    def _checked_out(self) -> int:
        pool: Any = self.engine.pool
        return int(pool.checkedout()) if hasattr(pool, "checkedout") else 0

    def _follow(self, _engine: Engine) -> None:
        """Time the pool's ``connect``; an engine that is disposed of gets a new pool."""
        if self._pool is not None:
            vars(self._pool).pop("connect", None)
        self._pool = pool = self.engine.pool
        plain: Callable[[], Any] = pool.connect

        def connect() -> Any:
            full = self._is_full()
            began = perf_counter_ns()
            self._count_waiting(full)
            try:
                return plain()
            except Exception as error:
                self._count_timeout(error)
                raise
            finally:
                self._count_waiting(-full)
                self._waited.append(perf_counter_ns() - began if full else 0)

        vars(pool)["connect"] = connect

    def _is_full(self) -> bool:
        pool: Any = self.engine.pool
        beyond = getattr(pool, "_max_overflow", -1)
        return beyond >= 0 and pool.checkedout() >= pool.size() + beyond

    def _count_timeout(self, error: Exception) -> None:
        from sqlalchemy.exc import TimeoutError as PoolTimeout

        if isinstance(error, PoolTimeout):
            with self._lock:
                self._timeouts += 1

    def _on_checkout(self, *_: object) -> None:
        with self._lock:
            self._out += 1
            self._levels.append(self._out)

    def _on_checkin(self, *_: object) -> None:
        with self._lock:
            self._out = max(self._out - 1, 0)

    def _on_invalidate(self, *_: object) -> None:
        with self._lock:
            self._invalidated += 1
