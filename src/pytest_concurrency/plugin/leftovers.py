"""What tests leave in their databases: watched, told, closed, or kept for a person to look into."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, final

import pytest

from pytest_concurrency.plugin.databases import failed_key, home_of, homes_key
from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from pytest_concurrency.db.leaks import LeakReport
    from pytest_concurrency.db.watch import EngineWatch
    from pytest_concurrency.slo.samples import Samples

NAME = "concurrency-slo-databases"
LOCK_WAIT = "lock wait"
CAN_BE_ASKED = ("postgresql", "mysql", "mariadb")

watches_key: pytest.StashKey[list[EngineWatch]] = pytest.StashKey()
"""On an item: what watches the engines that it uses."""
waits_key: pytest.StashKey[list[Iterable[int]]] = pytest.StashKey()
"""On an item: how long statements waited for locks, by engine, in nanoseconds."""


def watched(item: pytest.Item, engine: Any, request: Any) -> EngineWatch:
    """Return what watches an engine of a test: the same for the same engine.

    Args:
        item: The test.
        engine: A sync or an async engine.
        request: What leads the fixture, or its definition: at whose end the engine is looked at.
    """
    __tracebackhide__ = True
    from pytest_concurrency.db.drivers import sync_engine
    from pytest_concurrency.db.opening import check_engine
    from pytest_concurrency.db.watch import EngineWatch

    check_engine(engine, "database_engine")
    watches = item.stash.setdefault(watches_key, [])
    for watch in watches:
        if watch.engine is sync_engine(engine):
            return watch
    watch = EngineWatch(engine).start()
    watches.append(watch)
    item.stash.setdefault(waits_key, []).append(watch.lock_waits_ns)
    request.addfinalizer(partial(check_leaks, item, watch))
    if _asks_for_waits(item):
        from pytest_concurrency.db.sampler import WaitSampler

        request.addfinalizer(WaitSampler(watch).stop)
    return watch


def _asks_for_waits(item: pytest.Item) -> bool:
    from pytest_concurrency.plugin.objectives import goals_of

    if item.get_closest_marker("slo") is None:
        return False
    return any(goal.objective.series == LOCK_WAIT for goal in goals_of(item))


def lock_waits_of(item: pytest.Item) -> dict[str, Samples]:
    """Return how long a test's statements waited for locks, by the name objectives know.

    Where an objective asks and nobody waited, that is one sample of no time.
    """
    watched_ones = item.stash.get(waits_key, [])
    waits = [wait for each in watched_ones for wait in each]
    if not waits and watched_ones and _asks_for_waits(item):
        waits = [0]
    if not waits:
        return {}
    from pytest_concurrency.slo.samples import Samples

    return {LOCK_WAIT: Samples.of(waits)}


def check_leaks(item: pytest.Item, watch: EngineWatch) -> None:
    """Report what a test left open in its database, and close it.

    Raises:
        BrokenPromise: It left something, and that is to fail.
    """
    __tracebackhide__ = True
    item.stash[watches_key].remove(watch)
    policy = read(item.config, "concurrency_leaks")
    try:
        if policy != "ignore":
            _report_leaks(item, watch, str(policy))
    finally:
        watch.stop()


def _report_leaks(item: pytest.Item, watch: EngineWatch, policy: str) -> None:
    __tracebackhide__ = True
    from pytest_concurrency.db.leaks import close_leaks

    report = _find_leaks(item, watch)
    if not report:
        return
    close_leaks(watch)
    from pytest_concurrency.errors import BrokenPromise, ConcurrencyWarning

    if policy == "fail":
        from pytest_concurrency.plugin.pointing import raise_at_test

        item.stash[failed_key] = True
        raise_at_test(item, BrokenPromise(str(report)))
    import warnings

    warnings.warn(f"{item.nodeid}: {report}", ConcurrencyWarning, stacklevel=1)


def check_steps(item: pytest.Item) -> None:
    """Fail a test that passed though a step of a session failed and it never asked.

    Raises:
        BrokenPromise: There is one, and that is to fail.
    """
    __tracebackhide__ = True
    steps = [step for watch in item.stash.get(watches_key, []) for step in watch.failed_steps]
    unseen = [text for step in steps if (text := step.unseen_failure()) is not None]
    policy = read(item.config, "concurrency_unseen") if unseen else "ignore"
    if policy == "ignore":
        return
    from pytest_concurrency.errors import BrokenPromise, ConcurrencyWarning
    from pytest_concurrency.plugin.pointing import raise_at_test, warn_at_test

    text = "\n".join(unseen)
    if policy == "fail":
        raise_at_test(item, BrokenPromise(text))
    warn_at_test(item, ConcurrencyWarning(text))


def _find_leaks(item: pytest.Item, watch: EngineWatch) -> LeakReport:
    from pytest_concurrency.db.leaks import find_leaks

    home = home_of(item, watch.engine)
    if home is not None:
        return find_leaks(watch, ask=home.server.ask, database=home.database.url.database)
    if watch.engine.dialect.name not in CAN_BE_ASKED:
        return find_leaks(watch)
    with _asking(watch) as ask:
        return find_leaks(watch, ask=ask)


@contextmanager
def _asking(watch: EngineWatch) -> Generator[Callable[[], Connection]]:
    """Connect to the server of a project's own engine."""
    from pytest_concurrency.db.waits import control_engine

    control = control_engine(watch.engine)
    try:
        with control.connect() as connection:
            yield lambda: connection
    finally:
        control.dispose()


def waits_of(item: pytest.Item) -> Mapping[object, str]:
    """Return what threads and tasks of a test wait for in its databases, if that can be told."""
    found: dict[object, str] = {}
    for watch in item.stash.get(watches_key, []):
        from pytest_concurrency.db.hangs import hung_workers

        with suppress(Exception):  # a hang is told whether or not the database answers
            found.update(hung_workers(watch))
    return found


@final
class Databases:
    """The hooks of a session with databases; they join when a test asks for one."""

    def pytest_report_collectionfinish(
        self, config: pytest.Config, items: Sequence[pytest.Item]
    ) -> list[str]:
        """Name the datasets, with their rows."""
        from pytest_concurrency.plugin.datasets import lines_of

        return lines_of(config, items)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Watch the engine of a test, whoever made it, until those who use it are torn down."""
        value = yield
        if fixturedef.argname == "database_engine" and isinstance(request.node, pytest.Item):
            watched(request.node, value, fixturedef)
        return value

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Refuse failed steps that nobody looked at."""
        __tracebackhide__ = True
        result = yield
        check_steps(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say how to look into the databases of a test that has failed, if they are kept."""
        report = yield
        if report.failed:
            item.stash[failed_key] = True
            if read(item.config, "concurrency_keep_db"):
                homes = item.stash.get(homes_key, [])
                commands = [home.database.connect_command for home in homes]
                if commands:
                    report.sections.append(("Database kept", "\n".join(commands)))
        return report


def join_session(config: pytest.Config) -> None:
    """Let the hooks take part in a session in which a test asks for a database."""
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(Databases(), NAME)
