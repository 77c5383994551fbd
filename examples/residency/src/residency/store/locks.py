"""Locks by name, held until the transaction ends."""

from __future__ import annotations

from hashlib import blake2b

from sqlalchemy import text
from sqlalchemy.orm import Session

_TAKE_WRITE_LOCK = text("UPDATE mutex SET name = name WHERE name = ''")
_TAKE_ADVISORY = text("SELECT pg_advisory_xact_lock(:number)")


def take_lock(session: Session, name: str) -> None:
    """Wait for a name's lock and hold it until this transaction ends.

    PostgreSQL has advisory locks, one for each name. SQLite has none: any write takes the one
    write lock of the whole database, so there everybody waits for everybody, whatever the name.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_TAKE_ADVISORY, {"number": lock_number(name)})
    else:
        session.execute(_TAKE_WRITE_LOCK)


def lock_number(name: str) -> int:
    """Return the number that stands for a name among PostgreSQL's advisory locks.

    >>> lock_number("schedule") == lock_number("schedule")
    True
    """
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)
