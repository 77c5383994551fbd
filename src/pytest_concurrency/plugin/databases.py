"""Databases under pytest: a server for each back end, a clean database for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, final

import pytest

from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pytest_concurrency.db.database import Database, Server
    from pytest_concurrency.db.datasets import Dataset, DatasetShelf
    from pytest_concurrency.db.pool import PoolWatch
    from pytest_concurrency.db.watch import EngineWatch

NAME = "concurrency-slo-databases"

servers_key: pytest.StashKey[dict[str, Server]] = pytest.StashKey()
"""On the config: the servers of the session, by their setting."""
shelves_key: pytest.StashKey[dict[tuple[str, str], DatasetShelf]] = pytest.StashKey()
"""On the config: the datasets of the session, by server and schema."""
watch_key: pytest.StashKey[EngineWatch] = pytest.StashKey()
"""On an item: what watches the engine of its database."""
pool_key: pytest.StashKey[PoolWatch] = pytest.StashKey()
"""On an item: what watches its pool, if it asked for that."""
database_key: pytest.StashKey[Database] = pytest.StashKey()
"""On an item: its database."""
failed_key: pytest.StashKey[bool] = pytest.StashKey()
"""On an item that has failed, so that its database may be kept."""


def server_of(config: pytest.Config, setting: str) -> Server:
    """Return the server of a setting, started at its first use and stopped with the session."""
    servers = config.stash.setdefault(servers_key, {})
    if setting not in servers:
        from pytest_concurrency.db.servers import open_server
        from pytest_concurrency.errors import MissingExtra, UsageError

        workerinput = getattr(config, "workerinput", {})
        run = workerinput.get("testrunuid", f"pytest-{os.getpid()}")
        begin: Any = read(config, "concurrency_sqlite_begin")
        try:
            server = open_server(setting, run=run, begin=begin)
        except (UsageError, MissingExtra) as error:
            raise pytest.UsageError(str(error)) from None
        servers[setting] = server
        config.add_cleanup(server.stop)
    return servers[setting]


def build_of(schema: Any) -> tuple[str, Callable[[Engine], object]]:
    """Return a name for a schema, the same in every process, and what creates it.

    Raises:
        pytest.UsageError: It is nothing that creates tables.
    """
    if schema is None:
        return "empty", lambda _: None
    if hasattr(schema, "create_all"):
        from sqlalchemy.schema import CreateTable

        tables = "\n".join(str(CreateTable(table)) for table in schema.sorted_tables)
        return sha256(tables.encode()).hexdigest()[:12], schema.create_all
    if callable(schema):
        return f"{schema.__module__}.{schema.__qualname__}", schema
    msg = (
        f"the fixture database_schema gives {schema!r}. "
        "Return MetaData, or a function that takes an engine and creates the tables."
    )
    raise pytest.UsageError(msg)


def shelf_of(config: pytest.Config, setting: str, schema: Any) -> DatasetShelf:
    """Return the datasets over one schema on one server."""
    from pytest_concurrency.db.datasets import DatasetShelf

    name, build = build_of(schema)
    shelves = config.stash.setdefault(shelves_key, {})
    if (setting, name) not in shelves:
        shelves[setting, name] = DatasetShelf(server_of(config, setting), build)
        config.add_cleanup(shelves[setting, name].close)
    return shelves[setting, name]


def make_database(item: pytest.Item, setting: str, schema: Any, data: Dataset | None) -> Database:
    """Make the clean database of a test, closed by the caller."""
    if data is not None:
        database = shelf_of(item.config, setting, schema).clone(data)
    else:
        name, build = build_of(schema)
        database = server_of(item.config, setting).template(f"schema {name}", build).clone()
    item.stash[database_key] = database
    return database


def close_database(item: pytest.Item, database: Database) -> None:
    """Close a test's database; leave it for a person to look into, if asked to and it failed."""
    kept = bool(read(item.config, "concurrency_keep_db")) and item.stash.get(failed_key, False)
    database.close(keep=kept)


def watched(item: pytest.Item, engine: Any) -> EngineWatch:
    """Return what watches an engine; the same for the same engine."""
    watch = item.stash.get(watch_key, None)
    if watch is None:
        from pytest_concurrency.db.watch import EngineWatch

        watch = item.stash[watch_key] = EngineWatch(engine).start()
    return watch


def check_leaks(item: pytest.Item) -> None:
    """Report what a test left open in its database, and close it.

    Raises:
        BrokenPromise: It left something, and that is to fail.
    """
    __tracebackhide__ = True
    watch = item.stash.get(watch_key, None)
    if watch is None:
        return
    del item.stash[watch_key]
    policy = read(item.config, "concurrency_leaks")
    try:
        if policy != "ignore":
            _report_leaks(item, watch, str(policy))
    finally:
        watch.stop()


def _report_leaks(item: pytest.Item, watch: EngineWatch, policy: str) -> None:
    __tracebackhide__ = True
    from pytest_concurrency.db.leaks import close_leaks, find_leaks
    from pytest_concurrency.db.waits import control_engine

    server = watch.engine.dialect.name != "sqlite"
    control = control_engine(watch.engine) if server else None
    connection = control.connect() if control is not None else None
    try:
        report = find_leaks(watch, ask=(lambda: connection) if connection is not None else None)
        if not report:
            return
        close_leaks(watch)
    finally:
        if connection is not None and control is not None:
            connection.close()
            control.dispose()
    from pytest_concurrency.errors import BrokenPromise, ConcurrencyWarning

    if policy == "fail":
        from pytest_concurrency.plugin.pointing import raise_at_test

        raise_at_test(item, BrokenPromise(str(report)))
    import warnings

    warnings.warn(f"{item.nodeid}: {report}", ConcurrencyWarning, stacklevel=1)


@final
class Databases:
    """The hooks of a session with databases; they join when a test asks for one."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Watch the engine of a test, whoever made it, until those who use it are torn down."""
        value = yield
        if fixturedef.argname == "database_engine" and isinstance(request.node, pytest.Item):
            watched(request.node, value)
            fixturedef.addfinalizer(partial(check_leaks, request.node))
        return value

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say how to look into the database of a test that has failed, if it is kept."""
        report = yield
        if report.failed:
            item.stash[failed_key] = True
            database = item.stash.get(database_key, None)
            if database is not None and read(item.config, "concurrency_keep_db"):
                report.sections.append(("Database kept", database.connect_command))
        return report


def join_session(config: pytest.Config) -> None:
    """Let the hooks take part in a session in which a test asks for a database."""
    config.pluginmanager.register(Databases(), NAME)
