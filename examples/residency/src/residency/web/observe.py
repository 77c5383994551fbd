"""What is seen of each request: a line in the log, and figures for Prometheus."""

from __future__ import annotations

from time import perf_counter
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from sqlalchemy import Engine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from residency.web.pool import PoolFigures

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
logger = structlog.get_logger()


def configure_logs(*, as_json: bool) -> None:
    """Write logs as lines for people, or as JSON for machines."""
    lines = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    last: structlog.types.Processor = structlog.processors.JSONRenderer() if as_json else lines
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *([structlog.processors.format_exc_info] if as_json else []),
            last,
        ]
    )


class Metrics:
    """The figures of one application."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "residency_request_seconds",
            "How long requests took",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.requests = Counter(
            "residency_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )

    def watch_pool(self, engine: Engine) -> None:
        """Show how an engine's connections are used."""
        self.registry.register(PoolFigures(engine))

    def page(self) -> bytes:
        """Return all figures, as Prometheus reads them."""
        return generate_latest(self.registry)


class Observe:
    """Counts, times and logs every request, and gives it a number for the log."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: bool) -> None:
        """Observe an application.

        Args:
            app: What answers.
            metrics: Where to count.
            log: Whether to write a line for each request.
        """
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = uuid4().hex
        status = 500
        begun = perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            elif not message.get("more_body", False):
                # Before it is sent: who has the answer finds it counted.
                self._note(scope, status, perf_counter() - begun, number)
            await send(message)

        with structlog.contextvars.bound_contextvars(request=number):
            await self._app(scope, receive, watched)

    def _note(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.seconds.labels(scope["method"], route).observe(seconds)
        self._metrics.requests.labels(scope["method"], route, status).inc()
        if self._log:
            logger.info(
                "request",
                request=number,
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(seconds * 1000, 1),
            )
