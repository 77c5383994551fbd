"""Engines on a test's database: as production has them, and with room for a crowd."""

from __future__ import annotations

from residency.settings import Settings
from residency.store.engine import engine_of, make_engine

CROWD = 100
"""How many callers there are where the requirements say a hundred."""


def url_of(database):
    """Return a database's address, with its password."""
    return database.url.render_as_string(hide_password=False)


def production_engine(database, **settings):
    """Return the engine of the service with its settings as they are: 5 + 5 connections, 2 s."""
    return engine_of(Settings(database_url=url_of(database), **settings))


def roomy_engine(database):
    """Return an engine as production has it, with room and patience for a crowd that is busy."""
    return make_engine(
        url_of(database), lock_seconds=30, pool_size=20, max_overflow=CROWD, pool_timeout=30
    )
