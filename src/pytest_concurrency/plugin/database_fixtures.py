"""The fixtures of databases: a clean one for each test, and sessions for its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pytest_concurrency.db.database import Database
    from pytest_concurrency.db.datasets import Dataset
    from pytest_concurrency.db.pool import PoolWatch


@pytest.fixture(scope="session")
def database_schema() -> Any:
    """Override it: return MetaData, or a function that creates the tables with an engine."""
    return None


@pytest.fixture(scope="session")
def database_dataset() -> Dataset | None:
    """Override it: return the dataset that every test's database begins with."""
    return None


@pytest.fixture
def database_backend(request: pytest.FixtureRequest) -> str:
    """The back end of this test: that of ``--concurrency-db``, or one of its marker's."""
    from pytest_concurrency.plugin.settings import read

    return str(getattr(request, "param", None) or read(request.config, "concurrency_db"))


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    database_backend: str,
    database_schema: Any,
    database_dataset: Dataset | None,
) -> Iterator[Database]:
    """A clean database of the test's own, in which commits are real."""
    from pytest_concurrency.plugin.databases import close_database, make_database

    made = make_database(request.node, database_backend, database_schema, database_dataset)
    yield made
    close_database(request.node, made)


@pytest.fixture
def database_engine(database: Database) -> Engine:
    """An engine on the test's database. Override it to use the project's own."""
    return database.engine()


@pytest.fixture
def separate_sessions(request: pytest.FixtureRequest, database_engine: Any) -> Callable[..., Any]:
    """Open sessions for workers, each on a connection of its own, with real commits.

    ``with separate_sessions("ann", "bob") as (ann, bob): ...``
    """
    from pytest_concurrency.plugin.leftovers import watched
    from pytest_concurrency.plugin.opener import Opener

    return Opener(database_engine, watched(request.node, database_engine, request))


@pytest.fixture
def large_dataset(
    request: pytest.FixtureRequest, database_backend: str, database_schema: Any
) -> Callable[..., Engine]:
    """Get a dataset that is built once in a run: fresh, or ``shared=True`` to read only.

    ``engine = large_dataset(clinic)``; with ``engine=`` a function that makes the project's own
    engine on the ``Database`` that it is given.
    """
    from functools import partial

    from pytest_concurrency.db.database import refuse_writes
    from pytest_concurrency.db.datasets import check_dataset
    from pytest_concurrency.plugin.databases import close_database, make_database, shelf_of
    from pytest_concurrency.plugin.leftovers import watched

    item = request.node

    def get(
        data: Dataset, *, shared: bool = False, engine: Callable[[Database], Engine] | None = None
    ) -> Engine:
        __tracebackhide__ = True
        check_dataset(data, "large_dataset")
        if shared:
            database = shelf_of(item, database_backend, database_schema).shared(data)
        else:
            database = make_database(item, database_backend, database_schema, data)
            request.addfinalizer(partial(close_database, item, database))
        made = database.engine() if engine is None else engine(database)
        if shared and engine is not None:
            refuse_writes(made)
        request.addfinalizer(made.dispose)
        watched(item, made, request)
        return made

    return get


@pytest.fixture
def pool_watch(request: pytest.FixtureRequest, database_engine: Any) -> Iterator[PoolWatch]:
    """Watch the pool of the test's engine: who took, who waited, how full it was."""
    from pytest_concurrency.db.pool import PoolWatch
    from pytest_concurrency.plugin.databases import pool_key

    with PoolWatch(database_engine) as watch:
        request.node.stash[pool_key] = watch
        yield watch
