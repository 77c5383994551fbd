"""A run that does not end ends its test, with who hangs where; the session goes on."""

from __future__ import annotations

SUITE = """
import asyncio
import threading

lock = threading.Lock()
release = threading.Event()

def book(worker):
    if worker.index == 0:
        return "booked"
    with lock:
        pass

def test_hangs(concurrent_runner):
    with lock:
        concurrent_runner(book, workers=3)

def test_session_goes_on():
    release.set()

async def pay():
    await asyncio.Event().wait()

def test_tasks(concurrent_runner):
    concurrent_runner(pay, workers=2, timeout="30ms")

def fail(worker):
    if worker.index:
        release.clear()
        release.wait()
    raise KeyError

def test_expected(concurrent_runner):
    import pytest
    from pytest_concurrency import HangError
    with pytest.raises(HangError) as hung:
        concurrent_runner(fail, workers=2, timeout="50ms")
    release.set()
    assert [type(error) for error in hung.value.outcome.errors] == [KeyError]
"""

HANGS = """\
concurrent_runner = <function concurrent_runner at 0x>

    def test_hangs(concurrent_runner):
        with lock:
>           concurrent_runner(book, workers=3)
E           pytest_concurrency.HangError: 2 of 3 workers did not end within TIME:
E           
E             workers 1, 2  in book  test_it.py:10  with lock:
E                           waits for lock, held by the test itself
E           
E           1 worker had ended: 1 value, no error. Its results are in the outcome attached to this failure.
E           The limit is --concurrency-timeout=80ms.
E           Cannot be stopped and go on in the background: workers 1, 2 of test_it.py::test_hangs.

test_it.py:15: HangError"""

TASKS = """\
concurrent_runner = <function concurrent_runner at 0x>

    def test_tasks(concurrent_runner):
>       concurrent_runner(pay, workers=2, timeout="30ms")
E       pytest_concurrency.HangError: 2 of 2 workers did not end within TIME:
E       
E         workers 0, 1  in pay  test_it.py:21  await asyncio.Event().wait()
E       
E       No call had ended.
E       The limit is timeout="30ms" at test_it.py:24.

test_it.py:24: HangError"""


def test_a_hang_is_a_failure_with_its_cause(suite, monkeypatch):
    """The whole text, for threads and tasks; the tests after it run."""
    monkeypatch.setattr("pytest_concurrency.run.threads.GRACE", 0.05)
    ran = suite(SUITE, "--concurrency-timeout=80ms")

    assert ran.outcomes == {"failed": 2, "passed": 2}
    assert ran.section("test_hangs") == HANGS
    assert ran.section("test_tasks") == TASKS
