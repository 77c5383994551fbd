"""Values for generated rows: the same for a seed on every back end and every Python.

Each value is computed from the seed, the table, the column and the row's index by a hash, not drawn
from a random generator: no value depends on what was generated before it.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Column
    from sqlalchemy.types import TypeEngine

_FIRST_DAY = dt.date(2024, 1, 1)
_DAYS = 366
_ONE_IN_TEN = 10
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def draw(seed: int, *where: object) -> int:
    """Return 64 bits that depend on nothing but the seed and where they are used."""
    text = "/".join(map(str, (seed, *where)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def cell(column: Column[Any], index: int, seed: int, salt: int = 0) -> object:
    """Return the value of a column in the row of this index.

    Args:
        column: The table's column.
        index: The row's index, from 0.
        seed: The dataset's seed.
        salt: Another number gives another value, for keys that are taken.
    """
    bits = draw(seed, column.table.name, column.name, index, *([salt] if salt else []))
    if column.nullable and not column.primary_key and bits % _ONE_IN_TEN == 0:
        return None
    kind = _kind(column)
    if getattr(column.type, "as_uuid", None) is False:  # a UUID that Python sees as text
        return str(_other(uuid.UUID, column, bits >> 8))
    if kind is str:
        return _text(column, index)
    if kind is int:
        return index + 1 if column.primary_key or column.unique else (bits >> 8) % 1000
    return _other(kind, column, bits >> 8)


def _kind(column: Column[Any]) -> type:
    from sqlalchemy import JSON, TypeDecorator

    kind: Any = column.type
    while isinstance(kind, TypeDecorator) and _says(kind) is object:
        if type(kind).process_bind_param is not TypeDecorator.process_bind_param:
            return object  # it takes what only its author knows
        kind = kind.impl_instance
    # JSON says ``dict`` or ``object``, depending on the release.
    return dict if isinstance(kind, JSON) else _says(kind)


def _says(kind: TypeEngine[Any]) -> type:
    try:
        return kind.python_type
    except RuntimeError:  # a type that does not say
        return object


def _text(column: Column[Any], index: int) -> str:
    values = getattr(column.type, "enums", None)
    if values:
        return str(values[index % len(values)])
    length = getattr(column.type, "length", None)
    text = f"{column.name} {index + 1}"
    if length is None or len(text) <= length:
        return text
    return _base36(index).rjust(min(length, 4), "0")[-length:]


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if number == 0:
            return text


def _other(kind: type, column: Column[Any], bits: int) -> object:
    day = _FIRST_DAY + dt.timedelta(days=bits % _DAYS)
    clock = dt.time((bits >> 9) % 24, (bits >> 14) % 60)
    zone = dt.UTC if getattr(column.type, "timezone", False) else None
    if issubclass(kind, enum.Enum):
        members = list(kind)
        return members[bits % len(members)]
    scale = getattr(column.type, "scale", None)
    most = min(10_000, 10 ** (getattr(column.type, "precision", None) or 4))
    number = Decimal(bits % most).scaleb(-(scale or 0))
    makers: dict[type, Any] = {
        bool: lambda: bits % 2 == 1,
        float: lambda: (bits % 1_000_000) / 1000 if scale is None else float(number),
        Decimal: lambda: number,
        dt.datetime: lambda: dt.datetime.combine(day, clock, tzinfo=zone),
        dt.date: lambda: day,
        dt.time: lambda: clock,
        dt.timedelta: lambda: dt.timedelta(minutes=bits % 1440),
        bytes: lambda: bits.to_bytes(8, "big"),
        uuid.UUID: lambda: uuid.UUID(int=(bits << 64) | draw(bits, column.name), version=4),
        dict: dict,
    }
    if kind not in makers:
        msg = (
            f"rows({column.table.name}): no values for the column {column.name!r} of type "
            f"{column.type!r}. Write rows(..., {column.key}=lambda index: ...)."
        )
        raise UsageError(msg)
    return makers[kind]()
