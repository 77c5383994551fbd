"""The end of a session: nothing, when there is nothing to say."""

from __future__ import annotations

import pytest

QUIET = """
import threading
together = threading.Barrier(2)

def test_together(concurrent_runner):
    concurrent_runner(lambda: together.wait(5), workers=2)

def test_alone(concurrent_runner):
    concurrent_runner(int, workers=1)

def test_skips(concurrent_runner):
    import pytest
    concurrent_runner(lambda: pytest.skip("no"), workers=2)
"""
AT_ONCE = """
from concurrent.futures import Executor, Future

class AtOnce(Executor):
    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future
"""
APART = (
    AT_ONCE
    + """

def test_apart(concurrent_runner):
    concurrent_runner(int, workers=2, on=AtOnce())
"""
)


@pytest.mark.parametrize("more", [(), ("-q",), ("-v",), ("--no-summary",), ("--collect-only",)])
def test_nothing_is_said_when_there_is_nothing_to_say(suite, more):
    """Neither a header nor a section."""
    text = suite(QUIET, *more).text

    assert "concurrency and objectives" not in text
    assert "never overlapped" not in text


def test_calls_that_all_failed_are_not_told_to_be_apart(suite):
    """They have more to tell."""
    ran = suite(
        AT_ONCE
        + """
def test_apart(concurrent_runner):
    outcome = concurrent_runner(lambda: {}[1], workers=2, on=AtOnce())
    assert len(outcome.errors) == 2
"""
    )

    assert ran.outcomes == {"passed": 1}
    assert "never overlapped" not in ran.text


def test_calls_that_never_overlapped_are_told(suite):
    """A run that proves nothing about concurrency says so."""
    ran = suite(APART)

    assert ran.section("concurrency and objectives") == (
        "test_it.py::test_apart: the 2 workers never overlapped (2 calls of about TIME). "
        "Such calls need interleave."
    )


MANY_APART = "import pytest\n" + APART.replace(
    "def test_apart(concurrent_runner)",
    "@pytest.mark.parametrize('n', range(25))\ndef test_apart(concurrent_runner, n)",
)


def test_many_lines_are_cut(suite):
    """A page of them helps nobody; how to see them is said."""
    lines = suite(MANY_APART).section("concurrency and objectives").splitlines()

    assert len(lines) == 21
    assert lines[-1] == "and 5 more: pytest -v shows all"


def test_verbose_runs_show_every_line(suite):
    """Whoever asks for more gets it."""
    lines = suite(MANY_APART, "-v").section("concurrency and objectives").splitlines()

    assert len(lines) == 25
