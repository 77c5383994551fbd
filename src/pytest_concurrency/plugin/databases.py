"""Databases under pytest: a server for each back end, a clean database for each test."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_concurrency.plugin.journal import note_record
from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData

    from pytest_concurrency.db.database import Database, Server
    from pytest_concurrency.db.datasets import Dataset, DatasetShelf
    from pytest_concurrency.db.pool import PoolWatch


class Home(NamedTuple):
    """A test's database, and the server that has it."""

    database: Database
    server: Server


servers_key: pytest.StashKey[dict[str, Server | str]] = pytest.StashKey()
"""On the config: the servers of the session by their setting, or why there is none."""
shelves_key: pytest.StashKey[dict[tuple[str, str], DatasetShelf]] = pytest.StashKey()
"""On the config: the datasets of the session, by server and schema."""
pool_key: pytest.StashKey[PoolWatch] = pytest.StashKey()
"""On an item: what watches its pool, if it asked for that."""
homes_key: pytest.StashKey[list[Home]] = pytest.StashKey()
"""On an item: its databases."""
failed_key: pytest.StashKey[bool] = pytest.StashKey()
"""On an item that has failed, so that its databases may be kept."""


def server_of(item: pytest.Item, setting: str) -> Server:
    """Return the server of a setting, started at its first use and stopped with the session.

    It fails the test, and every other that asks, where there is none.
    """
    config = item.config
    servers = config.stash.setdefault(servers_key, {})
    if setting not in servers:
        opened = servers[setting] = _open(config, setting)
        if not isinstance(opened, str):
            config.add_cleanup(opened.stop)
            _note(item, opened.describe())
    found = servers[setting]
    if isinstance(found, str):
        pytest.fail(found, pytrace=False)
    return found


def _note(item: pytest.Item, text: str) -> None:
    """Note a line for the end of the session."""
    note_record(item, {"kind": "database", "nodeid": item.nodeid, "text": text})


def _open(config: pytest.Config, setting: str) -> Server | str:
    from pytest_concurrency.db.servers import open_server
    from pytest_concurrency.errors import MissingExtra, UsageError

    workerinput = getattr(config, "workerinput", {})
    run = workerinput.get("testrunuid", f"pytest-{os.getpid()}")
    begin: Any = read(config, "concurrency_sqlite_begin")
    try:
        return open_server(setting, run=run, begin=begin)
    except (UsageError, MissingExtra) as error:
        return str(error)
    except Exception as error:
        if "://" not in setting:
            raise
        return _unreachable(setting, error)


def _unreachable(setting: str, error: Exception) -> str:
    from sqlalchemy.engine import make_url

    if isinstance(error, ModuleNotFoundError):
        why = f"there is no driver {error.name!r}. Run: pip install {error.name}"
    else:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        why = (
            f"{said[0] if said else type(error).__name__}. "
            "Start that server, or write --concurrency-db=postgres."
        )
    return f"--concurrency-db={make_url(setting).render_as_string()}: {why}"


def build_of(schema: MetaData | Callable[[Engine], object] | None) -> tuple[str, Any]:
    """Return a name for a schema, the same in every process, and what creates it."""
    from pytest_concurrency.db.schema import as_build
    from pytest_concurrency.errors import UsageError

    build, refusal = None, ""
    try:
        build = as_build(schema)
    except UsageError as error:
        refusal = str(error)
    if build is None:
        pytest.fail(refusal, pytrace=False)
    if schema is None:
        return "empty", build
    if callable(schema):
        return f"{schema.__module__}.{schema.__qualname__}", build
    tables = [(repr(table), sorted(map(repr, table.indexes))) for table in schema.sorted_tables]
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(tables))
    return sha256(text.encode()).hexdigest()[:12], build


def shelf_of(item: pytest.Item, setting: str, schema: Any) -> DatasetShelf:
    """Return the datasets over one schema on one server."""
    from pytest_concurrency.db.datasets import DatasetShelf

    config, server = item.config, server_of(item, setting)
    name, build = build_of(schema)
    shelves = config.stash.setdefault(shelves_key, {})
    if (setting, name) not in shelves:
        shelf = DatasetShelf(server, build, name=name, built=partial(_note_counts, config))
        shelves[setting, name] = shelf
        config.add_cleanup(shelf.close)
    return shelves[setting, name]


def _note_counts(config: pytest.Config, dataset: str, counts: dict[str, int]) -> None:
    """Note what was built, for the line at the end: the first test that needs it tells it."""
    from pytest_concurrency.plugin import current_key
    from pytest_concurrency.plugin.datasets import counted, remember_counts

    remember_counts(config, dataset, counts)
    _note(config.stash[current_key], f"built {dataset}: {counted(counts)}")


def make_database(item: pytest.Item, setting: str, schema: Any, data: Dataset | None) -> Database:
    """Make a clean database for a test, closed by the caller."""
    __tracebackhide__ = True
    server = server_of(item, setting)
    if data is not None:
        from pytest_concurrency.db.datasets import check_dataset

        check_dataset(data, "database_dataset")
        database = shelf_of(item, setting, schema).clone(data)
    else:
        name, build = build_of(schema)
        database = server.template(f"schema {name}", build).clone()
    item.stash.setdefault(homes_key, []).append(Home(database, server))
    return database


def close_database(item: pytest.Item, database: Database) -> None:
    """Close a test's database; leave it for a person to look into, if asked to and it failed."""
    kept = bool(read(item.config, "concurrency_keep_db")) and item.stash.get(failed_key, False)
    database.close(keep=kept)


def home_of(item: pytest.Item, engine: Engine) -> Home | None:
    """Return the database of a test that an engine is on, if it is one of ours."""
    for home in item.stash.get(homes_key, []):
        url = home.database.url
        if (url.database, url.host, url.query) == (engine.url.database, engine.url.host, url.query):
            return home
    return None
