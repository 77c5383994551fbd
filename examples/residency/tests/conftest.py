"""What all tests share: a clean database on each back end, sessions, the service, two scenarios."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from pytest_concurrency import Database
from sqlalchemy import Engine, MetaData, select
from sqlalchemy.orm import Session, sessionmaker

from datasets import *  # noqa: F403 - fixtures
from engines import roomy_engine, url_of
from residency.services.generation import Draft, Place
from residency.settings import Settings
from residency.store.models import Assignment, Base, Block, Person, RotationTemplate
from residency.web.app import make_app
from residency.web.observe import configure_logs
from serving import serving

MONDAY = date(2026, 1, 5)


@pytest.fixture(scope="session")
def database_schema() -> MetaData:
    """The tables that every test's database has."""
    return Base.metadata


@pytest.fixture
def database_engine(database: Database) -> Iterator[Engine]:
    """The engine of this test's database: that of the service, with room for a crowd."""
    made = roomy_engine(database)
    yield made
    made.dispose()


@pytest.fixture
def engine(database_engine: Engine) -> Engine:
    """The engine of this test's database."""
    return database_engine


@pytest.fixture(scope="session", autouse=True)
def logs() -> None:
    """Logs as the service writes them."""
    configure_logs(as_json=False)


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions as the service makes them."""
    return sessionmaker(engine, expire_on_commit=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrentEdit:
    """One assignment that two people want to edit or to have."""

    assignment: int
    owner: int
    faculty: tuple[int, int]
    block: int
    template: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoShifts:
    """Two of the faculty with a shift each, on different days."""

    faculty: tuple[int, int]
    assignments: tuple[int, int]
    blocks: tuple[int, int]


@pytest.fixture
def concurrent_edit_scenario(sessions: sessionmaker[Session]) -> ConcurrentEdit:
    """An assignment of a third, two of the faculty who want it, a block, a template."""
    with sessions.begin() as session:
        people = [Person(name=name, role="faculty") for name in ("Dr. Chen", "Dr. Ann", "Dr. Bob")]
        template = RotationTemplate(name="Clinic", hours=5.0)
        block = Block(day=MONDAY, half="AM")
        session.add_all([*people, template, block])
        session.flush()
        shift = Assignment(block=block, person=people[0], template=template)
        session.add(shift)
        session.flush()
        return ConcurrentEdit(
            assignment=shift.id,
            owner=people[0].id,
            faculty=(people[1].id, people[2].id),
            block=block.id,
            template=template.id,
        )


@pytest.fixture
def swap_scenario(sessions: sessionmaker[Session]) -> TwoShifts:
    """Two of the faculty, one with a shift on Monday, the other on Tuesday."""
    with sessions.begin() as session:
        people = [Person(name=name, role="faculty") for name in ("Dr. Ann", "Dr. Bob")]
        template = RotationTemplate(name="Clinic", hours=5.0)
        blocks = [Block(day=MONDAY + timedelta(days=number), half="AM") for number in (0, 1)]
        session.add_all([*people, template, *blocks])
        session.flush()
        shifts = [
            Assignment(block=block, person=person, template=template)
            for block, person in zip(blocks, people, strict=True)
        ]
        session.add_all(shifts)
        session.flush()
        return TwoShifts(
            faculty=(people[0].id, people[1].id),
            assignments=(shifts[0].id, shifts[1].id),
            blocks=(blocks[0].id, blocks[1].id),
        )


def plan_everybody(session: Session, first_day: date, last_day: date) -> Draft:
    """Plan everybody for every block, which no solver is needed for."""
    template = session.scalars(select(RotationTemplate.id).limit(1)).one()
    blocks = session.scalars(select(Block.id).where(Block.day.between(first_day, last_day)))
    people = session.scalars(select(Person.id)).all()
    places = [
        Place(block_id=block, person_id=person, template_id=template)
        for block in blocks
        for person in people
    ]
    return Draft(places=places, statistics={"places": len(places)})


class HeldPlanner:
    """A planner that goes on when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.failing = False

    def __call__(self, session: Session, first_day: date, last_day: date) -> Draft:
        self.begun.release()
        if not self.go_on.acquire(timeout=20):
            message = "nobody told the planner to go on"
            raise TimeoutError(message)
        if self.failing:
            message = "no schedule satisfies the rules"
            raise ValueError(message)
        return plan_everybody(session, first_day, last_day)

    def wait_until_begun(self) -> None:
        """Return when one more run has reached the planner."""
        assert self.begun.acquire(timeout=20)


@pytest.fixture
def held_planner() -> HeldPlanner:
    """A planner that goes on when it is told to."""
    return HeldPlanner()


@pytest.fixture
def planner() -> Callable[..., Draft]:
    """A planner that plans everybody, at once."""
    return plan_everybody


@pytest.fixture
def serve(database: Database, engine: Engine) -> Iterator[Callable[..., httpx.Client]]:
    """Serve the application with settings and a planner; returns a client.

    With a setting of the engine, such as ``pool_size``, the service has an engine of its own.
    """
    open_ones: list[Any] = []

    def start(*, planner: Any = plan_everybody, cache: Any = None, **settings: Any) -> httpx.Client:
        quiet = {"authentication": False, "log_requests": False, "database_url": url_of(database)}
        chosen = Settings(**{**quiet, **settings})
        used = None if {"pool_size", "lock_seconds"} & settings.keys() else engine
        app = make_app(chosen, engine=used, planner=planner, cache=cache)
        context = serving(app)
        open_ones.append(context)
        client = context.__enter__()
        app.state.shared.generations.submit(int).result(60)  # it keeps house as it begins
        return client

    yield start
    for context in reversed(open_ones):
        context.__exit__(None, None, None)


@pytest.fixture
def service(serve: Callable[..., httpx.Client]) -> httpx.Client:
    """The service over HTTP, without tokens, on this test's database."""
    return serve()
