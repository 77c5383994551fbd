"""A test that explores has no database: it is refused, whichever form it has."""

from __future__ import annotations

import pytest

REASON = (
    "is about a database, whose locks no schedule can see: a paused worker would keep them. "
    "Write the order down: session.start(statement)."
)
FIXTURES = ("database", "database_engine", "large_dataset", "pool_watch", "separate_sessions")


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_fixture_beside_a_database_is_refused(suite, fixture):
    """That test ends with the reason and what to write; the others run."""
    ran = suite(f"""
    def test_it(interleave, {fixture}):
        raise RuntimeError("never")

    def test_other():
        pass
    """)

    assert ran.outcomes == {"passed": 1, "errors": 1}
    assert ran.section("ERROR at setup of test_it") == (
        f"test_it.py::test_it: interleave: the fixture {fixture!r} {REASON}"
    )


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_marker_beside_a_database_is_refused(suite, fixture):
    """The session ends at collection, as for every other slip of a marker."""
    ran = suite(f"""
    import pytest

    @pytest.mark.interleave
    def test_it({fixture}):
        pass
    """)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert ran.message == (
        f"test_it.py::test_it: @pytest.mark.interleave(): the fixture {fixture!r} {REASON}"
    )


def test_a_fixture_of_the_tests_own_on_a_database_is_refused(suite):
    """However the test came to its database."""
    ran = suite("""
    import pytest

    @pytest.fixture
    def accounts(database_engine):
        return database_engine

    def test_it(interleave, accounts):
        raise RuntimeError("never")
    """)

    assert ran.outcomes == {"errors": 1}
    assert "the fixture 'database_engine' is about a database" in ran.text
