"""Health, for whoever restarts or balances; figures, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from residency.messages import Health
from residency.web.cache import GuardedCache
from residency.web.state import Shared

router = APIRouter(tags=["health"])


@router.get("/health", responses={503: {"model": Health, "description": "No database"}})
def health(state: Shared, response: Response) -> Health:
    """Say whether the database answers (else 503) and whether the cache does (else degraded)."""
    try:
        with state.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        database = True
    except SQLAlchemyError:
        database = False
        response.status_code = 503
    if not isinstance(state.cache, GuardedCache):
        return Health(status="ok" if database else "degraded", database=database, cache="none")
    cache = state.cache.is_there()
    return Health(
        status="ok" if database and cache else "degraded",
        database=database,
        cache="ok" if cache else "gone",
    )


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Return the figures of this process."""
    return Response(request.app.state.metrics.page(), media_type="text/plain; version=0.0.4")
