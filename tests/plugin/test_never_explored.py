"""A test that takes `interleave` and passes without it promises nothing, so it does not pass."""

from __future__ import annotations


def test_a_forgotten_decorator_is_no_pass(suite):
    """The body is there, and nobody explores it."""
    ran = suite(
        """
        def test_it(interleave):
            def body(run):
                run(print, print)
        """
    )

    assert ran.outcomes == {"failed": 1}
    said = ran.section("test_it").splitlines()
    assert said[0] == ">   def test_it(interleave):"
    assert "\n".join(line for line in said if line.startswith("E")) == (
        "E   pytest_concurrency.NothingExplored: Nothing was explored: the test takes interleave"
        " and never calls it with a body. Write @interleave above def body(run)."
    )
    assert said[-1] == "test_it.py:1: NothingExplored"


def test_options_without_a_body_are_no_pass(suite):
    """What comes back is a decorator, and nothing was decorated."""
    ran = suite(
        """
        def test_it(interleave):
            interleave(preemptions=2)
        """
    )

    assert ran.outcomes == {"failed": 1}


def test_other_ends_of_a_test_that_did_not_explore_are_left_alone(suite):
    """A skip stays one, and so does a failure; who only passes the fixture on explores later."""
    ran = suite(
        """
        import pytest

        @pytest.fixture
        def explore(interleave):
            return interleave

        def test_skips(interleave):
            pytest.skip("not here")

        def test_fails(interleave):
            assert 1 == 2

        def test_does_not_need_it(explore):
            pass

        @pytest.mark.xfail(strict=True)
        def test_is_known(interleave):
            assert 1 == 2
        """
    )

    assert ran.outcomes == {"passed": 1, "failed": 1, "skipped": 1, "xfailed": 1}


def test_what_explored_in_any_way_passes(suite):
    """As a decorator, with options, with settings, and where a failure is expected."""
    ran = suite(
        """
        import pytest
        from pytest_concurrency.explore.settings import Settings

        def body(run):
            rows = []
            run(lambda: rows.append(1), lambda: rows.append(2))

        def test_plain(interleave):
            interleave(body)

        def test_options(interleave):
            interleave(preemptions=1)(body)

        def test_settings(interleave):
            interleave(settings=Settings())(body)

        def test_expected(interleave):
            with pytest.raises(TypeError):
                interleave(lambda run: run(lambda: 1 + "", print))
        """
    )

    assert ran.outcomes == {"passed": 4}
