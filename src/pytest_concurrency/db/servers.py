"""The server behind a setting: a name, or any SQLAlchemy URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_concurrency.db.begin import Begin
from pytest_concurrency.db.sqlite import SqliteServer
from pytest_concurrency.errors import UsageError, nearest

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from pytest_concurrency.db.database import Server

BACKENDS = ("sqlite", "memory", "postgres")
_USUAL = ("postgresql+psycopg", "mariadb+pymysql", "mysql+pymysql")


def open_server(
    setting: str,
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
    check_setting(setting, where=where)
    return _at(setting, run=run, begin=begin)


def check_setting(setting: str, *, where: str = "--concurrency-db") -> None:
    """Hold that there are databases behind a setting, as far as it can be told without connecting.

    Raises:
        UsageError: It is neither a name nor a URL that can be used.
    """
    if setting in {*BACKENDS, "postgresql"}:
        return
    if "://" not in setting:
        guess = nearest(setting, BACKENDS) or "postgres"
        msg = (
            f"{where}: {setting!r} is no database. {', '.join(map(repr, BACKENDS))} and URLs such "
            f"as 'mariadb+pymysql://user@host' are. Write {where}={guess}."
        )
        raise UsageError(msg)
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(setting)
    except ArgumentError:
        msg = f"{where}: {setting!r} is no SQLAlchemy URL. Write {where}=dialect://user@host/name."
        raise UsageError(msg) from None
    _refuse_dialect(url, where)
    _refuse_path(url, setting, where)
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        msg = (
            f"{where}: {setting!r} is a database of one connection: workers would share it, lose "
            f"writes, and can crash Python. Write {where}=memory."
        )
        raise UsageError(msg)


def _refuse_dialect(url: URL, where: str) -> None:
    from sqlalchemy.exc import NoSuchModuleError

    try:
        url.get_dialect()
    except NoSuchModuleError:
        guess = nearest(url.drivername, _USUAL) or _USUAL[0]
        msg = (
            f"{where}: SQLAlchemy has no dialect {url.drivername!r}, or its package is not here. "
            f"Write {where}={guess}://user@host."
        )
        raise UsageError(msg) from None


def _refuse_path(url: URL, setting: str, where: str) -> None:
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    directory = Path(url.database).parent
    if not directory.is_dir():
        msg = (
            f"{where}: {setting!r}: there is no directory {str(directory)!r}. "
            f"Create it, or write {where}=sqlite."
        )
        raise UsageError(msg)


def _at(setting: str, *, run: str | None, begin: Begin) -> Server:
    from sqlalchemy.engine import make_url

    url = make_url(setting)
    kind = url.get_backend_name()
    if kind == "postgresql":
        from pytest_concurrency.db.postgres import PostgresServer

        return PostgresServer(setting, run=run)
    if kind in {"mysql", "mariadb"}:
        from pytest_concurrency.db.mariadb import MariadbServer

        return MariadbServer(setting, run=run)
    if kind == "sqlite":
        return SqliteServer(begin=begin, directory=Path(str(url.database)).parent)
    from pytest_concurrency.db.other import OtherServer

    return OtherServer(setting)
