"""MariaDB and MySQL: clones made table by table, as they have no template databases."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.db.clones import ClonedTemplate, Janitor, Rank
from pytest_concurrency.db.copies import copy_database
from pytest_concurrency.db.database import Build, Database
from pytest_concurrency.db.drivers import async_driver, sync_url
from pytest_concurrency.errors import MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import URL

_PREFIX = "ptc"
_LOCK_SECONDS = 60
_MOMENT = 0.001
_KEPT = "_kept"
_PLACES = 64


@final
class MariadbServer:
    """Databases on one MariaDB or MySQL server.

    Tables, rows, sequences, routines, views and triggers are cloned; events are not.

    Attributes:
        backend: ``"mariadb"``.
        url: The URL it was given.
    """

    backend = "mariadb"

    def __init__(self, url: str, *, run: str | None = None, ahead: int = 2) -> None:
        """Connect to a server.

        Args:
            url: A URL whose user may create databases.
            run: Names the test run; processes that give the same name share templates.
            ahead: How many clones of a template to make before they are asked for.
        """
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url

        given = make_url(url)
        self.url: URL = sync_url(given).set(database=None)
        self._async_driver = async_driver(given)
        if "+" not in self.url.drivername:
            self.url = self.url.set(drivername=f"{self.url.drivername}+pymysql")
        self._run = hashlib.sha256((run or f"{os.getpid()}-{id(self)}").encode()).hexdigest()[:8]
        self._ahead = ahead
        try:
            self._admin = create_engine(self.url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        except ModuleNotFoundError:
            raise MissingExtra("--concurrency-db=mariadb://...", "mariadb") from None  # noqa: EM101  (MissingExtra words it)
        self._claim = self._admin.connect()
        _claim(self._claim, self._run)
        self._mine = f"{_PREFIX}_{self._run}_p{os.getpid()}{secrets.token_hex(2)}"
        self._numbers = count(1)
        self._templates: dict[str, ClonedTemplate] = {}
        self._janitor = Janitor(self._admin)

    def template(self, name: str, build: Build) -> ClonedTemplate:
        """Return the template of this name, built by ``build(engine)`` if no process has yet."""
        found = self._templates.get(name)
        if found is None:
            database = f"{_PREFIX}_{self._run}_t{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            self._build(database, build)
            found = self._templates[name] = ClonedTemplate(
                name=name,
                make=lambda admin: self._make(admin, database),
                janitor=self._janitor,
                ahead=self._ahead,
            )
        return found

    def ask(self) -> Connection:
        """Return a connection on which to ask about others; for one thread."""
        if self._claim.invalidated:
            self._claim = self._admin.connect()
            _claim(self._claim, self._run)
        return self._claim

    def describe(self) -> str:
        """Return one line for a header."""
        with self._admin.connect() as connection:
            version = str(connection.exec_driver_sql("SELECT VERSION()").scalar_one())
        kind = "MariaDB" if "MariaDB" in version else "MySQL"
        return f"{kind} {version.partition('-')[0]} ({self.url.render_as_string()})"

    def stop(self) -> None:
        """Drop every database of this run that is not kept."""
        self._janitor.stop()
        self._templates.clear()
        _drop_like(self._claim, f"{self._mine}_")
        self._claim.exec_driver_sql("DO RELEASE_ALL_LOCKS()")
        _drop_run(self._claim, self._run)
        self._claim.close()
        self._admin.dispose()

    def _build(self, database: str, build: Build) -> None:
        from sqlalchemy import NullPool, create_engine

        with self._admin.connect() as admin:
            names = {"name": database}
            admin.exec_driver_sql(f"SELECT GET_LOCK(%(name)s, {_LOCK_SECONDS})", names)
            if not admin.exec_driver_sql(
                "SHOW DATABASES LIKE %(name)s", {"name": f"{database}x"}
            ).all():
                admin.exec_driver_sql(f"DROP DATABASE IF EXISTS {database}")
                admin.exec_driver_sql(f"CREATE DATABASE {database}")
                engine = create_engine(self.url.set(database=database), poolclass=NullPool)
                build(engine)
                engine.dispose()
                # An empty database beside it says that the template is complete.
                admin.exec_driver_sql(f"CREATE DATABASE {database}x")
            admin.exec_driver_sql("SELECT RELEASE_LOCK(%(name)s)", names)

    def _make(self, admin: Connection, template: str) -> Database:
        name = f"{self._mine}_{next(self._numbers)}"
        copy_database(admin, template, name)
        url = self.url.set(database=name)
        return Database(
            backend="mariadb",
            url=url,
            connect_command=_mariadb(url),
            drop=lambda: self._janitor.do(lambda admin: _drop(admin, name), rank=Rank.DROP),
            keep=lambda: self._keep(name),
            kill=lambda: self._kill(name),
            async_driver=self._async_driver,
        )

    def _kill(self, name: str) -> None:
        """End every connection to a database, and return when they are gone."""
        with self._admin.connect() as admin:
            while _end_users(admin, name, "CONNECTION"):
                time.sleep(_MOMENT)

    def _keep(self, name: str) -> None:
        """Leave it: an empty database beside it tells the end of the run."""
        with self._admin.connect() as admin:
            admin.exec_driver_sql(f"CREATE DATABASE {name}{_KEPT}")


def _claim(connection: Connection, run: str) -> None:
    """Show that a run lives, and drop what runs left that do not.

    There are no shared locks: each process of a run takes one of its places.
    """
    for place in range(_PLACES):
        name = {"name": f"{_PREFIX}_{run}_{place}"}
        if connection.exec_driver_sql("SELECT GET_LOCK(%(name)s, 0)", name).scalar_one():
            break
    names = connection.exec_driver_sql(f"SHOW DATABASES LIKE '{_PREFIX}\\_%%'").scalars()
    for other in {str(name).split("_")[1] for name in names} - {run}:
        _drop_run(connection, other)


def _drop_run(connection: Connection, run: str) -> None:
    """Drop a run's databases except those that are kept, unless one of its processes lives."""
    places = [f"IS_USED_LOCK('{_PREFIX}_{run}_{place}')" for place in range(_PLACES)]
    if connection.exec_driver_sql(f"SELECT COALESCE({', '.join(places)})").scalar() is not None:
        return
    _drop_like(connection, f"{_PREFIX}_{run}_")


def _drop_like(connection: Connection, prefix: str) -> None:
    like = {"like": prefix.replace("_", "\\_") + "%"}
    names = set(connection.exec_driver_sql("SHOW DATABASES LIKE %(like)s", like).scalars())
    kept = {name for name in names if f"{name}{_KEPT}" in names}
    for name in sorted(names - kept - {f"{name}{_KEPT}" for name in kept}):
        _drop(connection, name)


def _drop(admin: Connection, name: str) -> None:
    """Drop a database; end the connections that would let it wait."""
    _end_users(admin, name, "SOFT")
    admin.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def _end_users(admin: Connection, name: str, how: str) -> bool:
    """End the connections to a database; tell whether there were any."""
    users = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %(name)s"
    numbers = admin.exec_driver_sql(users, {"name": name}).scalars().all()
    for number in numbers:
        with suppress(Exception):  # it may have ended by itself
            admin.exec_driver_sql(f"KILL {how} {number}")
    return bool(numbers)


def _mariadb(url: Any) -> str:
    socket = url.query.get("unix_socket")
    where = f"-S {socket}" if socket else f"-h {url.host or 'localhost'} -P {url.port or 3306}"
    return f"mariadb {where} -u {url.username or 'root'} -p {url.database}"
