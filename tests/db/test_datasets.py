"""Datasets: declared once, the same rows everywhere, fresh or shared."""

import datetime as dt
import enum
import hashlib
import uuid
from decimal import Decimal
from typing import ClassVar

import pytest
from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Numeric,
    Sequence,
    String,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    select,
    text,
)
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


class Ticket(Model):
    __tablename__ = "Ticket"  # which PostgreSQL finds only in quotes
    number: Mapped[int] = mapped_column(Sequence("TicketNumber"), primary_key=True)
    facts: Mapped[dict] = mapped_column(JSON)
    token: Mapped[str] = mapped_column(Uuid(as_uuid=False))
    share: Mapped[Decimal] = mapped_column(Numeric(2, 2))
    rate: Mapped[float] = mapped_column(Numeric(3, 1, asdecimal=False))


class Plain(TypeDecorator):
    """A type that only chooses another."""

    impl = String
    cache_ok = True


class Odd(TypeDecorator):
    """A type that takes what only its author knows."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value, _dialect):
        return value.odd


class Parcel(Model):
    __tablename__ = "parcel"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(Plain(4))
    content: Mapped[str] = mapped_column(Odd(4))


class Entry(Model):
    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    text: Mapped[str] = mapped_column(String(20), unique=True)


class Room(Model):
    __tablename__ = "room"
    house: Mapped[int] = mapped_column(primary_key=True)
    floor: Mapped[int] = mapped_column(primary_key=True)


class Bed(Model):
    __tablename__ = "bed"
    __table_args__ = (ForeignKeyConstraint(["house", "floor"], ["room.house", "room.floor"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    house: Mapped[int]
    floor: Mapped[int]


class Unit(Model):
    __tablename__ = "unit"
    id: Mapped[int] = mapped_column(primary_key=True)
    above: Mapped[int] = mapped_column(ForeignKey("unit.id"))


class Staff(Model):
    __tablename__ = "staff"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(20))
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "staff"}


class Nurse(Staff):
    __tablename__ = "nurse"
    id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    ward: Mapped[int]
    __mapper_args__: ClassVar = {"polymorphic_identity": "nurse"}


class Porter(Staff):
    __mapper_args__: ClassVar = {"polymorphic_identity": "porter"}


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


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_fit_columns_of_every_kind(shelf_on, backend):
    """Documents, identifiers as text, numbers of two digits; sequences and identities go on."""
    data = dataset("kinds", rows(Ticket, 20), rows(Entry, 3))
    with shelf_on(backend).clone(data) as database, Session(database.engine()) as session:
        tickets = session.scalars(select(Ticket).order_by(Ticket.number)).all()
        assert [ticket.facts for ticket in tickets] == [{}] * 20
        assert len({uuid.UUID(ticket.token) for ticket in tickets}) == 20
        new = Ticket(facts={"a": 1}, token=str(uuid.UUID(int=1)), share=0, rate=0)
        session.add_all([new, Entry(text="next")])
        session.commit()
        assert new.number == 21
        assert session.scalars(select(Entry.text).order_by(Entry.id)).all() == [
            "text 1",
            "text 2",
            "text 3",
            "next",
        ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_foreign_keys_hold_in_every_shape(shelf_on, backend):
    """Two columns that point at one row agree, and who must point at its own table does."""
    data = dataset("shapes", rows(Room, 6), rows(Bed, 40), rows(Unit, 3))
    with shelf_on(backend).clone(data) as database, Session(database.engine()) as session:
        rooms = set(session.execute(select(Room.house, Room.floor)).all())
        assert set(session.execute(select(Bed.house, Bed.floor)).all()) <= rooms
        assert all(unit.above == unit.id for unit in session.scalars(select(Unit)))


def test_types_of_the_projects_own_are_seen_through(shelf_on):
    """Where they only choose another type; what they compute has to be given."""
    given = rows(Parcel, 2, content=Carried())
    with (
        shelf_on("sqlite").clone(dataset("parcels", given)) as database,
        database.engine().connect() as connection,
    ):
        found = connection.execute(text("SELECT label, content FROM parcel")).all()
    assert [tuple(row) for row in found] == [("0000", "x"), ("0001", "x")]

    with pytest.raises(UsageError) as caught:
        shelf_on("sqlite").clone(dataset("odd parcels", rows(Parcel, 1)))
    assert str(caught.value) == (
        "rows(parcel): no values for the column 'content' of type Odd(length=4). "
        "Write rows(..., content=lambda index: ...)."
    )


class Carried:
    odd = "x"


def test_classes_that_inherit_are_loaded_as_what_they_are(shelf_on):
    """Rows of both tables, of the right kind, with attributes of either."""
    data = dataset(
        "staff",
        rows(Staff, 2),
        rows(Nurse, 3, name="ann", ward=[7, 8]),
        rows(Porter, 2, name="bob"),
    )
    assert data.declared() == {"nurse": 3, "staff": 7}
    shelf = shelf_on("sqlite")
    with shelf.clone(data) as database, Session(database.engine()) as session:
        people = session.scalars(select(Staff).order_by(Staff.id)).all()
        assert [type(one) for one in people] == [Staff] * 2 + [Nurse] * 3 + [Porter] * 2
        assert [one.name for one in people[1:]] == ["name 2", *["ann"] * 3, *["bob"] * 2]
        assert [one.ward for one in people[2:5]] == [7, 8, 7]
    assert shelf.counts(data) == data.declared()


def test_second_part_goes_on_where_the_first_ended(shelf_on):
    """Keys and unique values of earlier parts are taken."""
    data = dataset(
        "two parts",
        rows(Person, 3),
        rows(Block, 3),
        rows(Assignment, 4),
        rows(Person, 2, role=Role.FACULTY),
        rows(Assignment, 11),
    )
    with shelf_on("sqlite").clone(data) as database, Session(database.engine()) as session:
        assert session.scalars(select(Person.id).order_by(Person.id)).all() == [1, 2, 3, 4, 5]
        pairs = session.execute(select(Assignment.person_id, Assignment.block_id)).all()
        assert len(set(pairs)) == 15


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: rows(int, 3),
            "rows(int): that is no mapped class. Write rows(Account, 100) with one that is.",
        ),
        (
            lambda: rows("person", 3),
            "rows('person'): that is no mapped class. Write rows(Account, 100) with one that is.",
        ),
        (
            lambda: rows(Person, -3),
            "rows(Person, -3): the count is an integer >= 0. Write rows(Person, 100).",
        ),
        (
            lambda: rows(Person, "3"),
            "rows(Person, '3'): the count is an integer >= 0. Write rows(Person, 100).",
        ),
        (
            lambda: rows(Person, 3, name=[]),
            (
                "rows(Person): name=[] has no value to take. "
                "Write name=lambda index: ... or leave it out."
            ),
        ),
        (
            lambda: dataset(3),
            "dataset(3): a dataset has a name. Write dataset('clinic', rows(...)).",
        ),
        (
            lambda: dataset("clinic", 5),
            "dataset('clinic'): 5 fills no session. Write rows(...), or a function of a session.",
        ),
    ],
)
def test_what_declares_no_rows_is_refused(declare, message):
    """Where it is written, not where it is built."""
    with pytest.raises(UsageError) as caught:
        declare()

    assert str(caught.value) == message


def test_counts_are_known(shelf_on):
    """How many rows each table has, for the header."""
    shelf = shelf_on("sqlite")

    assert shelf.counts(CLINIC) == {"assignment": 200, "block": 14, "person": 30}
    assert shelf.counts(two_people) == {"person": 2}


def test_rows_of_every_schema_are_counted(on):
    """Those of PostgreSQL's other schemas are named with theirs."""

    def build(engine):
        with engine.begin() as connection:
            connection.exec_driver_sql('CREATE SCHEMA "Ward"')
            connection.exec_driver_sql('CREATE TABLE "Ward".bed AS SELECT generate_series(1, 7)')
            connection.exec_driver_sql("CREATE TABLE bed AS SELECT 1")

    engine = on("postgres", build, "wards").engine()
    assert count_rows(engine) == {"Ward.bed": 7, "bed": 1}


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
