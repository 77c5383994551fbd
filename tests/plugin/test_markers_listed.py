"""Markers: listed by ``--markers``, known in strict mode, selectable."""

from __future__ import annotations

import textwrap

SUITE = """
import pytest

@pytest.mark.performance
@pytest.mark.slow
def test_slow(): pass

@pytest.mark.performance
def test_fast(): pass

@pytest.mark.concurrent
def test_selected(concurrent_runner): pass

@pytest.mark.integration
class TestServer:
    def test_server(self): pass

def test_plain(): pass
"""

LISTED = textwrap.dedent("""\
    @pytest.mark.concurrent(*, workers=8, rounds=1, timeout='30s'): run the test's body from many \
workers at once, its fixtures shared by all of them; without arguments it only selects.

    @pytest.mark.interleave(""")


def test_markers_are_listed_with_a_sentence_each(suite):
    """Ours come with their arguments."""
    text = suite(SUITE, "--markers").text

    assert LISTED in text
    for name, sentence in (
        ("performance", "select tests that measure time or memory."),
        ("slow", "select tests that take long."),
        ("integration", "select tests that need a server, a network or another process."),
    ):
        assert f"\n@pytest.mark.{name}: {sentence}\n" in text
    assert "\n@pytest.mark.slo(" in text
    assert "\n@pytest.mark.backends(" in text


def selected(suite, expression):
    """Return the tests that an expression selects."""
    ran = suite(SUITE, "--strict-markers", "--collect-only", "-q", "-m", expression)
    return [line.rpartition("::")[2] for line in ran.result.outlines if "::" in line]


def test_markers_select(suite):
    """By expression, in strict mode, on classes too."""
    assert selected(suite, "performance and not slow") == ["test_fast"]
    assert selected(suite, "concurrent") == ["test_selected"]
    assert selected(suite, "integration or slow") == ["test_slow", "test_server"]


def test_markers_that_only_select_may_have_a_reason(suite):
    """A project that marked its tests before may have said why."""
    ran = suite(
        """
        import pytest
        @pytest.mark.slow(reason="reads it all")
        @pytest.mark.integration("staging")
        @pytest.mark.performance(budget=3)
        def test_it():
            pass
        """,
        "--strict-markers",
        "-m",
        "slow and integration",
    )

    assert ran.outcomes == {"passed": 1}


def test_a_marker_without_arguments_runs_a_test_once(suite):
    """It only selects."""
    ran = suite(
        """
        import pytest
        calls = []
        @pytest.mark.concurrent
        def test_once(worker):
            calls.append(worker.index)
        def test_calls():
            assert calls == [0]
        """
    )

    assert ran.outcomes == {"passed": 2}
