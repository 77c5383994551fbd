"""What the foreign keys of generated rows point at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ForeignKeyConstraint, Table
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the values of a column are taken from.

    Attributes:
        values: The values, in order of the rows that they belong to.
        by: What one of them is drawn by: the same for all columns of one foreign key.
    """

    values: tuple[object, ...]
    by: str


def choices(session: Session, table: Table) -> dict[str, Choice]:
    """Return what the columns of foreign keys may point at, by the columns' keys.

    Args:
        session: A session on the database with the rows that are there already.
        table: The table whose rows are made.
    """
    found: dict[str, Choice] = {}
    for constraint in _outward(table):
        names = [element.parent.name for element in constraint.elements]
        for key, values in _values(session, constraint).items():
            found[key] = Choice(values=values, by=",".join(names))
    return found


def own_keys(table: Table) -> dict[str, str]:
    """Return which columns point at which of the same table, by their keys."""
    return {
        element.parent.key: element.column.key
        for constraint in table.foreign_key_constraints
        for element in constraint.elements
        if element.column.table is table
    }


def joined(table: Table, base: Table, made: list[dict[str, object]]) -> dict[str, object]:
    """Return the keys of rows that continue those just made in the table of a base class.

    Args:
        table: The table of the inheriting class.
        base: The table that it continues.
        made: The rows made there.
    """
    return {
        element.parent.key: [row[element.column.key] for row in made]
        for constraint in table.foreign_key_constraints
        for element in constraint.elements
        if element.column.table is base and element.parent.primary_key
        if made and element.column.key in made[0]
    }


def _outward(table: Table) -> Iterator[ForeignKeyConstraint]:
    """Iterate over foreign keys to other tables: those of several columns last, as they decide."""
    constraints = [one for one in table.foreign_key_constraints if one.referred_table is not table]
    places = list(table.columns.keys())
    yield from sorted(
        constraints, key=lambda one: (len(one.elements), *map(places.index, one.column_keys))
    )


def _values(session: Session, constraint: ForeignKeyConstraint) -> dict[str, tuple[object, ...]]:
    from sqlalchemy import select

    columns = [element.parent for element in constraint.elements]
    targets = [element.column for element in constraint.elements]
    rows = session.execute(select(*targets).order_by(*targets)).all()
    missing = next((column for column in columns if not column.nullable), None)
    if not rows and missing is not None:
        table = missing.table
        msg = (
            f"rows({table.name}): {missing.name!r} refers to {constraint.referred_table.name!r}, "
            "which has no rows yet. Put rows(...) of that table before it."
        )
        raise UsageError(msg)
    return {
        column.key: tuple(row[position] for row in rows) for position, column in enumerate(columns)
    }
