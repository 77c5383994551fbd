"""The pytest face of the package: what the entry point ``concurrency-slo`` loads."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pytest_concurrency.plugin.database_fixtures import (
    database,
    database_backend,
    database_dataset,
    database_engine,
    database_schema,
    large_dataset,
    pool_watch,
    separate_sessions,
)
from pytest_concurrency.plugin.fixtures import (
    assert_performance,
    concurrent_runner,
    interleave,
    linearizable,
    measure_time,
    perf_timer,
    worker,
)

__all__ = [
    "assert_performance",
    "concurrent_runner",
    "database",
    "database_backend",
    "database_dataset",
    "database_engine",
    "database_schema",
    "interleave",
    "large_dataset",
    "linearizable",
    "measure_time",
    "perf_timer",
    "pool_watch",
    "separate_sessions",
    "worker",
]

ACTIVE = frozenset({"concurrent", "interleave", "slo"})
"""The markers that do something with a test, rather than only select it."""

DATABASE = frozenset(
    {"database", "database_engine", "large_dataset", "pool_watch", "separate_sessions"}
)
"""The fixtures by which a test asks for a database."""

current_key: pytest.StashKey[pytest.Item] = pytest.StashKey[pytest.Item]()
"""On the config: the test that is running, or the last one that did."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register every option and ini key."""
    from pytest_concurrency.plugin.options import add_options

    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hooks that others may implement."""
    from pytest_concurrency.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, refuse settings that cannot be read, and lend them to every run."""
    from pytest_concurrency.plugin.markers import add_markers
    from pytest_concurrency.plugin.options import is_any_given
    from pytest_concurrency.surroundings import SURROUNDINGS

    add_markers(config)
    if is_any_given(config):
        from pytest_concurrency.plugin.settings import check_settings

        check_settings(config)
    before, SURROUNDINGS.provide = SURROUNDINGS.provide, partial(_settings_for, config)
    config.add_cleanup(partial(setattr, SURROUNDINGS, "provide", before))


def _settings_for(config: pytest.Config, room: str) -> object:
    """Return what a room should take as its defaults in the test that is running."""
    item = config.stash.get(current_key, None)
    if item is None:
        return None
    from pytest_concurrency.plugin.settings import settings_for

    return settings_for(item, room)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the session's seed."""
    from pytest_concurrency.plugin.alone import remove_later
    from pytest_concurrency.plugin.journal import open_journal
    from pytest_concurrency.plugin.settings import session_seed

    open_journal(node.config)
    node.workerinput["concurrency_seed"] = session_seed(node.config)
    remove_later(node.config, node.workerinput["testrunuid"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every back end that it is marked for."""
    if "database_backend" in metafunc.fixturenames:
        from pytest_concurrency.plugin.arguments import backend_id, backends_of

        names = backends_of(metafunc.definition)
        if names:
            metafunc.parametrize("database_backend", names, indirect=True, ids=backend_id)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the arguments of our markers on every test, before any runs."""
    from pytest_concurrency.plugin.markers import check_markers

    seen = check_markers(items)
    if any(not DATABASE.isdisjoint(getattr(item, "fixturenames", ())) for item in items):
        from pytest_concurrency.plugin.leftovers import join_session

        join_session(config)
    if not ACTIVE.isdisjoint(seen):
        from pytest_concurrency.plugin.marked import join

        join(config)
    if "interleave" in seen:
        from pytest_concurrency.plugin.fresh import FixtureWatch

        config.pluginmanager.register(FixtureWatch(), "concurrency-slo-fixture-watch")
    if "performance" in seen and hasattr(config, "workerinput"):
        from pytest_concurrency.plugin.alone import NAME, Alone

        config.pluginmanager.register(Alone(config), NAME)


# Every test passes the two hooks below. They are no wrappers and import nothing, so that a suite
# that never uses the plugin keeps its time. Others join the session when there is work for them:
# those in ``marked`` with the first test that needs them, those in ``journal`` with the first
# record.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Note which test is running, for the runs that it starts."""
    item.config.stash[current_key] = item


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Notice a marker that one of the test's fixtures has added."""
    for mark in item.own_markers:
        if mark.name in ACTIVE:
            from pytest_concurrency.plugin.marked import join

            join(item.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the session's records to every sink, on the controller only."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    if config.pluginmanager.has_plugin("concurrency-slo-journal") or (
        config.hook.pytest_concurrency_sink.get_hookimpls()
    ):
        from pytest_concurrency.plugin.journal import deliver

        deliver(config)
