"""A worker that does nothing before its first point begins when it is chosen, and not before."""

import itertools

import pytest

from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.points import Decoder
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.starts import Starts

numbers = itertools.count()


class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        self.value += 1

    def numbered(self):
        str(self)
        self.value += 1


def points(function):
    return list(Decoder(Scope()).points(function.__code__).values())


def first_access(function):
    return next(point for point in points(function) if point.kind == "attribute-read")


def test_function_can_wait_once_it_was_seen_to_do_nothing():
    """Before that it is brought to its first point at once."""
    starts, increment = Starts(), Counter().increment

    before = starts.can_wait(increment)
    starts.saw(increment, first_access(Counter.increment))

    assert (before, starts.can_wait(increment)) == (False, True)
    assert starts.can_wait(Counter().increment)


@pytest.mark.parametrize("first", [("acquire", 1, 2), first_access(Counter.increment)])
def test_function_cannot_wait_whose_first_point_is_elsewhere(first):
    """An operation of a lock, or a point of a function that it calls, may come after anything."""
    starts, work = Starts(), Counter().numbered

    starts.saw(work, first)

    assert not starts.can_wait(work)


def test_function_cannot_wait_that_calls_something_first():
    """Nobody knows what a call does where it has no points."""
    starts, numbered = Starts(), Counter().numbered

    starts.saw(numbered, first_access(Counter.numbered))

    assert not starts.can_wait(numbered)


def test_function_cannot_wait_that_came_to_no_point():
    """What was seen before does not hold for ever."""
    starts, increment = Starts(), Counter().increment
    starts.saw(increment, first_access(Counter.increment))

    starts.missed(increment)

    assert not starts.can_wait(increment)


def test_callable_without_code_cannot_wait():
    """Of what is written in C nothing is known."""
    starts = Starts()
    starts.saw(numbers.__next__, first_access(Counter.increment))

    assert not starts.can_wait(numbers.__next__)


@pytest.mark.parametrize("legs", [[(1, 1), (2, 9)], [(2, 1), (1, 1), (2, 9)], [(2, 9)], []])
def test_schedule_is_the_same_however_its_workers_begin(legs):
    """The first play brings workers to their first points, the others let them wait."""

    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)

    with CodeProgram(body, Settings()) as program:
        first, second, explained = (
            program.play(Plan(legs), explain=explain) for explain in (False, False, True)
        )

    assert first.workers == second.workers == explained.workers
    assert first.labels == second.labels == explained.labels
