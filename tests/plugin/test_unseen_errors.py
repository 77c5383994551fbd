"""A test that passes without looking at its failed calls does not pass."""

from __future__ import annotations

import pytest

SUITE = """
def fail(worker):
    if worker.index:
        raise KeyError("B")

def test_blind(concurrent_runner):
    concurrent_runner(fail, workers=3)

def test_one(concurrent_runner):
    concurrent_runner(fail, workers=2)

def test_looks(concurrent_runner):
    assert concurrent_runner(fail, workers=3).failures == 2

def test_fails_by_itself(concurrent_runner):
    concurrent_runner(fail, workers=3)
    assert 0
"""

BLIND = """\
worker = Worker(index=N, seed=N)

    def fail(worker):
        if worker.index:
>           raise KeyError("B")
E           KeyError: 'B'
E           
E           The test passed without looking at its failed calls. Write outcome.raise_errors();
E           if failures are expected, read outcome.errors.
E           
E           2 of 3 workers failed; worker N is shown above.
E             2 x KeyError: 'B'  workers 1, 2
E"""


@pytest.mark.parametrize("given", [(), ("--concurrency-unseen=fail",)])
def test_it_fails(suite, given):
    """The first error with its traceback, and what to write; who looked, or failed, is let be."""
    from re import sub

    ran = suite(SUITE, *given)
    text = sub(
        r"index=\d", "index=N", sub(r"worker \d is", "worker N is", ran.section("test_blind"))
    )

    assert ran.outcomes == {"failed": 3, "passed": 1}
    assert text.startswith(BLIND)
    assert "The test passed" not in ran.section("test_fails_by_itself")


def test_it_is_warned_of(suite):
    """One warning a test, which says how many."""
    ran = suite(SUITE, "--concurrency-unseen=warn")

    assert (ran.outcomes, ran.warned) == ({"failed": 1, "passed": 3}, 2)
    assert (
        "ConcurrencyWarning: test_it.py::test_blind: 2 concurrent calls failed, and nobody "
        "looked at them. Write outcome.raise_errors()."
    ) in ran.text
    assert "test_it.py::test_one: 1 concurrent call failed, and nobody looked at it." in ran.text


def test_a_warning_can_be_an_error(suite):
    """Warnings as errors fail the test with the text."""
    ran = suite(SUITE, "--concurrency-unseen=warn", "-W", "error", "-k", "one")

    assert ran.outcomes == {"failed": 1, "deselected": 3}
    assert "pytest_concurrency.ConcurrencyWarning: test_it.py::test_one: 1 concurrent" in ran.text


def test_it_is_ignored(suite):
    """For whoever wants it so, by the configuration file too."""
    ran = suite(SUITE, ini="concurrency_unseen = ignore")

    assert ran.outcomes == {"failed": 1, "passed": 3}
