"""The rate limit: one client's requests, counted; those beyond are refused with 429."""

from __future__ import annotations

import math
import time

import structlog
from limits import parse
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from starlette.types import ASGIApp, Receive, Scope, Send

from residency.web.problems import TooManyRequests, refusal

UNLIMITED = ("/health", "/metrics")
logger = structlog.get_logger()


class RateLimit:
    """Refuses the requests of a client that sends too many.

    If what counts them fails, everybody is let through: planning goes on without a limit.
    """

    def __init__(self, app: ASGIApp, *, limit: str, storage: str) -> None:
        """Put a limit such as ``100/minute`` before an application."""
        self._app = app
        self._limit = parse(limit)
        self._limiter = MovingWindowRateLimiter(storage_from_string(f"async+{storage}"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
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
        try:
            if await self._limiter.hit(self._limit, client):
                return None
            reset = (await self._limiter.get_window_stats(self._limit, client)).reset_time
        except Exception as error:  # noqa: BLE001 - a limiter may fail in any way
            logger.warning("rate limit not counted", error=repr(error))
            return None
        return max(1, math.ceil(reset - time.time()))
