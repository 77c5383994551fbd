"""PostgreSQL: templates, and clones of them made ahead of the test that takes one."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.db.clones import ClonedTemplate, Janitor, Rank
from pytest_concurrency.db.cluster import Cluster, open_cluster
from pytest_concurrency.db.database import Build, Database
from pytest_concurrency.db.drivers import async_driver, sync_url
from pytest_concurrency.db.spares import Spares
from pytest_concurrency.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

_PREFIX = "ptc"
_AHEAD = 3
_STRATEGIES = 15
_KEPT = "kept for a person to look into"


@final
class PostgresServer:
    """Databases on one PostgreSQL, for all processes of a test run.

    Attributes:
        backend: ``"postgres"``.
        url: The URL of the maintenance database.
        cluster: The server, if it was started by the plugin.
    """

    backend = "postgres"

    def __init__(
        self, url: str | None = None, *, run: str | None = None, source: str | None = None,
        ahead: int = _AHEAD,
    ) -> None:  # fmt: skip
        """Connect to a server, or start one.

        Args:
            url: A URL with the right to create databases; without it a private server is
                started from the programs of this machine, else of the ``postgres`` extra.
            run: Names the test run: processes that give the same name share server and
                templates. A name of its own by default.
            source: ``"system"`` or ``"wheel"`` to take PostgreSQL only from there.
            ahead: How many clones of a template to make before they are asked for.
        """
        from sqlalchemy.engine import make_url

        self._run = hashlib.sha256((run or f"{os.getpid()}-{id(self)}").encode()).hexdigest()[:8]
        self.cluster: Cluster | None = None
        if url is None:
            _need_driver()
            self.cluster = open_cluster(run=run or self._run, source=source)
            url = self.cluster.url
        given = make_url(url)
        if "+" not in given.drivername:
            given = given.set(drivername="postgresql+psycopg")
        self.url: URL = sync_url(given)
        self._async_driver = async_driver(given)
        if self.url.get_driver_name() == "psycopg":
            _need_driver()
        self._ahead = ahead
        self._admin = _admin_engine(self.url)
        self._claim = self._admin.connect()
        _claim(self._claim, self._run)
        self._mine = f"{_PREFIX}_{self._run}_p{os.getpid()}{secrets.token_hex(2)}"
        self._numbers = count(1)
        self._templates: dict[str, ClonedTemplate] = {}
        self._janitor = Janitor(self._admin)
        self._spares = Spares()

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
        return self._claim

    def describe(self) -> str:
        """Return one line for a header."""
        with self._admin.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar_one().split()[0]
        if self.cluster is None:
            return f"PostgreSQL {version} ({self.url.render_as_string()})"
        source = {"system": "of this machine", "wheel": "of the postgres extra"}
        return (
            f"PostgreSQL {version} ({source[self.cluster.binaries.source]}, started for this run)"
        )

    @property
    def _can_spare(self) -> bool:
        return self.url.get_driver_name() == "psycopg"

    def restart(self) -> None:
        """Crash and start again the server that was started by the plugin."""
        if self.cluster is None:
            url = self.url.render_as_string()
            msg = f"{url} was not started by the plugin. Write PostgresServer() to start one."
            raise UsageError(msg)
        self._spares.close()
        self._janitor.alone(self.cluster.restart)
        self._spares.close()
        self._claim.invalidate()
        self._claim = self._admin.connect()
        _claim(self._claim, self._run)

    def stop(self) -> None:
        """Drop every database that is not kept; end the server if it was started here."""
        self._janitor.stop()
        self._spares.close()
        self._templates.clear()
        if self.cluster is None:
            _drop_run(self._claim, self._run)
        self._claim.close()
        self._admin.dispose()
        if self.cluster is not None:
            self.cluster.close()

    def _build(self, database: str, build: Build) -> None:
        """Build a template once, whichever process comes first."""
        from sqlalchemy import NullPool, create_engine

        with self._alone(database) as admin:
            known = "SELECT datistemplate FROM pg_database WHERE datname = %(name)s"
            if admin.exec_driver_sql(known, {"name": database}).scalar():
                return
            admin.exec_driver_sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            admin.exec_driver_sql(f"CREATE DATABASE {database} TEMPLATE template0")
            engine = create_engine(self.url.set(database=database), poolclass=NullPool)
            build(engine)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM (FREEZE, ANALYZE)")
            # VACUUM removed the file that lets a backend start quickly; this writes it again.
            engine.connect().close()
            admin.exec_driver_sql(
                f"ALTER DATABASE {database} IS_TEMPLATE true ALLOW_CONNECTIONS false"
            )

    @contextmanager
    def _alone(self, name: str) -> Iterator[Connection]:
        """Hold a lock of this name among all processes of the run."""
        with self._admin.connect() as admin:
            admin.exec_driver_sql(
                "SELECT pg_advisory_lock(hashtextextended(%(n)s, 1))", {"n": name}
            )
            try:
                yield admin
            finally:
                with suppress(Exception):
                    admin.exec_driver_sql("SELECT pg_advisory_unlock_all()")

    def _make(self, admin: Connection, template: str) -> Database:
        name = f"{self._mine}_{next(self._numbers)}"
        # Without fsync, copying files is faster than writing them to the log as well.
        quick = self.cluster is not None and self.cluster.binaries.major >= _STRATEGIES
        strategy = " STRATEGY file_copy" if quick else ""
        admin.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}")
        url = self.url.set(database=name)
        return Database(
            backend="postgres",
            url=url,
            connect_command=_psql(url),
            drop=lambda: self._janitor.do(lambda admin: _drop(admin, name), rank=Rank.DROP),
            keep=lambda: self._keep(name),
            spare=self._spares.connect(url) if self._ahead and self._can_spare else None,
            async_driver=self._async_driver,
            kill=lambda: self._kill(name),
            restart=self.restart if self.cluster is not None else None,
        )

    def _kill(self, database: str) -> None:
        """End every connection to a database, and return when they are gone."""
        with self._admin.connect() as admin:
            admin.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = %(name)s AND pid <> pg_backend_pid()",
                {"name": database},
            )

    def _keep(self, database: str) -> None:
        if self.cluster is not None:
            self.cluster.keep()
        else:
            with self._admin.connect() as admin:
                admin.exec_driver_sql(f"COMMENT ON DATABASE {database} IS '{_KEPT}'")


def _need_driver() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtra("--concurrency-db=postgres", "postgres") from None  # noqa: EM101  (MissingExtra words it)


def _admin_engine(url: URL) -> Engine:
    from sqlalchemy import create_engine

    # Four processes waiting to build one template need no more than a connection each.
    return create_engine(url, isolation_level="AUTOCOMMIT", pool_size=2, pool_pre_ping=True)


def _claim(connection: Connection, run: str) -> None:
    """Show that a run lives, and drop what runs left that do not."""
    key = "hashtextextended(%(run)s, 2)"
    connection.exec_driver_sql(f"SELECT pg_advisory_lock_shared({key})", {"run": run})
    names = "SELECT datname FROM pg_database WHERE datname LIKE 'ptc\\_%%'"
    runs = {name.split("_")[1] for name in connection.exec_driver_sql(names).scalars()}
    for other in runs - {run}:
        ask = f"SELECT pg_try_advisory_lock({key})"
        if connection.exec_driver_sql(ask, {"run": other}).scalar_one():
            _drop_run(connection, other)
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({key})", {"run": other})


def _drop_run(connection: Connection, run: str) -> None:
    """Drop a run's databases, unless another process still shares it."""
    key = "hashtextextended(%(run)s, 2)"
    mine = f"SELECT pg_advisory_unlock_shared({key}), pg_try_advisory_lock({key})"
    if not connection.exec_driver_sql(mine, {"run": run}).one()[1]:
        return
    names = (
        "SELECT datname FROM pg_database WHERE datname LIKE %(like)s "
        "AND shobj_description(oid, 'pg_database') IS DISTINCT FROM %(kept)s"
    )
    like = {"like": f"ptc\\_{run}\\_%", "kept": _KEPT}
    for name in connection.exec_driver_sql(names, like).scalars().all():
        _drop(connection, name)


def _drop(connection: Connection, name: str) -> None:
    with suppress(Exception):  # a template may have to become a plain database first
        connection.exec_driver_sql(f"ALTER DATABASE {name} IS_TEMPLATE false")
    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _psql(url: Any) -> str:
    host = url.query.get("host") or url.host or "localhost"
    port = url.query.get("port") or url.port or 5432
    user = f" -U {url.username}" if url.username else ""
    return f"psql -h {host} -p {port}{user} {url.database}"
