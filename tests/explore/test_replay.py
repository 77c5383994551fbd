"""A token means the same schedule on every supported Python."""

import threading
from collections import deque

import pytest

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.interleave import interleave

_total = 0


class Tally:
    def __init__(self):
        self.value = 0
        self.rows = {}
        self.items = deque([1])

    def add(self):
        self.value += 1

    def book(self):
        if "seat" not in self.rows:
            self.rows["seat"] = self.rows.get("count", 0) + 1
            self.rows["count"] = self.rows["seat"]

    def take(self):
        if self.items:
            self.items.popleft()


def lost_update(run):
    tally = Tally()
    run(tally.add, tally.add)
    assert tally.value == 2


def global_update(run):
    global _total  # noqa: PLW0603 - the race is about a global
    _total = 0

    def add():
        global _total  # noqa: PLW0603
        _total += 1

    run(add, add)
    assert _total == 2


def closure_update(run):
    total = 0

    def add():
        nonlocal total
        total += 1

    run(add, add)
    assert total == 2


def check_then_act(run):
    tally = Tally()
    run(tally.book, tally.book)
    assert tally.rows["count"] == 1


def emptied(run):
    tally = Tally()
    run(tally.take, tally.take)


def generator(run):
    numbers = (n for n in [1, 2, 3])
    got = []

    def consume():
        for n in numbers:
            got.append(n)  # noqa: PERF402 - each step is a point

    run(consume, consume)


def two_locks(run):
    left, right = threading.Lock(), threading.Lock()

    def forth():
        with left, right:
            pass

    def back():
        with right, left:
            pass

    run(forth, back)


PINNED = [
    (lost_update, "T0x1 T1x*", AssertionError),
    (global_update, "T0x1 T1x*", AssertionError),
    (closure_update, "T0x1 T1x*", AssertionError),
    (check_then_act, "T0x2 T1x*", AssertionError),
    (emptied, "T0x2 T1x*", IndexError),
    (two_locks, "T0x2 T1x*", Deadlock),
]


@pytest.mark.parametrize(
    ("body", "pinned", "raised"), PINNED, ids=lambda value: getattr(value, "__name__", None)
)
def test_pinned_token_replays(body, pinned, raised):
    """The schedule found on one Python fails on this one, by itself."""
    with pytest.raises(raised):
        interleave(replay=pinned)(body)


@pytest.mark.parametrize(
    ("body", "pinned", "raised"), PINNED, ids=lambda value: getattr(value, "__name__", None)
)
def test_search_finds_the_pinned_token(body, pinned, raised):
    """The search on this Python shrinks to the same token."""
    tokens = []

    with pytest.raises(raised):
        interleave(record=tokens.append)(body)

    assert tokens == [pinned]


@pytest.mark.parametrize("advance", [next, lambda shared: shared.send(None), list])
def test_generator_that_only_reads_is_not_advanced_by_two(advance):
    """One worker inside of it, whatever it does there, keeps another out."""
    rows = [1, 2, 3]

    def body(run):
        shared = (row for row in rows if rows)
        run(lambda: advance(shared), lambda: next(shared, None))

    with pytest.raises(ValueError, match="generator already executing"):
        interleave(body)


def test_shared_generator_is_found():
    """Advancing an iterator is a write."""
    with pytest.raises(ValueError, match="generator already executing"):
        interleave(generator)
