"""Two races in released libraries, found without touching them; `docs/` tells their story."""

import pytest

from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.settings import Settings


def test_a_limit_of_one_lets_two_through():
    """In limits 5.8.0 the first two hits of a key in memory can both be admitted."""
    limits = pytest.importorskip("limits", reason="the group case-studies is not installed")
    from limits.storage import MemoryStorage
    from limits.strategies import FixedWindowRateLimiter

    once = limits.parse("1/minute")

    def body(run):
        limiter = FixedWindowRateLimiter(MemoryStorage())
        admitted = run(*[lambda: limiter.hit(once, "ann")] * 2)
        assert admitted.count(True) <= 1

    with pytest.raises(AssertionError, match=r"assert 2 <= 1"):
        interleave(settings=Settings(packages=["limits"]))(body)


def test_an_event_is_lost():
    """In python-statemachine 3.2.2 an event that was sent can be left in the queue."""
    pytest.importorskip("statemachine", reason="the group case-studies is not installed")
    from statemachine import State, StateMachine

    class Bell(StateMachine):
        quiet = State(initial=True)
        ring = quiet.to.itself(on="count")
        rung = 0

        def count(self):
            self.rung += 1

    def body(run):
        bell = Bell()
        run(bell.ring, bell.ring)
        assert bell.rung == 2

    with pytest.raises(AssertionError, match=r"assert 1 == 2"):
        interleave(settings=Settings(packages=["statemachine"], seconds=60))(body)
