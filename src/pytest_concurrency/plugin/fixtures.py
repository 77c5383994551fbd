"""The fixtures: thin adapters over the importable names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_concurrency.run.worker import Worker
    from pytest_concurrency.slo.perf import PerfTimer
    from pytest_concurrency.slo.timing import Timing


@pytest.fixture
def concurrent_runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Run calls from many workers, released together, and keep every outcome.

    ``outcome = concurrent_runner(call, workers=100)``

    The importable twin, for use without this fixture: ``pytest_concurrency.concurrent_runner``.
    """
    from pytest_concurrency.plugin.conflict import check_rival
    from pytest_concurrency.plugin.journal import factory_key

    check_rival()
    request.node.stash[factory_key] = tmp_path_factory
    from pytest_concurrency.run.runner import concurrent_runner as run

    return run


@pytest.fixture
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """The worker that runs the body of a test marked concurrent(workers=...).

    In any other test, the only one, with index 0.
    """
    from pytest_concurrency.plugin.journal import factory_key
    from pytest_concurrency.plugin.settings import run_settings
    from pytest_concurrency.run.worker import Worker

    request.node.stash[factory_key] = tmp_path_factory
    settings = run_settings(request.node)
    return Worker(index=0, seed=settings.seed or 0, title=settings.title, room=settings.room)


@pytest.fixture
def interleave(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a body once per schedule, in every order of its workers that matters.

    ``@interleave`` above ``def body(run): ...`` explores at once; so does ``interleave(body)``.
    """
    from pytest_concurrency.explore.interleave import interleave as explore
    from pytest_concurrency.plugin.arguments import database_refusal
    from pytest_concurrency.plugin.conflict import check_rival
    from pytest_concurrency.plugin.exploring import expect_call

    check_rival()
    expect_call(request)
    reason = database_refusal(request.node)
    if reason is not None:
        pytest.fail(f"{request.node.nodeid}: interleave: {reason}", pytrace=False)
    return explore


@pytest.fixture(scope="session")
def linearizable() -> Callable[..., Any]:
    """Check that concurrent calls of an object are answered as in some order, one by one.

    ``linearizable(LRUCache, put=(st.integers(), st.text()), get=(st.integers(),))``
    """
    from pytest_concurrency.explore.linearizable import linearizable as check

    return check


@pytest.fixture
def perf_timer(request: pytest.FixtureRequest) -> PerfTimer:
    """Time calls: ``with perf_timer: ...``; objectives come from the marker ``slo``.

    ``for _ in perf_timer.until_decided(): ...`` collects until every objective is decided.
    """
    from pytest_concurrency.plugin.objectives import make_timer

    return make_timer(request.node)


@pytest.fixture
def measure_time() -> Callable[[str], Timing]:
    """Time a block of code: its result holds the ``duration``.

    ``with measure_time("import") as timing: ...``
    """
    from pytest_concurrency.slo.timing import measure_time as measure

    return measure


@pytest.fixture
def assert_performance() -> Callable[..., None]:
    """Claim that a duration is within a limit, under a name.

    ``assert_performance(timing.duration, "50ms", "import")``
    """
    from pytest_concurrency.slo.timing import assert_performance as check

    return check
