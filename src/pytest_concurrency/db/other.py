"""Any other database that SQLAlchemy speaks to: emptied and built anew for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_concurrency.db.database import Build, Database
from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_MOST_TABLES = 3


@final
class OtherServer:
    """One database at a URL, for one test at a time.

    Attributes:
        backend: The dialect's name.
        url: The URL.
    """

    def __init__(self, url: str) -> None:
        """Take an empty database.

        Args:
            url: The URL of a database that has no tables.
        """
        from sqlalchemy import NullPool, create_engine, inspect

        self._engine = create_engine(url, poolclass=NullPool)
        self.url: URL = self._engine.url
        self.backend: str = self._engine.dialect.name
        tables = inspect(self._engine).get_table_names()
        if tables:
            shown = ", ".join(tables[:_MOST_TABLES]) + (
                ", ..." if len(tables) > _MOST_TABLES else ""
            )
            msg = (
                f"--concurrency-db: {self.url.render_as_string()} has tables: {shown}. "
                "It would be emptied before every test. Write the URL of an empty database."
            )
            raise UsageError(msg)

    def template(self, name: str, build: Build) -> _BuiltTemplate:
        """Return a template of this name, built by ``build(engine)`` for every clone."""
        return _BuiltTemplate(name=name, build=build, engine=self._engine)

    ask = None

    def describe(self) -> str:
        """Return one line for a header."""
        return f"{self.backend} ({self.url.render_as_string()}, built anew for every test)"

    def stop(self) -> None:
        """Empty the database."""
        empty(self._engine)
        self._engine.dispose()


@final
class _BuiltTemplate:
    """What builds the database's content."""

    def __init__(self, *, name: str, build: Build, engine: Engine) -> None:
        self.name = name
        self._build = build
        self._engine = engine

    def clone(self) -> Database:
        empty(self._engine)
        self._build(self._engine)
        return Database(
            backend=self._engine.dialect.name,
            url=self._engine.url,
            connect_command=self._engine.url.render_as_string(),
            drop=lambda: empty(self._engine),
        )


def empty(engine: Engine) -> None:
    """Drop every table of a database."""
    from sqlalchemy import MetaData

    metadata = MetaData()
    metadata.reflect(engine)
    metadata.drop_all(engine)
