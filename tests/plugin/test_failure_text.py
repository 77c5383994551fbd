"""A worker's failure is the test's: its own traceback, introspection intact, the others tallied."""

from __future__ import annotations

import re

ALL = """
import threading
import pytest

seats = {"A": 1}
together = threading.Barrier(8)
failing = []

def book(worker):
    together.wait(5)
    if worker.index == 3:
        while len(failing) < 6: pass
        raise KeyError("B")
    if worker.index == 7:
        return "booked"
    failing.append(worker.index)
    assert seats["A"] == 2

def test_book(concurrent_runner):
    concurrent_runner(book, workers=8).raise_errors()

@pytest.fixture
def basket():
    return []

@pytest.mark.concurrent(workers=8)
def test_marked(basket, worker, monkeypatch):
    together.wait(5)
    basket.append(worker.index)
    assert worker.random.random() < 0, "drawn"

def test_claim(concurrent_runner):
    concurrent_runner(lambda: together.wait(5) * 0, workers=8).assert_no_duplicates()

def test_hidden(concurrent_runner):
    def fail():
        raise ValueError("one\\ntwo")
    outcome = concurrent_runner(fail, workers=1)
    outcome.assert_all_equal()
"""

BOOK = """\
concurrent_runner = <function concurrent_runner at 0x>

    def test_book(concurrent_runner):
>       concurrent_runner(book, workers=8).raise_errors()

test_it.py:19: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

worker = Worker(index=N, seed=N)

    def book(worker):
        together.wait(5)
        if worker.index == 3:
            while len(failing) < 6: pass
            raise KeyError("B")
        if worker.index == 7:
            return "booked"
        failing.append(worker.index)
>       assert seats["A"] == 2
E       assert 1 == 2
E       
E       7 of 8 workers failed; worker N is shown above.
E         6 x AssertionError: assert 1 == 2                    workers 0-2, 4-6
E         1 x KeyError: 'B'                  at test_it.py:12  worker 3
E       Worker 7 returned 'booked'. All 8 overlapped for TIME.

test_it.py:16: AssertionError"""

CLAIM = """\
concurrent_runner = <function concurrent_runner at 0x>

    def test_claim(concurrent_runner):
>       concurrent_runner(lambda: together.wait(5) * 0, workers=8).assert_no_duplicates()
E       pytest_concurrency.BrokenPromise: No value should come twice; 1 did:
E         8 x 0  workers 0-7

test_it.py:32: BrokenPromise"""

HIDDEN = """\
concurrent_runner = <function concurrent_runner at 0x>

    def test_hidden(concurrent_runner):
        def fail():
            raise ValueError("one\\ntwo")
        outcome = concurrent_runner(fail, workers=1)
>       outcome.assert_all_equal()

test_it.py:38: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

    def fail():
>       raise ValueError("one\\ntwo")
E       ValueError: one
E       two
E       
E       1 of 1 worker failed; worker 0 is shown above.
E         1 x ValueError: one  worker 0
E       One worker ran alone.

test_it.py:36: ValueError"""


def shown(text):
    """Put aside which of the workers that failed alike was the first."""
    text = re.sub(r"worker \d(?= is shown)", "worker N", text)
    return re.sub(r"Worker\(index=\d", "Worker(index=N", text)


def test_failures_are_the_workers_own(suite):
    """The whole text of each failure; no frame of this package in any."""
    ran = suite(ALL)

    assert shown(ran.section("test_book")) == BOOK
    assert ran.section("test_claim") == CLAIM
    assert ran.section("test_hidden") == HIDDEN
    assert "/run/" not in ran.text


def test_a_marked_test_fails_as_it_would_alone(suite):
    """The body's assertion, the fixtures it shared, and how to draw the same numbers."""
    text = shown(suite(ALL, "-k", "marked").section("test_marked"))

    assert text.splitlines()[0].startswith("basket = [")
    assert re.sub(r"0\.\d+", "0.N", text.partition(">       ")[2]).splitlines()[0] == (
        'assert worker.random.random() < 0, "drawn"'
    )
    assert (
        "E       All workers shared these function-scoped fixtures: basket, monkeypatch.\n"
        "E       \n"
        "E       8 of 8 workers failed; worker N is shown above.\n"
        "E         8 x AssertionError: drawn  workers 0-7\n"
        "E       All 8 overlapped for TIME.\n"
        "E       Same random numbers again: --concurrency-seed=N\n"
    ) in text
