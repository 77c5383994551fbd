"""Bringing a database to the present tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from residency.store.locks import lock_number


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest tables; two that start at once do it one after the other."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            take = text("SELECT pg_advisory_xact_lock(:number)")
            connection.execute(take, {"number": lock_number("migration")})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(engine: Engine) -> bool:
    """Say whether a database has the newest tables."""
    with engine.connect() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    return here == ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config
