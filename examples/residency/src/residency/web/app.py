"""The application: one function that makes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import sessionmaker

from residency.services.generation import Planner, work_off
from residency.services.idempotency import clean_up
from residency.services.tasks import give_up_left_behind
from residency.settings import Settings
from residency.solver.service import service_planner
from residency.store.engine import engine_of
from residency.web import (
    assignments,
    compliance,
    health,
    people,
    plans,
    resilience,
    runs,
    swaps,
    tasks,
    tokens,
)
from residency.web.cache import Cache, make_cache
from residency.web.limits import RateLimit
from residency.web.observe import Metrics, Observe
from residency.web.problems import RESPONSES, LastResort, add_problem_handlers
from residency.web.state import State

logger = structlog.get_logger()


def make_app(
    settings: Settings | None = None,
    *,
    engine: Engine | None = None,
    planner: Planner | None = None,
    cache: Cache | None = None,
) -> FastAPI:
    """Make the application.

    Args:
        settings: Those of the environment if not given.
        engine: Where the data is; made from the settings if not given, and closed at the end.
        planner: Works schedules out; if not given, the constraint solver, and the fallback's rule
            while that keeps failing.
        cache: Keeps what rarely changes; made from the settings if not given, and closed then.
    """
    chosen = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            used = engine
            if used is None:
                used = engine_of(chosen)
                stack.callback(used.dispose)
            metrics.watch_pool(used)
            app.state.metrics = metrics
            app.state.shared = _state(stack, chosen, used, planner, cache)
            housekeeping = asyncio.create_task(_keep_house(app.state.shared))
            stack.callback(housekeeping.cancel)
            yield

    app = FastAPI(title="Residency", version="0.1.0", lifespan=lifespan, responses=RESPONSES)
    add_problem_handlers(app)
    for part in (tokens, people, assignments, swaps, runs, compliance, resilience, tasks, plans):
        app.include_router(part.router)
    app.include_router(health.router)
    _add_middleware(app, chosen, metrics)
    return app


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Put what every request passes before an application, the outermost last."""
    app.add_middleware(LastResort)
    if settings.rate_limit is not None:
        limit, storage = settings.rate_limit, settings.rate_limit_storage
        app.add_middleware(RateLimit, limit=limit, storage=storage)
    app.add_middleware(Observe, metrics=metrics, log=settings.log_requests)


def _state(
    stack: AsyncExitStack,
    settings: Settings,
    engine: Engine,
    planner: Planner | None,
    cache: Cache | None,
) -> State:
    """Return what requests share; at the end long tasks are told to stop and waited for."""
    generations = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="generation"))
    background = stack.enter_context(ThreadPoolExecutor(4, thread_name_prefix="task"))
    stopping = threading.Event()
    stack.callback(stopping.set)
    if cache is None:
        cache = make_cache(settings.cache_url)
        stack.callback(cache.close)
    return State(
        settings=settings,
        engine=engine,
        sessions=sessionmaker(engine, expire_on_commit=False),
        planner=planner or service_planner(seconds=settings.solver_seconds),
        tokens=tokens.Tokens.of(settings),
        cache=cache,
        generations=generations,
        background=background,
        stopping=stopping,
    )


async def _keep_house(state: State) -> None:
    """Remove expired records and see to what a process left behind, now and then."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.run_in_executor(state.generations, _clean_up, state)
        await asyncio.sleep(state.settings.clean_up_every.total_seconds())


def _clean_up(state: State) -> None:
    try:
        with state.sessions.begin() as session:
            removed = clean_up(session)
            give_up_left_behind(session)
        work_off(state.sessions, planner=state.planner)
    except SQLAlchemyError as error:
        logger.warning("clean-up failed", error=repr(error))
        return
    if removed:
        logger.info("expired idempotency records removed", records=removed)
