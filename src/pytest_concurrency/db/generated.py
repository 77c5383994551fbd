"""Generated rows of mapped classes: the same for a seed on every back end and every Python."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.db.cells import cell, draw
from pytest_concurrency.db.parents import Choice, choices, joined, own_keys
from pytest_concurrency.errors import UsageError, nearest

if TYPE_CHECKING:
    from sqlalchemy import Column, Table
    from sqlalchemy.orm import Mapper, Session

Row = dict[str, object]

_TRIES = 1000


def rows(mapped: type[Any], count: int, *, seed: int = 0, **columns: object) -> Rows:
    """Return a part of a dataset: rows of a mapped class, the same for a seed everywhere.

    Values come from the columns' types; foreign keys point at rows that are there already; unique
    constraints hold. Columns with a plain default keep it. A second part of the same class goes on
    where the first ended; a class that inherits from another gets the rows of both tables.

    Args:
        mapped: The mapped class.
        count: How many rows.
        seed: Another seed gives other rows.
        columns: For attributes by name: a value, a list to take values from in turn, or a
            function of the row's index.
    """
    from sqlalchemy import inspect
    from sqlalchemy.orm import Mapper

    mapper: Any = inspect(mapped, raiseerr=False)
    name = getattr(mapped, "__name__", None) or reprlib.repr(mapped)
    if not isinstance(mapper, Mapper):
        msg = f"rows({name}): that is no mapped class. Write rows(Account, 100) with one that is."
        raise UsageError(msg)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        msg = f"rows({name}, {count!r}): the count is an integer >= 0. Write rows({name}, 100)."
        raise UsageError(msg)
    _check(name, mapper, columns)
    return _of_mapper(mapper, count, seed, columns, mapper.polymorphic_identity)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Generated rows of one class; call it with a session to insert them.

    Attributes:
        table: The table.
        count: How many rows.
        seed: Their seed.
        given: What was given for columns, by their keys.
        base: The rows of the table that these continue, if the class inherits.
    """

    table: Table
    count: int
    seed: int
    given: Mapping[str, object] = field(default_factory=dict)
    base: Rows | None = None

    def __call__(self, session: Session) -> None:
        """Insert the rows."""
        self.insert(session)

    def counts(self) -> dict[str, int]:
        """Return how many rows each table gets."""
        return {**(self.base.counts() if self.base else {}), self.table.fullname: self.count}

    def insert(self, session: Session) -> list[Row]:
        """Insert the rows, and return what was given or made for their columns."""
        given = self.given
        if self.base is not None:
            before = self.base.insert(session)
            given = {**given, **joined(self.table, self.base.table, before)}
        made = self._made(session, given)
        if made:
            session.execute(self.table.insert(), made)
            _move_sequences(session, self.table)
        return made

    def _made(self, session: Session, given: Mapping[str, object]) -> list[Row]:
        found, own = choices(session, self.table), own_keys(self.table)
        first, taken = _taken(session, self.table)
        made: list[Row] = []
        for number in range(self.count):
            for salt in range(_TRIES):
                row = {key: _given(value, number) for key, value in given.items()}
                row = self._row(first + number, salt, row, found, own)
                keys = {
                    names: tuple(row[name] for name in names)
                    for names in taken
                    if row.keys() >= set(names)  # what the database fills is not known
                }
                if not any(key in taken[names] for names, key in keys.items()):
                    break
            else:
                raise UsageError(self._too_many(number))
            for names, key in keys.items():
                taken[names].add(key)
            made.append(row)
        return made

    def _row(
        self, index: int, salt: int, given: Row, found: dict[str, Choice], own: dict[str, str]
    ) -> Row:
        row: Row = {}
        for column in self.table.columns:
            key, choice = column.key, found.get(column.key)
            if key in given:
                row[key] = given[key]
            elif choice is not None:
                bits = draw(self.seed, self.table.name, choice.by, index, salt)
                row[key] = choice.values[bits % len(choice.values)] if choice.values else None
            elif key not in own and not _fills_itself(column):
                row[key] = cell(column, index, self.seed, salt)
        for key in own.keys() - given.keys():
            # The first of a tree has nobody to point at but itself.
            row[key] = None if self.table.columns[key].nullable else row.get(own[key])
        return row

    def _too_many(self, index: int) -> str:
        return (
            f"rows({self.table.name}, {self.count}): the unique constraints leave room for about "
            f"{index} rows. Ask for fewer, or for more rows of the tables it refers to."
        )


def _check(name: str, mapper: Mapper[Any], columns: Mapping[str, object]) -> None:
    from sqlalchemy import Column

    known = [one.key for one in mapper.column_attrs if isinstance(one.columns[0], Column)]
    for attribute, value in columns.items():
        if attribute not in known:
            guess = nearest(attribute, known) or known[0]
            msg = f"rows({name}): no attribute {attribute!r}. Write {guess}=..."
            raise UsageError(msg)
        if value == []:
            msg = (
                f"rows({name}): {attribute}=[] has no value to take. "
                f"Write {attribute}=lambda index: ... or leave it out."
            )
            raise UsageError(msg)


def _of_mapper(
    mapper: Mapper[Any], count: int, seed: int, columns: Mapping[str, object], identity: object
) -> Rows:
    """Return the rows of a class, and those of the classes whose tables it continues."""
    table: Any = mapper.local_table
    parent = None if mapper.concrete else mapper.inherits
    above = () if parent is None or parent.local_table is table else parent.column_attrs.keys()
    inherited = {name: value for name, value in columns.items() if name in above}
    given = {
        column.key: value
        for name, value in columns.items()
        for column in mapper.column_attrs[name].columns
        if name not in above and column.table is table
    }
    kind: Any = mapper.polymorphic_on
    if identity is not None and getattr(kind, "table", None) is table:
        given.setdefault(kind.key, identity)
    base = _of_mapper(parent, count, seed, inherited, identity) if above and parent else None
    return Rows(table=table, count=count, seed=seed, given=given, base=base)


def _given(value: Any, index: int) -> object:
    if callable(value):
        return value(index)
    return value[index % len(value)] if isinstance(value, list) else value


def _fills_itself(column: Column[Any]) -> bool:
    default = column.default
    plain = default is not None and default.is_scalar
    return plain or column.server_default is not None or column.computed is not None


def _taken(
    session: Session, table: Table
) -> tuple[int, dict[tuple[str, ...], set[tuple[object, ...]]]]:
    """Return how many rows a table has, and which keys they have taken."""
    from sqlalchemy import func, select

    uniques = _uniques(table)
    count = int(session.scalar(select(func.count()).select_from(table)) or 0)
    if not count:
        return 0, {names: set() for names in uniques}
    columns = {names: [table.columns[name] for name in names] for names in uniques}
    return count, {
        names: {tuple(row) for row in session.execute(select(*columns[names]))} for names in uniques
    }


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
    """Let the next generated key follow the keys that were given."""
    from sqlalchemy import Sequence, func, select, text

    dialect = session.get_bind().dialect
    if not dialect.supports_sequences:
        return
    quoted = dialect.identifier_preparer
    for column in table.columns:
        name = None
        if isinstance(column.default, Sequence):
            name = quoted.format_sequence(column.default)
        elif dialect.name == "postgresql" and column is table.autoincrement_column:
            owner = quoted.format_table(table)
            name = session.scalar(select(func.pg_get_serial_sequence(owner, column.name)))
        if name is None:
            continue
        highest = session.scalar(select(func.max(column)))
        if dialect.name == "postgresql":
            session.execute(select(func.setval(name, highest)))
        else:
            session.execute(text(f"SELECT SETVAL({name}, {highest})"))
