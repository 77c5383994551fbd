"""Datasets: declared once, the same rows everywhere, fresh or shared."""

import datetime as dt
import enum
import hashlib
import uuid
from decimal import Decimal

import pytest
from sqlalchemy import ForeignKey, Numeric, String, UniqueConstraint, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pytest_concurrency.db import dataset, rows
from pytest_concurrency.db.datasets import DatasetShelf, count_rows
from pytest_concurrency.errors import UsageError


class Model(DeclarativeBase):
    pass


class Role(enum.Enum):
    RESIDENT = "resident"
    FACULTY = "faculty"


class Person(Model):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    code: Mapped[str] = mapped_column(String(4))
    role: Mapped[Role]
    born: Mapped[dt.date]
    seen: Mapped[dt.datetime | None]
    wage: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    share: Mapped[float]
    active: Mapped[bool]
    token: Mapped[uuid.UUID]
    picture: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1)


class Block(Model):
    __tablename__ = "block"
    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[dt.date]


class Assignment(Model):
    __tablename__ = "assignment"
    __table_args__ = (UniqueConstraint("person_id", "block_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    block_id: Mapped[int] = mapped_column(ForeignKey("block.id"))


DAY = dt.date(2025, 1, 1)

CLINIC = dataset(
    "clinic",
    rows(Person, 30, seed=7, role=[Role.RESIDENT, Role.RESIDENT, Role.FACULTY]),
    rows(Block, 14, day=lambda index: DAY + dt.timedelta(days=index // 2)),
    rows(Assignment, 200, seed=7),
)


@dataset
def two_people(session):
    rows(Person, 1, name="ann")(session)
    rows(Person, 1, id=2, name="bob")(session)


@pytest.fixture
def shelf_on(request):
    made = []

    def shelf_on(backend):
        made.append(
            DatasetShelf(request.getfixturevalue(f"{backend}_server"), Model.metadata.create_all)
        )
        return made[-1]

    yield shelf_on
    for shelf in made:
        shelf.close()


BACKENDS = ["sqlite", "postgres", "mariadb"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_same_seed_gives_the_same_rows_on_every_back_end(shelf_on, backend):
    """One digest holds for all back ends and all Pythons."""
    with shelf_on(backend).clone(CLINIC) as database, Session(database.engine()) as session:
        people = session.scalars(select(Person).order_by(Person.id)).all()
        pairs = session.execute(select(Assignment.person_id, Assignment.block_id).order_by("id"))
        known = [
            (p.name, p.code, p.role, p.born, p.seen, str(p.wage), round(p.share, 3), p.active,
             str(p.token), p.picture, p.version)
            for p in people
        ]  # fmt: skip
        content = repr((known, [tuple(pair) for pair in pairs]))

    assert len({name for name, *_ in known}) == 30
    assert {version for *_, version in known} == {1}
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == "360d5f1b3b3721f0"


def test_another_seed_gives_other_rows(sqlite_server):
    """The seed decides."""
    digests = set()
    for seed in (1, 2):
        shelf = DatasetShelf(sqlite_server, Model.metadata.create_all)
        data = dataset(f"seed {seed}", rows(Person, 5, seed=seed))
        with shelf.clone(data) as database, Session(database.engine()) as session:
            digests.add(tuple(session.scalars(select(Person.born).order_by(Person.id))))

    assert len(digests) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_generated_keys_follow_given_ones(shelf_on, backend):
    """A row inserted after the dataset's gets the next key, not one that is taken."""
    with shelf_on(backend).clone(CLINIC) as database, Session(database.engine()) as session:
        block = Block(day=DAY)
        session.add(block)
        session.commit()
        assert block.id == 15


@pytest.mark.parametrize("backend", BACKENDS)
def test_shared_dataset_refuses_writes(shelf_on, backend):
    """The one database that all tests read cannot be written to, and is made once."""
    shelf = shelf_on(backend)
    database = shelf.shared(CLINIC)

    assert shelf.shared(CLINIC) is database
    with database.engine().connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM assignment")) == 200
        with pytest.raises(DBAPIError):
            connection.execute(text("DELETE FROM assignment"))


def test_counts_are_known(shelf_on):
    """How many rows each table has, for the header."""
    shelf = shelf_on("sqlite")

    assert shelf.counts(CLINIC) == {"assignment": 200, "block": 14, "person": 30}
    assert shelf.counts(two_people) == {"person": 2}


def test_function_declares_a_dataset(shelf_on):
    """A function that fills a session is a dataset of its name."""
    assert two_people.name == "two_people"
    with shelf_on("sqlite").clone(two_people) as database:
        assert count_rows(database.engine()) == {"person": 2}


def test_misspelt_attribute_is_corrected():
    """An attribute that the class does not have is named, and the near one."""
    with pytest.raises(UsageError) as caught:
        rows(Person, 3, nme="ann")

    assert str(caught.value) == "rows(Person): no attribute 'nme'. Write name=..."


def test_missing_parents_are_named(shelf_on):
    """A foreign key with nothing to point at says what to add before it."""
    with pytest.raises(UsageError) as caught:
        shelf_on("sqlite").clone(dataset("orphans", rows(Assignment, 1)))

    assert str(caught.value) == (
        "rows(assignment): 'person_id' refers to 'person', which has no rows yet. "
        "Put rows(...) of that table before it."
    )


def test_more_rows_than_the_constraints_allow_is_told(shelf_on):
    """Four pairs cannot make two hundred different rows."""
    data = dataset("tight", rows(Person, 2), rows(Block, 2), rows(Assignment, 200))
    with pytest.raises(UsageError) as caught:
        shelf_on("sqlite").clone(data)

    assert str(caught.value) == (
        "rows(assignment, 200): the unique constraints leave room for about 4 rows. "
        "Ask for fewer, or for more rows of the tables it refers to."
    )
