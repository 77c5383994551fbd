"""Thousands of rows, built once, fresh for every test."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final, overload

from pytest_concurrency.db.generated import Rows
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from pytest_concurrency.db.database import Build, Database, Server

Fill = Callable[["Session"], object]


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

    def declared(self) -> dict[str, int] | None:
        """Return how many rows each table gets; ``None`` if a function decides that."""
        counts: dict[str, int] = {}
        for part in self.parts:
            if not isinstance(part, Rows):
                return None
            for name, count in part.counts().items():
                counts[name] = counts.get(name, 0) + count
        return {name: counts[name] for name in sorted(counts) if counts[name]}


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
    if not isinstance(what, str) or not what:
        msg = f"dataset({what!r}): a dataset has a name. Write dataset('clinic', rows(...))."
        raise UsageError(msg)
    for part in parts:
        if not callable(part):
            msg = (
                f"dataset({what!r}): {part!r} fills no session. "
                "Write rows(...), or a function of a session."
            )
            raise UsageError(msg)
    return Dataset(name=what, parts=parts)


def check_dataset(data: object, where: str) -> None:
    """Refuse what is no dataset.

    Args:
        data: What was given.
        where: Where it was given.

    Raises:
        UsageError: It is none.
    """
    __tracebackhide__ = True
    if isinstance(data, Dataset):
        return
    given = reprlib.repr(data)
    msg = f"{where}: {given} is no dataset. Declare one: clinic = dataset('clinic', rows(...))."
    raise UsageError(msg)


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

    inspector = inspect(engine)
    schemas: list[str | None] = [None]
    if engine.dialect.name == "postgresql":  # elsewhere other schemas are other databases
        ours = {inspector.default_schema_name, "information_schema"}
        schemas += [name for name in inspector.get_schema_names() if name not in ours]
    counted: dict[str, int] = {}
    with engine.connect() as connection:
        for schema in schemas:
            for name in inspector.get_table_names(schema):
                rows = select(func.count()).select_from(table(name, schema=schema))
                full = name if schema is None else f"{schema}.{name}"
                counted[full] = int(connection.scalar(rows) or 0)
    return {name: counted[name] for name in sorted(counted) if counted[name]}
