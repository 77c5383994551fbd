"""The pytest face of the package: what the entry point ``concurrency-slo`` loads."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from time import perf_counter
from typing import Any

import pytest

from pytest_concurrency.plugin.fixtures import (
    assert_performance,
    concurrent_runner,
    interleave,
    measure_time,
    perf_timer,
    worker,
)

__all__ = [
    "assert_performance",
    "concurrent_runner",
    "interleave",
    "measure_time",
    "perf_timer",
    "worker",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register every option and ini key."""
    from pytest_concurrency.plugin.options import add_options

    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hooks that others may implement."""
    from pytest_concurrency.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse settings that cannot be read."""
    from pytest_concurrency.plugin.markers import add_markers
    from pytest_concurrency.plugin.settings import check_settings

    add_markers(config)
    check_settings(config)
    if not hasattr(config, "workerinput"):
        from pytest_concurrency.plugin.journal import Collector

        config.pluginmanager.register(Collector(config), "concurrency-slo-collector")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the session's seed."""
    from pytest_concurrency.plugin.settings import session_seed

    node.workerinput["concurrency_seed"] = session_seed(node.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the arguments of our markers on every test, before any runs."""
    from pytest_concurrency.plugin.markers import check_markers

    check_markers(items)
    if any(item.get_closest_marker("interleave") for item in items):
        from pytest_concurrency.plugin.fresh import FixtureWatch

        config.pluginmanager.register(FixtureWatch(), "concurrency-slo-fixture-watch")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let runs that the test starts know the session's settings."""
    from pytest_concurrency.plugin.journal import forget
    from pytest_concurrency.plugin.settings import settings_for
    from pytest_concurrency.surroundings import SURROUNDINGS

    before, SURROUNDINGS.provide = SURROUNDINGS.provide, partial(settings_for, item)
    try:
        return (yield)
    finally:
        SURROUNDINGS.provide = before
        forget(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run marked coroutine tests from many tasks; refuse failures that nobody looked at."""
    __tracebackhide__ = True
    from pytest_concurrency.plugin.concurrent import wrap_async
    from pytest_concurrency.plugin.journal import check_seen
    from pytest_concurrency.plugin.objectives import judge_item, measuring, note_samples

    restore = wrap_async(item)
    begun = perf_counter()
    try:
        with measuring(item):
            result = yield
    finally:
        restore()
        note_samples(item)
    check_seen(item)
    judge_item(item, perf_counter() - begun)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the body of a test that is marked ``concurrent(...)`` from many workers."""
    __tracebackhide__ = True
    from pytest_concurrency.plugin.concurrent import run_body
    from pytest_concurrency.plugin.exploring import explore_body

    return explore_body(pyfuncitem) or run_body(pyfuncitem) or None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the test's journal on its report."""
    report = yield
    from pytest_concurrency.plugin.journal import attach

    attach(item, report)
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what has to be said, in one short section."""
    from pytest_concurrency.plugin.summary import write_summary

    write_summary(terminalreporter, config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the session's records to every sink, on the controller only."""
    if not hasattr(session.config, "workerinput"):
        from pytest_concurrency.plugin.journal import deliver

        deliver(session.config)
