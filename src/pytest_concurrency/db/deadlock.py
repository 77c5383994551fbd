"""A deadlock that the database resolved: who held what and wanted what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_concurrency.db.innodb import deadlock_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from pytest_concurrency.db.statement import Statement
    from pytest_concurrency.db.watch import EngineWatch

_PG_CODE = "40P01"
_MYSQL_CODE = 1213
_PG_WAITS = re.compile(r"Process (\d+) waits for .*?; blocked by process (\d+)")
_PG_TUPLE = re.compile(r"tuple (\(\d+,\d+\)) in relation \"(\w+)\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlock:
    """A circle of sessions, each waiting for the next.

    Attributes:
        cycle: The sessions' names; each waits for the next, the last for the first.
        wants: What each waits for, in the same order.
        statements: What each was doing, in the same order.
    """

    cycle: tuple[str, ...]
    wants: tuple[str, ...]
    statements: tuple[Statement | None, ...]

    def __str__(self) -> str:
        """Return the circle as a person would draw it."""
        width = max(map(len, self.cycle))
        lines = [f"Deadlock among {len(self.cycle)} sessions:", ""]
        for index, name in enumerate(self.cycle):
            statement = self.statements[index]
            doing = f"   {statement.told(46)}" if statement else ""
            lines += [
                f"  {name:<{width}}  holds  {self.wants[index - 1]}",
                f"  {'':<{width}}  wants  {self.wants[index]}{doing}",
            ]
        lines += ["", "Taking the locks in one order (for example by primary key) removes it."]
        return "\n".join(lines)


def is_deadlock(error: BaseException) -> bool:
    """Tell whether the database ended this statement to resolve a deadlock."""
    orig = getattr(error, "orig", None)
    code = getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None)
    if code == _PG_CODE:
        return True
    arguments: tuple[object, ...] = getattr(orig, "args", ())
    return bool(arguments) and arguments[0] == _MYSQL_CODE


def explain_deadlock(
    error: BaseException,
    watch: EngineWatch,
    victim: str,
    ask: Callable[[Callable[[Connection], tuple[int, ...]]], tuple[int, ...]],
) -> Deadlock | None:
    """Return the deadlock that an error tells of, if it does.

    Args:
        error: What a statement raised.
        watch: The watch of the engine.
        victim: The name of the session whose statement it was.
        ask: Runs a question on the control connection.
    """
    if not is_deadlock(error):
        return None
    text = f"{error} {getattr(getattr(error, 'orig', None), '__cause__', None)!r}"
    detail = getattr(getattr(getattr(error, "orig", None), "__cause__", None), "detail", None)
    numbers = _pg_cycle(f"{text} {detail or ''}") or ask(deadlock_numbers)
    names = tuple(watch.name_of(number) for number in numbers)
    if victim not in names:  # the server has resolved another deadlock since
        names = (victim,)
    last = [_last(watch, name) for name in names]
    wants = [
        _wanted(one, text if name == victim else "") for one, name in zip(last, names, strict=True)
    ]
    return Deadlock(cycle=names, wants=tuple(wants), statements=tuple(last))


def _pg_cycle(text: str) -> tuple[int, ...]:
    pairs = dict(_PG_WAITS.findall(text))
    if not pairs:
        return ()
    cycle = [next(iter(pairs))]
    while (following := pairs.get(cycle[-1])) is not None and following not in cycle:
        cycle.append(following)
    return tuple(int(number) for number in cycle)


def _last(watch: EngineWatch, name: str) -> Statement | None:
    for statement in reversed(watch.statements):
        if statement.session == name and statement.sql not in {"ROLLBACK", "COMMIT"}:
            return statement
    return None


def _wanted(statement: Statement | None, text: str) -> str:
    if statement is not None and statement.waits:
        return statement.waits[-1].lock
    if match := _PG_TUPLE.search(text):
        return f"row {match[2]} at {match[1]}"
    return "what the one before it holds"
