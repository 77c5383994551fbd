"""What one schedule leaves to the next is told: such an exploration promises nothing."""

import random
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from pytest_concurrency.explore.failures import NotDeterministic
from pytest_concurrency.explore.interleave import interleave


class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        self.value += 1


class Registry:
    only = None

    @classmethod
    def get(cls):
        if cls.only is None:
            cls.only = cls()
        return cls.only


@pytest.fixture
def registry():
    """The registry, as it is before anything was asked for."""
    Registry.only = None
    yield Registry
    Registry.only = None


def test_state_made_outside_of_the_body_is_named():
    """A counter that every schedule goes on counting with."""
    counter = Counter()

    def body(run):
        run(counter.increment, counter.increment)
        assert counter.value == 2

    with pytest.raises(AssertionError) as caught:
        interleave(body)

    assert caught.value.__notes__[-1].splitlines()[-3:-1] == [
        "Schedule 1 passed, and fails when it is played again: something is left over from one",
        "schedule to the next. Make it anew in the body, or reset it there.",
    ]


def test_fresh_state_is_not_called_left_over():
    """A race is a race, whatever came before."""

    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)
        assert counter.value == 2

    with pytest.raises(AssertionError) as caught:
        interleave(body)

    assert "left over" not in caught.value.__notes__[-1]


def test_a_singleton_that_is_made_only_once_is_no_pass(registry):
    """All but the first schedule find it made, so its race was never explored."""
    line = registry.get.__code__.co_firstlineno + 3

    with pytest.raises(NotDeterministic) as caught:
        interleave(lambda run: run(registry.get, registry.get))

    assert str(caught.value) == (
        "Only the first schedule tested anything: something is left over from it.\n"
        f"Played again, it went another way at test_left_over.py:{line}, and no worker met another."
        "\nMake that anew in the body, or reset it there."
    )


def test_a_singleton_that_is_reset_is_explored(registry):
    """Its race is found."""

    def body(run):
        registry.only = None
        one, other = run(registry.get, registry.get)
        assert one is other

    with pytest.raises(AssertionError):
        interleave(body)


def test_what_is_warm_after_the_first_schedule_is_noted(registry):
    """The rest is explored, and nothing is called complete."""
    line = registry.get.__code__.co_firstlineno + 3

    def body(run):
        counter = Counter()

        def count():
            registry.get()
            counter.value = 1

        run(count, count)

    found = interleave(body)

    assert found.complete is None
    assert str(found) == f"not complete, {found.schedules} schedules"
    assert len(found.notes) == 1
    assert found.notes[0] == (
        "Schedule 1 went another way when it was played again at"
        f" test_left_over.py:{line}: something is left over from it."
        " Make that anew in the body, or reset it there."
    )


def test_what_differs_from_play_to_play_is_noted():
    """The first schedule is never played as it was again."""
    draw = random.Random(1)

    def body(run):
        counter = Counter()
        for _ in range(draw.randrange(1_000)):
            counter.value += 1
        rows = []
        run(lambda: rows.append(1), lambda: len(rows))
        for _ in range(draw.randrange(1_000)):
            counter.value += 1

    found = interleave(body)

    assert found.complete is None
    assert [note.partition(": ")[2] for note in found.notes] == [
        "something differs from play to play, such as a random number or the order of a set."
    ]


def test_workers_that_differ_from_play_to_play_are_named():
    """The place where a schedule could not be repeated, who ran there, and what it may be."""
    draw = random.Random(1)

    def body(run):
        counter = Counter()
        times = draw.randrange(1, 4)

        def many():
            for _ in range(times):
                counter.increment()

        run(many, many)

    found = interleave(schedules=15)(body)

    assert found.complete is None
    assert len(found.notes) == 1
    assert re.sub(r"\d+", "N", found.notes[0]).startswith(
        "The same schedule went two ways: step N was worker N at test_left_over.py:N once, and "
    )


def test_futures_come_out_of_sets_in_one_order():
    """And threads: waiting takes them in the order in which they were made."""
    order = []

    def body(_run):
        with ThreadPoolExecutor(2) as pool:
            done, _ = wait({pool.submit(abs, -number) for number in range(5)})
            order.append([future.result() for future in done])
            order.append([future.result() for future in sorted(done, key=hash)])

    found = interleave(schedules=30)(body)

    assert found.notes == ()
    assert order == [[0, 1, 2, 3, 4]] * len(order)
    assert not {"__hash__"} & {*vars(Future), *vars(threading.Thread)}
    assert hash(future := Future()) == object.__hash__(future)


def test_the_same_each_time_is_complete():
    """Nothing is left over from a body that makes all it needs."""

    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)

    found = interleave(body)

    assert found.exhausted
    assert found.notes == ()
