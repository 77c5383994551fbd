"""The rate limit: one client's requests, counted; those beyond are refused with 429."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, cast

import structlog
from limits import parse
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from starlette.types import ASGIApp, Receive, Scope, Send

from residency.web.problems import TooManyRequests, refusal

UNLIMITED = ("/health", "/metrics")
CONNECTIONS = 10
"""So many requests are counted at a time; a rush opens no hundreds of connections to Redis."""
PATIENCE = 1.0
"""For how many seconds Redis is waited for."""
FAILURES = 3
"""So many failures in a row, and nothing is counted for a while."""
REST = 5.0
"""How many seconds that is."""
logger = structlog.get_logger()


class RateLimit:
    """Refuses the requests of a client that sends too many.

    If what counts them fails, everybody is let through: planning goes on without a limit.
    """

    def __init__(self, app: ASGIApp, *, limit: str, storage: str) -> None:
        """Put a limit such as ``100/minute`` before an application."""
        self._app = app
        self._limit = parse(limit)
        self._pool = _pool(storage) if storage.startswith("redis") else None
        self._limiter = MovingWindowRateLimiter(_storage(storage, self._pool))
        self._turn = asyncio.Semaphore(CONNECTIONS)
        self._failures = 0
        self._rests_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                if self._pool is not None:
                    await self._pool.aclose()
            return
        if scope["type"] != "http" or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return
        client = scope["client"][0] if scope.get("client") else "unknown"
        wait = await self._wait(client)
        if wait is None:
            await self._app(scope, receive, send)
            return
        detail = f"More than {self._limit} came from {client}."
        answer = refusal(TooManyRequests(detail, advice=f"Wait for {wait} s, then go on."))
        answer.headers["Retry-After"] = str(wait)
        await answer(scope, receive, send)

    async def _wait(self, client: str) -> int | None:
        """Return how many seconds a client has to wait, if it has to."""
        async with self._turn:
            if time.monotonic() < self._rests_until:
                return None
            return await self._count(client)

    async def _count(self, client: str) -> int | None:
        try:
            if await self._limiter.hit(self._limit, client):
                self._failures = 0
                return None
            reset = (await self._limiter.get_window_stats(self._limit, client)).reset_time
        except Exception as error:  # noqa: BLE001 - a limiter may fail in any way
            self._note(error)
            return None
        self._failures = 0
        return max(1, math.ceil(reset - time.time()))

    def _note(self, error: Exception) -> None:
        """Count a failure, and let what fails again and again rest."""
        logger.warning("rate limit not counted", error=repr(error))
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures = 0
            self._rests_until = time.monotonic() + REST


def _storage(url: str, pool: Any) -> Storage:
    """Return what counts requests: this process's memory, or a Redis that all processes share."""
    options = {} if pool is None else {"implementation": "redispy", "connection_pool": pool}
    return cast("Storage", storage_from_string(f"async+{url}", **options))


def _pool(url: str) -> Any:
    """Return connections to Redis that give up rather than keep people waiting."""
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return ConnectionPool.from_url(
        url.replace("redis+unix:", "unix:"),
        max_connections=CONNECTIONS,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
