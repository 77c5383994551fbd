"""`interleave`: the call, the decorator, and what each returns or raises."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_concurrency import UsageError
from pytest_concurrency.explore.code import run as run_outside
from pytest_concurrency.explore.failures import Deadlock, Hang, NothingExplored
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.settings import Settings


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def increment(self):
        value = self.value
        self.value = value + 1

    def increment_locked(self):
        with self.lock:
            self.value += 1


def _lost_update(run):
    counter = Counter()
    run(counter.increment, counter.increment)
    assert counter.value == 2


def _locked(run):
    counter = Counter()
    run(counter.increment_locked, counter.increment_locked)
    assert counter.value == 2


def test_lost_update_is_found():
    """A read and a write that are not held together are found apart."""
    with pytest.raises(AssertionError, match="assert 1 == 2"):
        interleave(_lost_update)


def test_call_decorator_and_options_are_one():
    """The three ways of writing it explore the same schedules."""
    plain = interleave(_locked)

    assert interleave()(_locked).schedules == plain.schedules
    assert interleave(preemptions=2, seconds=10)(_locked).schedules == plain.schedules


def test_correct_program_is_reported_complete():
    """A counter under a lock passes in every order, and that is what is said."""
    found = interleave(_locked)

    assert found.exhausted
    assert str(found) == f"complete, {found.schedules} schedules"


def test_results_come_back_in_order():
    """`run` returns what each worker returned."""
    seen = []

    @interleave
    def body(run):
        box = []
        seen.append(run(lambda: box.append(1) or "a", lambda: box.append(2) or "b"))

    assert body.exhausted
    assert set(map(tuple, seen)) == {("a", "b")}


def test_exception_of_a_worker_is_raised_as_itself():
    """What a worker raises comes out of `run` unchanged, with the schedule as a note."""
    fault = KeyError("missing")

    def body(run):
        box = {"a": 1}

        def fail():
            box["b"] = 2
            raise fault

        run(fail, lambda: box.get("a"))

    with pytest.raises(KeyError) as caught:
        interleave(body, settings=Settings())

    assert caught.value is fault
    assert "Replay: interleave(replay=" in caught.value.__notes__[-1]


def test_run_outside_of_a_body_is_refused():
    """`run` works only while a schedule is explored."""
    with pytest.raises(UsageError) as caught:
        run_outside(print)

    assert str(caught.value) == (
        "run: no schedule is being explored. Call it inside the body that interleave runs."
    )


def test_nested_exploration_is_refused():
    """A body cannot explore."""
    with pytest.raises(UsageError) as caught:
        interleave(lambda _run: interleave(_locked))

    assert str(caught.value).startswith("interleave: called inside a schedule")


def test_one_worker_is_not_an_exploration():
    """A body that starts fewer than two workers explores nothing, and that is an error."""
    with pytest.raises(NothingExplored) as caught:
        interleave(lambda run: run(lambda: None))

    assert str(caught.value) == (
        "Nothing was explored: one worker ran alone. Start two or more: run(f, g)."
    )


def test_workers_that_share_nothing_are_not_an_exploration():
    """Workers whose state cannot be seen are an error, never a pass."""

    def body(run):
        run(lambda: sum(range(3)), lambda: sum(range(4)))

    with pytest.raises(NothingExplored) as caught:
        interleave(body)

    assert str(caught.value) == (
        "Nothing was explored: the 2 workers share no state that can be seen from tests/explore/.\n"
        "Let the workers share what the test is about, or test it with concurrent_runner."
    )


def test_replay_runs_one_schedule():
    """A token runs just its schedule."""
    with pytest.raises(AssertionError):
        interleave(replay="T0x1 T1x*")(_lost_update)

    assert interleave(replay="T0x* T1x*")(_lost_update).schedules == 1


def test_token_that_no_longer_fits_says_so_and_searches():
    """A token of workers that are gone is reported, and the search begins anew."""
    found = interleave(replay="T0x1 T7x*")(_locked)

    assert found.exhausted
    assert found.notes == ("The token 'T0x1 T7x*' no longer fits the code; the search began anew.",)


def test_saved_token_is_tried_first():
    """A schedule that failed before is found by the first play."""
    tokens = []
    with pytest.raises(AssertionError) as caught:
        interleave(saved="T0x1 T1x*", record=tokens.append)(_lost_update)

    assert "schedule 1," in caught.value.__notes__[-1]
    assert tokens == ["T0x1 T1x*"]


def test_budget_of_schedules_is_kept_and_said():
    """When the budget ends the search, the report says so and claims nothing more."""

    def body(run):
        counter = Counter()
        run(*[counter.increment_locked] * 4)

    found = interleave(schedules=5)(body)

    assert str(found) == "stopped at the budget, 5 schedules"


def test_a_body_may_sleep_before_it_starts_workers():
    """Its waiting is no part of a schedule, and takes nothing away from one."""

    def body(run):
        rows = {"a": 1}
        time.sleep(1)

        def take():
            if rows.get("a"):
                rows.pop("a")

        run(take, take)

    with pytest.raises(KeyError):
        interleave(body)


def test_a_thread_may_run_a_method_written_in_c():
    """Such as ``append``, which belongs to no module."""

    def body(_run):
        rows = []
        threads = [threading.Thread(target=rows.append, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert rows == [0, 1]

    with pytest.raises(AssertionError):
        interleave(body)


def test_executor_race_needs_the_other_worker():
    """Two tasks of one executor are tried on two workers, though one could do both."""

    def body(_run):
        counter = Counter()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(counter.increment)
            pool.submit(counter.increment)
        assert counter.value == 2

    with pytest.raises(AssertionError):
        interleave(body)


def test_thread_of_the_code_under_test_is_explored():
    """Threads that the code makes itself are workers."""

    def body(_run):
        counter = Counter()
        threads = [threading.Thread(target=counter.increment) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counter.value == 2
        assert not any(thread.is_alive() for thread in threads)

    with pytest.raises(AssertionError, match="assert 1 == 2"):
        interleave(body)


def test_time_is_virtual():
    """Sleeping takes no time, and clocks agree with it."""
    began = time.monotonic()

    @interleave
    def body(run):
        marks = []

        def late():
            before = time.monotonic()
            time.sleep(3600)
            marks.append(time.monotonic() - before >= 3600)

        run(late, lambda: marks.append(True))
        assert all(marks)

    assert body.schedules > 0
    assert time.monotonic() - began < 60


def test_spinning_worker_does_not_hang_the_search():
    """A worker that waits by spinning lets others run, and nothing is called complete."""

    def body(run):
        state = {"ready": False}

        def spin():
            while not state["ready"]:
                pass

        run(spin, lambda: state.update(ready=True))

    found = interleave(schedules=3)(body)

    assert found.complete is None


def test_worker_stuck_outside_python_is_a_hang():
    """A worker that waits where it cannot be controlled is named with its line."""
    gate = threading.Lock()
    gate.acquire()

    def body(run):
        box = []

        def stuck():
            box.append(1)
            list(map(lambda _: gate.acquire(timeout=3), [1]))  # noqa: C417 - called from C

        run(stuck, lambda: box.append(2))

    with pytest.raises((Hang, Deadlock)) as caught:
        interleave(hang=0.05)(body)

    assert "gate.acquire" in str(caught.value)
