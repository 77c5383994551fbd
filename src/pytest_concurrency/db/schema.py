"""What creates the tables of a test database: metadata, a function, or migrations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_concurrency.db.database import Build
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData


def as_build(schema: MetaData | Build | None, *then: Build) -> Build:
    """Return one function that builds a database.

    Args:
        schema: Metadata whose tables are created, a function that is called with an engine, or
            ``None`` for an empty database.
        then: Functions called after that with the engine, to fill it.
    """
    from sqlalchemy import MetaData

    if schema is not None and not isinstance(schema, MetaData) and not callable(schema):
        msg = (
            f"database_schema: {schema!r} is no schema. Return Base.metadata, a function of an "
            "engine, or alembic_upgrade('alembic.ini')."
        )
        raise UsageError(msg)

    def build(engine: Engine) -> None:
        if isinstance(schema, MetaData):
            schema.create_all(engine)
        elif schema is not None:
            schema(engine)
        for more in then:
            more(engine)

    return build


def alembic_upgrade(config: str | Path, *, revision: str = "head") -> Build:
    """Return a function that brings a database to a revision of an Alembic history.

    ``env.py`` gets the URL as ``sqlalchemy.url`` and an open connection as
    ``config.attributes["connection"]``.

    Args:
        config: The path of ``alembic.ini``.
        revision: Where to go.
    """

    def build(engine: Engine) -> None:
        from alembic import command
        from alembic.config import Config

        settings = Config(str(config))
        url = engine.url.render_as_string(hide_password=False)
        settings.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        with engine.begin() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, revision)

    build.__qualname__ = f"alembic_upgrade({str(config)!r}, revision={revision!r})"
    return build
