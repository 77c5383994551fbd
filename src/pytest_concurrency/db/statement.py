"""A statement that was sent to a database, and how it reads in a report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_concurrency.db.place import Place

if TYPE_CHECKING:
    from pytest_concurrency.db.waits import Wait

_NAMED = re.compile(r"(?:%\((\w+)\)s|(?<!:):(\w+))(?:::[\w ]+?\b(?:\(\d+\))?)?")
_NUMBERED = re.compile(r"\$(\d+)(?:::\w+(?: \w+)*?)?\b")
_ORDERED = re.compile(r"\?|%s")
_COLUMNS = re.compile(r"^(SELECT) (?:.(?! FROM ))+. FROM ", re.IGNORECASE)
_LONGEST_VALUE = 24


@dataclass(slots=True, kw_only=True, eq=False)
class Statement:
    """One statement, commit or rollback, from before it was sent until it ended.

    Attributes:
        number: Its place among all statements of the watch, from 1.
        session: The name of the session that sent it, or the connection's.
        sql: The text as sent.
        parameters: The values as sent.
        place: The line of the user's code that caused it.
        started_ns: When it was sent (``time.perf_counter_ns``).
        ended_ns: When it ended; ``None`` while it runs.
        rows: How many rows the driver says it returned or changed; ``None`` if unknown.
        error: The error that ended it, as text.
        waits: What it waited for.
        values: The rows it returned, where they were kept.
    """

    number: int
    session: str
    sql: str
    parameters: object
    place: Place | None
    started_ns: int
    ended_ns: int | None = None
    rows: int | None = None
    error: str | None = None
    waits: list[Wait] = field(default_factory=list)
    values: Sequence[object] | None = None

    def text(self, width: int = 60) -> str:
        """Return the statement on one line of at most ``width`` columns, values filled in."""
        return sql_text(self.sql, self.parameters, width=width)

    def told(self, width: int = 60) -> str:
        """Return the text and, if it is known, the line that caused it."""
        return f"{self.text(width)}  at {self.place}" if self.place else self.text(width)


def _value(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    text = repr(value) if isinstance(value, str | int | float | bool | None) else repr(str(value))
    if len(text) > _LONGEST_VALUE:
        return f"{text[: _LONGEST_VALUE - 4]}...{text[-1]}"
    return "NULL" if value is None else text


def _fill(sql: str, parameters: object) -> str:
    """Put values in the place of placeholders, for people, never for a database."""
    if isinstance(parameters, list) and parameters and not _NUMBERED.search(sql):
        parameters = parameters[0]
    if isinstance(parameters, Mapping):
        named: Mapping[str, Any] = parameters
        return _NAMED.sub(
            lambda m: _value(named[m[1] or m[2]]) if (m[1] or m[2]) in named else m[0], sql
        )
    if not isinstance(parameters, Sequence) or isinstance(parameters, str):
        return sql
    ordered = list(parameters)
    if _NUMBERED.search(sql):
        count = len(ordered)
        return _NUMBERED.sub(
            lambda m: _value(ordered[int(m[1]) - 1]) if int(m[1]) <= count else m[0], sql
        )
    left = iter(ordered)
    return _ORDERED.sub(
        lambda m: _value(value) if (value := next(left, left)) is not left else m[0], sql
    )


def sql_text(sql: str, parameters: object = None, *, width: int = 60) -> str:
    """Return a statement on one line, its values filled in and its middle left out if long.

    >>> sql_text("SELECT id, name FROM person WHERE id = ?", (3,), width=40)
    'SELECT id, name FROM person WHERE id = 3'
    >>> sql_text("DELETE FROM person", ())
    'DELETE FROM person'
    """
    text = _fill(" ".join(sql.split()), parameters)
    if (
        isinstance(parameters, list)
        and len(parameters) > 1
        and not isinstance(parameters[0], str | int)
    ):
        text = f"{text}  x {len(parameters)}"
    if len(text) > width:
        text = _COLUMNS.sub(r"\1 ... FROM ", text)
    if len(text) <= width:
        return text
    return f"{text[: width - 4].rstrip()} ..."
