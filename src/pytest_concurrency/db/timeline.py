"""All statements of all sessions, in order, with what waited for what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_concurrency.db.statement import Statement

_WIDTH = 96
_NARROWEST = 28
_MOST_ROWS = 3
_MOST_LINES = 3
_MOST_STATEMENTS = 60


def timeline(statements: Iterable[Statement], sessions: Sequence[str]) -> str:
    """Return statements as a table, one column per session while they fit.

    Args:
        statements: In the order they were sent.
        sessions: The sessions to show, in the order of their columns.
    """
    shown = [one for one in statements if one.session in sessions]
    left_out = len(shown) - _MOST_STATEMENTS
    shown = shown[-_MOST_STATEMENTS:]
    digits = len(str(len(shown) + sum(bool(one.waits) for one in shown)))
    width = (_WIDTH - digits - 1) // max(len(sessions), 1) - 2
    columns = width >= _NARROWEST
    width = width if columns else _WIDTH - digits - 4 - max(map(len, sessions), default=0)
    indent = {name: index * (width + 2) if columns else 0 for index, name in enumerate(sessions)}
    lines = [_heading(sessions, indent, digits, width)] if columns else []
    if left_out > 0:
        lines.append(f"({left_out} earlier statements left out)")
    label = 0 if columns else max(map(len, sessions), default=0)
    for number, (name, text) in enumerate(_entries(shown, width), 1):
        first, *rest = text
        shift = " " * indent[name]
        who = "" if columns else f"{name:<{label}}  "
        lines.append(f"{number:>{digits}} {shift}{who}{first}".rstrip())
        lines += [f"{'':>{digits}} {shift}{' ' * len(who)}{line}".rstrip() for line in rest]
    return "\n".join(lines)


def _heading(sessions: Sequence[str], indent: dict[str, int], digits: int, width: int) -> str:
    line = " " * (digits + 1)
    for name in sessions:
        line = line.ljust(digits + 1 + indent[name]) + _cut(name, width)
    return line


def _cut(name: str, width: int) -> str:
    """Keep the end of a long name, which tells it from others like it."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _entries(statements: list[Statement], width: int) -> list[tuple[str, list[str]]]:
    """Return what happened in order: a statement that waited ends in an entry of its own."""
    happened: list[tuple[int, str, list[str]]] = []
    starts = [one.started_ns for one in statements]
    for one in statements:
        text = _wrapped(one.text(_MOST_LINES * width), width)
        overtaken = one.ended_ns is None or any(
            one.started_ns < start < one.ended_ns for start in starts
        )
        if not one.waits or not overtaken:
            happened.append((one.started_ns, one.session, text + _ending(one, width)))
            continue
        text += _wrapped(f"... {one.waits[0]}", width)
        happened.append((one.started_ns, one.session, text))
        if one.ended_ns is not None:
            waited = (one.ended_ns - one.started_ns) / 1e6
            after = [f"goes on after {waited:.1f} ms", *_ending(one, width)]
            happened.append((one.ended_ns, one.session, after))
    return [(name, text) for _, name, text in sorted(happened, key=lambda entry: entry[0])]


def _ending(one: Statement, width: int) -> list[str]:
    if one.error is not None:
        return _wrapped(f"!! {one.error}", width)
    if one.ended_ns is None:
        return ["... has not ended"]
    if one.values is not None:
        return _wrapped(f"-> {_rows(one.values)}", width)
    if one.rows is not None and one.sql not in {"COMMIT", "ROLLBACK"}:
        return [f"-> {one.rows} row{'' if one.rows == 1 else 's'}"]
    return []


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, max_lines=_MOST_LINES, placeholder=" ...")


def _rows(values: Sequence[object]) -> str:
    if not values:
        return "no row"
    texts = [", ".join(map(repr, one)) if isinstance(one, tuple) else repr(one) for one in values]
    more = f" and {len(texts) - _MOST_ROWS} more" if len(texts) > _MOST_ROWS else ""
    return "; ".join(texts[:_MOST_ROWS]) + more
