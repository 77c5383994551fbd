"""The server behind a setting: a name, or any SQLAlchemy URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_concurrency.db.begin import Begin
from pytest_concurrency.db.sqlite import SqliteServer
from pytest_concurrency.errors import UsageError, nearest

if TYPE_CHECKING:
    from pytest_concurrency.db.database import Server

BACKENDS = ("sqlite", "memory", "postgres")


def open_server(
    setting: str = "sqlite",
    *,
    run: str | None = None,
    begin: Begin = "immediate",
    where: str = "--concurrency-db",
) -> Server:
    """Return a server that has databases for tests.

    Args:
        setting: ``sqlite`` (files), ``memory`` (SQLite in memory), ``postgres`` (started here), or
            a SQLAlchemy URL.
        run: Names the test run: processes that give the same name share what can be shared.
        begin: How SQLite's transactions begin.
        where: Where the setting comes from, for messages.
    """
    if setting in {"sqlite", "memory"}:
        return SqliteServer(begin=begin, memory=setting == "memory")
    if setting in {"postgres", "postgresql"}:
        from pytest_concurrency.db.postgres import PostgresServer

        return PostgresServer(run=run)
    if "://" not in setting:
        guess = nearest(setting, BACKENDS) or "postgres"
        msg = (
            f"{where}: {setting!r} is no database. {', '.join(map(repr, BACKENDS))} and URLs such "
            f"as 'mariadb+pymysql://user@host' are. Write {where}={guess}."
        )
        raise UsageError(msg)
    return _at(setting, run=run, begin=begin, where=where)


def _at(setting: str, *, run: str | None, begin: Begin, where: str) -> Server:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(setting)
    except ArgumentError:
        msg = f"{where}: {setting!r} is no SQLAlchemy URL. Write {where}=dialect://user@host/name."
        raise UsageError(msg) from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        from pytest_concurrency.db.postgres import PostgresServer

        return PostgresServer(setting, run=run)
    if kind in {"mysql", "mariadb"}:
        from pytest_concurrency.db.mariadb import MariadbServer

        return MariadbServer(setting, run=run)
    if kind == "sqlite":
        return _sqlite(setting, url.database, begin=begin, where=where)
    from pytest_concurrency.db.other import OtherServer

    return OtherServer(setting)


def _sqlite(setting: str, database: str | None, *, begin: Begin, where: str) -> Server:
    if database in {None, "", ":memory:"}:
        msg = (
            f"{where}: {setting!r} is a database of one connection: workers would share it, lose "
            f"writes, and can crash Python 3.11. Write {where}=memory."
        )
        raise UsageError(msg)
    return SqliteServer(begin=begin, directory=Path(str(database)).parent)
