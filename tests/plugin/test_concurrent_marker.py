"""``@pytest.mark.concurrent(workers=8)``: an ordinary test's body, run by many at once."""

from __future__ import annotations

import pytest

SYNC = """
import threading
import pytest

together = threading.Barrier(4)
seen = []

@pytest.fixture
def basket():
    seen.append("made")
    yield []
    seen.append("gone")

@pytest.mark.concurrent(workers=4, rounds=2)
def test_body(basket, worker):
    together.wait(5)
    basket.append(worker.index)
    (worker.tmp_path / str(worker.round)).touch()
    assert sorted(path.name for path in worker.tmp_path.iterdir()) == ["0", "1"][: worker.round + 1]

def test_fixtures_were_made_once():
    assert seen == ["made", "gone"]

@pytest.mark.concurrent(workers=4)
class TestClass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_method(self, number):
        seen.append(number)

    def test_counted(self, request):
        assert seen.count(1) == seen.count(2) == 4
        assert isinstance(self, TestClass)

@pytest.mark.concurrent(rounds=2)
def test_default_workers():
    seen.append("default")

def test_default_was_eight():
    assert seen.count("default") == 16

@pytest.mark.concurrent(workers=2, timeout="20ms")
def test_hangs(worker):
    while True:
        pass
"""


def test_bodies_run_at_once(suite):
    """Rounds, fixtures made once and shared, the worker's own, parameters, classes, deadlines."""
    ran = suite(SYNC)

    assert ran.outcomes == {"passed": 7, "failed": 1}
    assert "HangError: 2 of 2 workers did not end" in ran.text


ASYNC = """
import pytest

running = []

async def body(worker, sleep):
    running.append(worker.index)
    for _ in range(50):
        await sleep(0)
    assert len(running) == 3
    return "ignored"

@pytest.mark.concurrent(workers=3)
@MARK
async def test_together(worker):
    await body(worker, SLEEP)

def test_count():
    assert sorted(running) == [0, 1, 2]

@pytest.mark.concurrent(workers=3)
@MARK
async def test_fails(worker):
    await SLEEP(0)
    assert worker.index == -1

@pytest.mark.concurrent(workers=3)
@MARK
async def test_skips(worker):
    pytest.skip("no seats")

@MARK
async def test_awaits(concurrent_runner):
    async def call(worker):
        await SLEEP(0)
        return worker.index
    outcome = await concurrent_runner(call, workers=3)
    assert outcome.values == [0, 1, 2]
"""
LOOPS = {
    "asyncio": ("asyncio", "pytest.mark.asyncio", "", "asyncio.sleep"),
    "asyncio auto": (
        "asyncio",
        "pytest.mark.usefixtures()",
        "asyncio_mode = auto",
        "asyncio.sleep",
    ),
    "anyio": ("anyio", "pytest.mark.anyio", "", "anyio.sleep"),
}


@pytest.mark.parametrize(("plugin", "mark", "ini", "sleep"), LOOPS.values(), ids=LOOPS)
def test_coroutines_run_in_the_loop_of_their_test(suite, plugin, mark, ini, sleep):
    """Whichever plugin runs it, on either back end of anyio."""
    module = sleep.partition(".")[0]
    test = f"import {module}\n" + ASYNC.replace("MARK", mark).replace("SLEEP", sleep)
    if plugin == "anyio":
        test = test.replace("def test_count", "def _count")
        test = test.replace(
            "    running.append", "    if len(running) == 3: running.clear()\n    running.append"
        )
    if plugin == "asyncio":
        ini += "\nasyncio_default_fixture_loop_scope = function"
    ran = suite(test, plugins=[plugin], ini=ini or "addopts =")
    times = 2 if plugin == "anyio" else 1

    assert ran.outcomes == {
        "passed": 2 * times + (plugin == "asyncio"),
        "failed": times,
        "skipped": times,
    }
    assert "3 of 3 workers failed; worker " in ran.text
    assert ">       assert worker.index == -1\n" in ran.text
