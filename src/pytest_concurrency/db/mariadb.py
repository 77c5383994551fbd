"""MariaDB and MySQL: clones made table by table, as they have no template databases."""

from __future__ import annotations

import hashlib
import os
import secrets
from itertools import count
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.db.clones import ClonedTemplate, Janitor, Rank
from pytest_concurrency.db.database import Build, Database
from pytest_concurrency.errors import MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import Connection

_PREFIX = "ptc"
_LOCK_SECONDS = 60


@final
class MariadbServer:
    """Databases on one MariaDB or MySQL server.

    Tables, keys, constraints and rows are cloned; views, triggers and routines are not.

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

        self.url = make_url(url).set(database=None)
        if "+" not in self.url.drivername:
            self.url = self.url.set(drivername=f"{self.url.drivername}+pymysql")
        self._run = hashlib.sha256((run or f"{os.getpid()}-{id(self)}").encode()).hexdigest()[:8]
        self._ahead = ahead
        try:
            self._admin = create_engine(self.url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        except ModuleNotFoundError:
            raise MissingExtra("--concurrency-db=mariadb://...", "mariadb") from None  # noqa: EM101  (MissingExtra words it)
        self._mine = f"{_PREFIX}_{self._run}_p{os.getpid()}{secrets.token_hex(2)}"
        self._numbers = count(1)
        self._templates: dict[str, ClonedTemplate] = {}
        self._janitor = Janitor(self._admin)
        self._control: Connection | None = None

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
        if self._control is None or self._control.invalidated:
            self._control = self._admin.connect()
        return self._control

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
        if self._control is not None:
            self._control.close()
        with self._admin.connect() as admin:
            like = {"like": f"{_PREFIX}\\_{self._run}\\_%"}
            for name in admin.exec_driver_sql("SHOW DATABASES LIKE %(like)s", like).scalars().all():
                _drop(admin, name)
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
        _clone(admin, template, name)
        url = self.url.set(database=name)
        return Database(
            backend="mariadb",
            url=url,
            connect_command=_mariadb(url),
            drop=lambda: self._janitor.do(lambda admin: _drop(admin, name), rank=Rank.DROP),
            keep=lambda: self._keep(name),
        )

    def _keep(self, name: str) -> None:
        """Put the tables where the end of the run does not look."""
        with self._admin.connect() as admin:
            admin.exec_driver_sql(f"CREATE DATABASE kept_{name}")
            for table in admin.exec_driver_sql(f"SHOW TABLES FROM {name}").scalars().all():
                admin.exec_driver_sql(f"RENAME TABLE {name}.`{table}` TO kept_{name}.`{table}`")


def _clone(admin: Connection, template: str, name: str) -> None:
    admin.exec_driver_sql(f"CREATE DATABASE {name}")
    admin.exec_driver_sql("SET foreign_key_checks = 0, unique_checks = 0, autocommit = 0")
    admin.exec_driver_sql(f"USE {name}")
    try:
        for table in admin.exec_driver_sql(f"SHOW TABLES FROM {template}").scalars().all():
            made = admin.exec_driver_sql(f"SHOW CREATE TABLE {template}.`{table}`").one()[1]
            admin.exec_driver_sql(made.replace("%", "%%"))
            columns = ", ".join(_columns(admin, template, table))
            source = f"SELECT {columns} FROM {template}.`{table}`"  # noqa: S608  (our own names)
            admin.exec_driver_sql(f"INSERT INTO {name}.`{table}` ({columns}) {source}")
        admin.exec_driver_sql("COMMIT")
    finally:
        # ``USE`` and the settings would follow the connection into its next job.
        admin.invalidate()


def _columns(admin: Connection, database: str, table: str) -> list[str]:
    query = (
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %(database)s "
        "AND TABLE_NAME = %(table)s AND EXTRA NOT LIKE '%%GENERATED%%' ORDER BY ORDINAL_POSITION"
    )
    names = admin.exec_driver_sql(query, {"database": database, "table": table}).scalars()
    return [f"`{name}`" for name in names]


def _drop(admin: Connection, name: str) -> None:
    """Drop a database; end the connections that would let it wait."""
    users = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %(name)s"
    for number in admin.exec_driver_sql(users, {"name": name}).scalars().all():
        admin.exec_driver_sql(f"KILL SOFT {number}")
    admin.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def _mariadb(url: Any) -> str:
    socket = url.query.get("unix_socket")
    where = f"-S {socket}" if socket else f"-h {url.host or 'localhost'} -P {url.port or 3306}"
    return f"mariadb {where} -u {url.username or 'root'} -p {url.database}"
