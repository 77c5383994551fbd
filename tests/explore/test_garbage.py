"""What plays leave in circles is collected between them, never in the middle of one."""

import gc
import threading
import weakref

import pytest

from pytest_concurrency.explore.garbage import steady, tidy
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.linearizable import linearizable
from pytest_concurrency.explore.workers import Pool

_EACH = 2_000


class Circle:
    """Refers to itself, as an event loop does."""

    def __init__(self):
        self.me = self


def bodies(left):
    """Return a body of functions and one of coroutines that leave circles behind."""

    def leave(run, *workers):
        first = Circle()
        left.add(first)
        first.more = [Circle() for _ in range(_EACH)]
        run(*workers)

    def of_functions(run):
        seen = []
        leave(run, *[lambda: seen.append(len(seen))] * 3)

    def of_coroutines(run):
        async def work():
            return None

        leave(run, *[work] * 4)

    return of_functions, of_coroutines


@pytest.mark.parametrize("which", [0, 1], ids=["functions", "coroutines"])
def test_what_plays_leave_is_collected_between_them(which):
    """However many are played, what is left of only a few of them is there at a time."""
    left, most = weakref.WeakSet(), 0
    body = bodies(left)[which]

    def counted(run):
        nonlocal most
        most = max(most, len(left))
        body(run)

    found = interleave(schedules=24)(counted)

    assert found.schedules == 24
    assert most <= 12


def test_nothing_is_collected_while_programs_are_drawn():
    """Those of `linearizable` are played as steadily as a body."""
    seen = set()

    class Register:
        def __init__(self):
            self.value = 0

        def write(self):
            if threading.current_thread().name.startswith("explorer-"):
                seen.add(gc.isenabled())
            self.value = 1

    linearizable(Register, write=(), examples=3)

    assert seen == {False}


def test_nothing_is_collected_for_a_few_objects():
    """Small programs do not pay for what others leave."""
    gc.collect()
    with steady():
        left = weakref.ref(Circle())
        tidy()

        assert left() is not None


@pytest.mark.parametrize("usual", [True, False])
def test_collector_is_as_it_was_before(usual):
    """Whoever had switched it off finds it off."""
    before = gc.isenabled()
    (gc.enable if usual else gc.disable)()
    try:
        with steady():
            assert not gc.isenabled()

        assert gc.isenabled() == usual
    finally:
        (gc.enable if before else gc.disable)()


def test_thread_of_a_worker_keeps_nothing_of_its_play():
    """What it was to do is taken from it: later plays may not need it for long."""
    pool, kept, done = Pool(), [], threading.Lock()
    seat = pool.take()
    done.acquire()

    def job():
        kept.append(seat.job)
        done.release()

    seat.job = job
    seat.baton.release()
    with done:
        pool.close()

    assert kept == [None]
