"""The application: one function that makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from residency.services.generation import Planner
from residency.settings import Settings
from residency.store.engine import make_engine
from residency.store.models import Base
from residency.web import assignments, people, plans, runs, swaps, tasks
from residency.web.problems import add_problem_handlers
from residency.web.state import State


def make_app(
    settings: Settings | None = None,
    *,
    engine: Engine | None = None,
    planner: Planner | None = None,
) -> FastAPI:
    """Make the application.

    Args:
        settings: Those of the environment if not given.
        engine: Where the data is; made from the settings if not given, and closed at the end.
        planner: Works schedules out; the constraint solver if not given.
    """
    chosen = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        own = engine is None
        used = engine if engine is not None else _make_engine(chosen)
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="residency") as background:
            app.state.shared = State(
                settings=chosen,
                engine=used,
                sessions=sessionmaker(used, expire_on_commit=False),
                planner=planner or _solver(chosen),
                background=background,
            )
            yield
        if own:
            used.dispose()

    app = FastAPI(title="Residency", version="0.1.0", lifespan=lifespan)
    add_problem_handlers(app)
    for part in (people, assignments, swaps, runs, tasks, plans):
        app.include_router(part.router)
    return app


def _make_engine(settings: Settings) -> Engine:
    engine = make_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout,
    )
    Base.metadata.create_all(engine)
    return engine


def _solver(settings: Settings) -> Planner:
    from residency.solver.planner import make_planner

    return make_planner(seconds=settings.solver_seconds)
