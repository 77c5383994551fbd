"""The marker: a whole test once per schedule, its fixtures made anew, or refused by name."""

from __future__ import annotations

import pytest

FRESH = """
import threading
import pytest

made, ended = [], []

@pytest.fixture(scope="module")
def shop():
    return "one for all"

@pytest.fixture
def log(tmp_path, request):
    made.append(tmp_path)
    assert not list(tmp_path.iterdir())
    request.addfinalizer(lambda: ended.append("finalizer"))
    yield []
    ended.append("teardown")

@pytest.fixture
def counter(log, shop):
    class Counter:
        value = 0

        def increment(self):
            value = self.value
            log.append(value)
            self.value = value + 1

    return Counter()

@pytest.mark.interleave
def test_count(counter, log, tmp_path, shop):
    assert not log and shop == "one for all"
    (tmp_path / "left").write_text("by a schedule")
    threads = [threading.Thread(target=counter.increment) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value == EXPECTED

def test_each_schedule_had_its_own():
    assert len(made) > 2
    assert ended.count("teardown") == ended.count("finalizer") == len(made)
"""


@pytest.mark.parametrize(
    ("expected", "outcomes"),
    [("2", {"failed": 1, "passed": 1}), ("counter.value", {"passed": 2})],
)
def test_fixtures_of_a_test_are_made_anew_for_each_schedule(suite, expected, outcomes):
    """Those of the function and its ``tmp_path``; those of wider scopes are shared."""
    ran = suite(FRESH.replace("EXPECTED", expected))

    assert ran.outcomes == outcomes
    if "failed" in outcomes:
        assert "assert 1 == 2" in ran.text
        assert "worker 1's write is lost" in ran.text
        assert "Replay: pytest 'test_it.py::test_count' --concurrency-replay='" in ran.text


NEVER = {
    "capsys": "captured output",
    "capfd": "captured output",
    "caplog": "captured log records",
    "recwarn": "recorded warnings",
}


@pytest.mark.parametrize("fixture", NEVER)
def test_a_fixture_of_the_whole_test_is_refused_by_name(suite, fixture):
    """With what it holds, and what to write instead."""
    ran = suite(f"""
    import pytest

    @pytest.mark.interleave
    def test_it({fixture}):
        raise RuntimeError("never")
    """)

    assert ran.outcomes == {"failed": 1}
    assert ran.section("test_it") == (
        f"test_it.py::test_it: @pytest.mark.interleave: the fixture {fixture!r} holds "
        f"{NEVER[fixture]} of the whole test and cannot be made anew for each schedule. Explore "
        "without it: use the fixture interleave."
    )


ASYNCHRONOUS = """
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def client():
    yield 1

@pytest.mark.interleave
def test_it(client):
    raise RuntimeError("never")
"""


def test_an_asynchronous_fixture_is_refused_by_name(suite):
    """Its loop is not the one that is explored."""
    ran = suite(ASYNCHRONOUS, plugins=["pytest_asyncio.plugin"], apart=True)

    assert ran.outcomes == {"failed": 1}
    assert ran.section("test_it") == (
        "test_it.py::test_it: @pytest.mark.interleave: the fixture 'client' is asynchronous and "
        "cannot be made anew for each schedule. Make what it gives inside the test."
    )


def test_a_mark_of_another_loop_is_refused(suite):
    """Coroutines have the loop that is explored."""
    ran = suite(
        """
        import pytest

        @pytest.mark.interleave
        @pytest.mark.anyio
        async def test_it():
            pass
        """,
        ini="markers = anyio",
    )

    assert ran.message == (
        "test_it.py::test_it: @pytest.mark.interleave(): coroutines are explored on a loop of its "
        "own. Leave out 'anyio'."
    )


def test_a_token_that_does_not_fit_is_told_at_the_end(suite):
    """A pinned schedule whose code has changed says so, and the search goes on without it."""
    ran = suite("""
    import pytest

    @pytest.fixture
    def rows():
        return []

    @pytest.mark.interleave(replay="T0x1 T7x*")
    @pytest.mark.concurrent(workers=2)
    def test_it(rows):
        rows.append(1)
    """)

    assert ran.outcomes == {"passed": 1}
    assert (
        "test_it.py::test_it: The token 'T0x1 T7x*' no longer fits the code; the search began anew."
    ) in ran.text
    assert "; 1 complete" in ran.text
