"""Statements with a protection taken away, to see that a test notices."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_concurrency.db.drivers import sync_engine
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


@contextmanager
def mutated_statements(
    engine: Engine | AsyncEngine, pattern: str, instead: str = "", /
) -> Generator[list[str]]:
    r"""Send every statement that matches a pattern with something else in its place.

    A test that passes with ``FOR UPDATE`` proves something if it fails without:

    ``with pytest.raises(AssertionError), mutated_statements(engine, " FOR UPDATE"): ...``
    A condition holds for every row with ``r"(\g<0> OR 1 = 1)"`` in its place.

    Args:
        engine: A sync or an async engine.
        pattern: A regular expression, searched for in the SQL as it is sent.
        instead: What is sent in its place; ``\g<0>`` is what was found.

    Yields:
        The mutants that were sent, in order.

    Raises:
        UsageError: There were none: a test of nothing proves nothing.
    """
    from sqlalchemy import event

    mutants: list[str] = []
    sent: list[str] = []
    mutate = _mutator(_compiled(pattern, instead), instead, mutants, sent)
    target = sync_engine(engine)
    # First of all listeners, so that a timeline shows what was sent.
    event.listen(target, "before_cursor_execute", mutate, retval=True, insert=True)
    try:
        yield mutants
    finally:
        event.remove(target, "before_cursor_execute", mutate)
        if not mutants:
            raise UsageError(_nothing(pattern, sent))


def _mutator(
    expression: re.Pattern[str], instead: str, mutants: list[str], sent: list[str]
) -> Callable[..., tuple[str, Any]]:
    def mutate(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> tuple[str, Any]:
        mutant, times = expression.subn(instead, sql)
        sent.append(sql)
        if times:
            mutants.append(mutant)
        return mutant, values

    return mutate


def _compiled(pattern: str, instead: str) -> re.Pattern[str]:
    try:
        expression = re.compile(pattern)
        expression.sub(instead, "")  # which reads it even where nothing is found
    except (re.error, IndexError) as error:
        msg = (
            f"mutated_statements({pattern!r}, {instead!r}): {error}. "
            f"To search for that very text, write re.escape({pattern!r})."
        )
        raise UsageError(msg) from None
    return expression


def _nothing(pattern: str, sent: list[str]) -> str:
    from pytest_concurrency.db.statement import sql_text

    if not sent:
        return (
            f"mutated_statements({pattern!r}): the engine sent no statement. "
            "Give the engine that the code under test uses."
        )
    shown = [f"  {sql_text(sql, width=90)}" for sql in dict.fromkeys(sent)][:8]
    many = f"none of {len(sent)} statements matches" if len(sent) > 1 else "it does not match"
    return "\n".join(
        [
            f"mutated_statements({pattern!r}): {many}, so that nothing was mutated.",
            "Search for what is sent:",
            *shown,
        ]
    )
