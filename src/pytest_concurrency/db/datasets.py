"""Thousands of rows, built once, fresh for every test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final, overload

from pytest_concurrency.db.cells import cell, draw
from pytest_concurrency.errors import UsageError, nearest

if TYPE_CHECKING:
    from sqlalchemy import Column, Engine, Table
    from sqlalchemy.orm import Session

    from pytest_concurrency.db.database import Build, Database, Server

Fill = Callable[["Session"], object]

_TRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows that a test can ask for by name.

    Attributes:
        name: Its name, unique in a run.
        parts: What fills a session, in order.
    """

    name: str
    parts: tuple[Fill, ...]

    def build(self, engine: Engine) -> None:
        """Fill a database that has the tables."""
        from sqlalchemy.orm import Session

        with Session(engine) as session:
            for part in self.parts:
                part(session)
                session.flush()
            session.commit()


@overload
def dataset(what: Callable[[Session], object], /) -> Dataset: ...
@overload
def dataset(what: str, /, *parts: Fill) -> Dataset: ...
def dataset(what: str | Callable[[Session], object], /, *parts: Fill) -> Dataset:
    """Declare a dataset: a function that fills a session, or parts under a name.

    ``@dataset`` over ``def clinic(session): ...`` declares one called ``clinic``;
    ``dataset("clinic", rows(Person, 100), rows(Block, 56), more)`` another.

    Args:
        what: The function, or the name.
        parts: Functions that fill a session, and ``rows(...)``.
    """
    if callable(what):
        return Dataset(name=getattr(what, "__name__", "dataset"), parts=(what,))
    return Dataset(name=what, parts=parts)


def rows(mapped: type[Any], count: int, *, seed: int = 0, **columns: object) -> Rows:
    """Return a part of a dataset: rows of a mapped class, the same for a seed everywhere.

    Values come from the columns' types; foreign keys point at rows that are there already; unique
    constraints hold. Columns with a plain default keep it.

    Args:
        mapped: The mapped class.
        count: How many rows.
        seed: Another seed gives other rows.
        columns: For attributes by name: a value, a list to take values from in turn, or a
            function of the row's index.
    """
    from sqlalchemy import inspect

    mapper = inspect(mapped)
    known = {attribute.key: attribute.columns[0].key for attribute in mapper.column_attrs}
    for name in columns:
        if name not in known:
            guess = nearest(name, known) or next(iter(known))
            msg = f"rows({mapped.__name__}): no attribute {name!r}. Write {guess}=..."
            raise UsageError(msg)
    given = {known[name]: value for name, value in columns.items()}
    return Rows(table=mapper.local_table, count=count, seed=seed, given=given)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Generated rows of one table; call it with a session to insert them.

    Attributes:
        table: The table.
        count: How many rows.
        seed: Their seed.
        given: What was given for columns, by their keys.
    """

    table: Table
    count: int
    seed: int
    given: dict[str, object] = field(default_factory=dict)

    def __call__(self, session: Session) -> None:
        """Insert the rows."""
        made = self._made(session)
        if made:
            session.execute(self.table.insert(), made)
            _move_sequences(session, self.table)

    def _made(self, session: Session) -> list[dict[str, object]]:
        parents = {column.key: _parents(session, column) for column in self.table.columns}
        uniques = _uniques(self.table)
        taken: list[set[tuple[object, ...]]] = [set() for _ in uniques]
        made: list[dict[str, object]] = []
        for index in range(self.count):
            for salt in range(_TRIES):
                row = self._row(index, salt, parents)
                keys = [tuple(row.get(key) for key in keys) for keys in uniques]
                if not any(key in seen for key, seen in zip(keys, taken, strict=True)):
                    break
            else:
                raise UsageError(self._too_many(index))
            for key, seen in zip(keys, taken, strict=True):
                seen.add(key)
            made.append(row)
        return made

    def _row(
        self, index: int, salt: int, parents: dict[str, list[object] | None]
    ) -> dict[str, object]:
        row: dict[str, object] = {}
        for column in self.table.columns:
            key, choice = column.key, parents[column.key]
            if key in self.given:
                row[key] = _given(self.given[key], index)
            elif choice is not None:
                bits = draw(self.seed, self.table.name, column.name, index, salt)
                row[key] = choice[bits % len(choice)] if choice else None
            elif not _fills_itself(column):
                row[key] = cell(column, index, self.seed, salt)
        return row

    def _too_many(self, index: int) -> str:
        return (
            f"rows({self.table.name}, {self.count}): the unique constraints leave room for about "
            f"{index} rows. Ask for fewer, or for more rows of the tables it refers to."
        )


@final
class DatasetShelf:
    """The datasets of a run on one server, each built at its first use."""

    def __init__(
        self,
        server: Server,
        schema: Build,
        *,
        name: str = "",
        built: Callable[[str, dict[str, int]], object] = lambda _, __: None,
    ) -> None:
        """Keep datasets on a server.

        Args:
            server: Where databases are made.
            schema: Creates the tables; called with an engine.
            name: Tells schemas on one server apart.
            built: Called with the name and the row counts of each dataset that is built here.
        """
        self._server = server
        self._schema = schema
        self._name = name
        self._built = built
        self._known: dict[str, Dataset] = {}
        self._shared: dict[str, Database] = {}
        self._counts: dict[str, dict[str, int]] = {}

    def clone(self, data: Dataset) -> Database:
        """Return a database of its own with the dataset in it."""
        __tracebackhide__ = True
        if self._known.setdefault(data.name, data) != data:
            msg = (
                f"dataset({data.name!r}): two different datasets have this name. "
                "Declare each once, in a module, under a name of its own."
            )
            raise UsageError(msg)
        name = f"dataset {data.name} {self._name}".rstrip()
        return self._server.template(name, self._build(data)).clone()

    def shared(self, data: Dataset) -> Database:
        """Return the one database with the dataset that all tests read; engines refuse to write."""
        __tracebackhide__ = True
        found = self._shared.get(data.name)
        if found is None:
            found = self._shared[data.name] = self.clone(data)
            found.make_read_only()
        return found

    def counts(self, data: Dataset) -> dict[str, int]:
        """Return how many rows each table of the dataset has."""
        if data.name not in self._counts:
            with self.clone(data) as database:
                self._counts[data.name] = count_rows(database.engine())
        return self._counts[data.name]

    def close(self) -> None:
        """Close the shared databases."""
        while self._shared:
            self._shared.popitem()[1].close()

    def _build(self, data: Dataset) -> Build:
        def build(engine: Engine) -> None:
            self._schema(engine)
            data.build(engine)
            self._counts[data.name] = count_rows(engine)
            self._built(data.name, self._counts[data.name])

        return build


def count_rows(engine: Engine) -> dict[str, int]:
    """Return how many rows each table of a database has, tables without rows left out.

    Args:
        engine: An engine on the database.
    """
    from sqlalchemy import func, inspect, select, table

    names = sorted(inspect(engine).get_table_names())
    with engine.connect() as connection:
        counted = {
            name: int(connection.scalar(select(func.count()).select_from(table(name))) or 0)
            for name in names
        }
    return {name: count for name, count in counted.items() if count}


def _given(value: Any, index: int) -> object:
    if callable(value):
        return value(index)
    return value[index % len(value)] if isinstance(value, list) else value


def _fills_itself(column: Column[Any]) -> bool:
    default = column.default
    plain = default is not None and default.is_scalar
    return plain or column.server_default is not None or column.computed is not None


def _parents(session: Session, column: Column[Any]) -> list[object] | None:
    """Return the keys that a foreign key may point at; ``None`` if the column is none."""
    from sqlalchemy import select

    key = next(iter(column.foreign_keys), None)
    if key is None:
        return None
    if key.column.table is column.table:
        return []
    found: list[object] = list(session.scalars(select(key.column).order_by(key.column)))
    if not found and not column.nullable:
        msg = (
            f"rows({column.table.name}): {column.name!r} refers to {key.column.table.name!r}, "
            "which has no rows yet. Put rows(...) of that table before it."
        )
        raise UsageError(msg)
    return found


def _uniques(table: Table) -> list[tuple[str, ...]]:
    from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

    found = [
        tuple(column.key for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
    ]
    indexes = [tuple(one.key for one in index.columns) for index in table.indexes if index.unique]
    return sorted(key for key in {*found, *indexes} if key)


def _move_sequences(session: Session, table: Table) -> None:
    """Let PostgreSQL's next generated key follow the keys that were given."""
    from sqlalchemy import func, select

    column = table.autoincrement_column
    if column is None or session.get_bind().dialect.name != "postgresql":
        return
    name = session.scalar(select(func.pg_get_serial_sequence(table.fullname, column.name)))
    if name is not None:
        session.execute(select(func.setval(name, select(func.max(column)).scalar_subquery())))
