"""What to say to those who open sessions with what is none, or use them before they are open."""

from __future__ import annotations

import reprlib
from collections.abc import Container, Mapping

from pytest_concurrency.db.drivers import sync_engine
from pytest_concurrency.errors import UsageError, nearest


def check_engine(engine: object, where: str) -> None:
    """Refuse what is no engine.

    Args:
        engine: What was given.
        where: What gave it.

    Raises:
        UsageError: It is none.
    """
    __tracebackhide__ = True
    found = sync_engine(engine)
    if not (hasattr(found, "pool") and hasattr(found, "dialect")):
        given = reprlib.repr(engine)
        msg = f"{where}: {given} is no engine. Give database.engine() or create_engine(url)."
        raise UsageError(msg)


def check_options(timeout: object, options: Mapping[str, object]) -> None:
    """Refuse a time-out that is none, and options that no session has.

    Raises:
        UsageError: There is one.
    """
    __tracebackhide__ = True
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or timeout <= 0:  # type: ignore[operator]
        msg = (
            f"separate_sessions(timeout={timeout!r}): the timeout is a number of seconds > 0. "
            "Write timeout=10."
        )
        raise UsageError(msg)
    if not options:
        return
    import inspect

    from sqlalchemy.orm import Session

    known = [*list(inspect.signature(Session).parameters)[1:], "timeout", "engine"]
    for name in options:
        if name not in known:
            guess = nearest(name, known) or "expire_on_commit"
            msg = f"separate_sessions({name}=...): no session has that option. Write {guess}=..."
            raise UsageError(msg)


def check_step(name: str, what: object) -> None:
    """Refuse a step that is nothing to execute and nothing to call.

    Args:
        name: The session's name.
        what: What was to start.

    Raises:
        UsageError: It is none.
    """
    __tracebackhide__ = True
    from sqlalchemy.sql import Executable

    if not isinstance(what, str | Executable) and not callable(what):
        msg = (
            f"session {name!r}: start({reprlib.repr(what)}) is no statement, SQL or function. "
            f"Write start('SELECT 1'), or start(function) for a call of function(session)."
        )
        raise UsageError(msg)


def call_of(names: tuple[str, ...]) -> str:
    """Write the call that opens sessions of these names."""
    numbered = bool(names) and names == tuple(map(str, range(len(names))))
    given = str(len(names)) if numbered else ", ".join(map(repr, names))
    return f"separate_sessions({given})"


def block_of(names: tuple[str, ...], *, word: str = "with") -> str:
    """Write the block in which sessions of these names are open.

    >>> block_of(("ann", "bob"))
    "with separate_sessions('ann', 'bob') as (ann, bob):"
    >>> block_of(("0", "1"))
    'with separate_sessions(2) as sessions:'
    """
    if not names or not all(name.isidentifier() for name in names):
        target = "sessions"
    else:
        target = f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"
    return f"{word} {call_of(names)} as {target}:"


def not_open(names: tuple[str, ...], *, word: str = "with") -> UsageError:
    """Say that sessions are open within the block only."""
    block = block_of(names, word=word)
    return UsageError(f"{call_of(names)}: the sessions are not open. Write `{block}`.")


def no_attribute(names: tuple[str, ...], attribute: str, *, word: str = "with") -> AttributeError:
    """Say that several sessions have not what one has."""
    block = block_of(names, word=word)
    return AttributeError(
        f"{call_of(names)} opens a sequence of sessions, which has no {attribute!r}; "
        f"each session has. Write `{block}`."
    )


def named(key: int | str, names: tuple[str, ...], opened: Container[str]) -> str:
    """Return the name behind a place in the order, and a name itself.

    Raises:
        UsageError: There is no such session.
    """
    __tracebackhide__ = True
    if isinstance(key, int):
        if -len(names) <= key < len(names):
            return names[key]
        there = "there is 1 session" if len(names) == 1 else f"there are {len(names)} sessions"
        msg = (
            f"{call_of(names)}[{key}]: {there}, numbered from 0. "
            f"Write separate_sessions({max(key, 0) + 1}), or sessions.own() in each worker."
        )
        raise UsageError(msg)
    if key in opened:
        return key
    instead = nearest(key, names)
    hint = f"Write {instead!r}" if instead else f"There are {', '.join(map(repr, names)) or 'none'}"
    msg = f"{call_of(names)}[{key!r}]: there is no such session. {hint}."
    raise UsageError(msg)
