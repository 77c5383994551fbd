"""Histories: what was called, when, and what it answered."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from itertools import count

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.history import Answer, Call, History, Recording, shown
from pytest_concurrency.explore.snapshot import fingerprint, kept, same


class Point:
    def __init__(self, x):
        self.x = x


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


class Forgetful(Point):
    def __getstate__(self):
        """Leave everything out."""
        return {}


def test_recording_orders_moments_on_one_clock():
    """Every invocation and every answer gets a later moment than the one before."""
    recording = Recording()
    first = recording.invoke(0, "put", [1])
    second = recording.invoke(1, "get")
    recording.answer(second, Answer(value=1))
    recording.answer(first, Answer())

    moments = [(call.invoked, call.returned) for call in recording.history()]

    assert moments == [(1, 4), (2, 3)]


def test_recording_leaves_unanswered_calls_pending():
    """A call that never came back has no moment of return and no answer."""
    recording = Recording()
    recording.invoke(0, "put", [1])

    (call,) = recording.history()

    assert (call.returned, call.answer) == (None, None)


def test_recording_keeps_values_as_they_were():
    """An answer that is changed later is recorded as it was given."""
    recording = Recording()
    value = [1]
    arguments = [2]
    recording.answer(recording.invoke(0, "items", (arguments,)), Answer(value=value))
    value.append(2)
    arguments.append(3)

    (call,) = recording.history()

    assert str(call) == "items([2])"
    assert str(call.answer) == "-> [1]"


def test_history_splits_by_key():
    """Each part has the calls of one key, parts in order of first appearance."""
    calls = [Call(worker=0, operation="get", arguments=(n % 2,), invoked=n) for n in range(4)]

    parts = History(tuple(calls)).partition(lambda call: call.arguments[0])

    assert {key: [call.invoked for call in part] for key, part in parts.items()} == {
        0: [0, 2],
        1: [1, 3],
    }


@pytest.mark.parametrize(
    ("left", "right", "strictly", "alike"),
    [
        (Answer(value=1), Answer(value=1), True, True),
        (Answer(value=1), Answer(value=2), True, False),
        (Answer(value=None), Answer(error=KeyError()), True, False),
        (Answer(error=KeyError(1)), Answer(error=KeyError(1)), True, True),
        (Answer(error=KeyError(1)), Answer(error=KeyError(2)), True, False),
        (Answer(error=KeyError(1)), Answer(error=KeyError(2)), False, True),
        (Answer(error=KeyError(1)), Answer(error=IndexError(1)), False, False),
        (Answer(value=Point(1)), Answer(value=Point(1)), True, True),
        (Answer(value=Point(1)), Answer(value=Point(2)), True, False),
        (Answer(value=float("nan")), Answer(value=float("nan")), True, True),
        (
            Answer(error=ValueError("<X object at 0x7f0>")),
            Answer(error=ValueError("<X object at 0x7f1>")),
            True,
            True,
        ),
    ],
)
def test_answer_matches(left, right, strictly, alike):
    """Answers match if their values, or the types and contents of their errors, do."""
    assert left.matches(right, strictly=strictly) is alike


def test_call_refuses_an_answer_without_a_return():
    """A call that has an answer has returned."""
    with pytest.raises(UsageError) as caught:
        Call(worker=0, operation="get", invoked=1, answer=Answer())

    assert str(caught.value) == (
        "get(): a call that has returned has an answer, one that has not has none."
    )


def test_call_refuses_to_return_before_it_was_made():
    """Time goes forward within a call."""
    with pytest.raises(UsageError) as caught:
        Call(worker=0, operation="get", invoked=2, returned=1, answer=Answer())

    assert str(caught.value) == "get(): it returned at 1, before it was made at 2."


def test_shown_leaves_addresses_out():
    """What is shown does not differ from run to run."""
    assert shown(object()) == "<object>"


def test_shown_survives_a_broken_repr():
    """A value whose repr raises is shown by its type."""

    class Mute:
        def __repr__(self):
            raise RuntimeError

    assert shown(Mute()) == "<Mute>"


def _cycle():
    items = [1]
    items.append(items)
    return items


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, "a", None, 2.5, b"x"],
        lambda: {"a": [1], 2: {3}},
        lambda: OrderedDict(a=1),
        lambda: deque([1], maxlen=3),
        lambda: Point([1]),
        lambda: Slotted({"a": 1}),
        lambda: (threading.Lock(), threading.RLock(), threading.Condition(), threading.Event()),
        lambda: bytearray(b"x"),
        lambda: count(3),
        lambda: [].append,
        lambda: Point(1).__init__,
        lambda: 3 + 4j,
        _cycle,
    ],
    ids=count(),
)
def test_fingerprint_is_equal_for_equal_contents(make):
    """Two values made the same way have the same fingerprint."""
    assert fingerprint(make()) == fingerprint(make())


def _shared():
    inner = []
    return [inner, inner]


def _taken():
    lock = threading.Lock()
    lock.acquire()
    return lock


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1], [True]),
        ([1], (1,)),
        (0.0, -0.0),
        (_shared(), [[], []]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Point(1), Point(2)),
        (Slotted(1), Slotted(2)),
        (Forgetful(1), Forgetful(2)),
        (deque([1]), deque([1], maxlen=1)),
        (_taken(), threading.Lock()),
        (count(1), count(2)),
        ((n for n in ()), (n for n in ())),
        (threading.local(), threading.local()),
    ],
)
def test_fingerprint_differs_where_something_could_tell(left, right):
    """What differs in any way, or cannot be looked into, never shares a fingerprint."""
    assert fingerprint(left) != fingerprint(right)


def test_fingerprint_of_something_too_deep_is_its_own():
    """A value nested too deeply is never taken for another."""
    deep = []
    for _ in range(100_000):
        deep = [deep]

    assert fingerprint(deep) != fingerprint(deep)


def test_same_survives_a_broken_equality():
    """Values whose comparison raises are compared by what they hold."""

    class Prickly(Point):
        __hash__ = None

        def __eq__(self, other):
            raise RuntimeError

    assert same(Prickly(1), Prickly(1))
    assert not same(Prickly(1), Prickly(2))


def test_kept_returns_what_cannot_be_copied():
    """A value without a copy is kept as it is."""
    lock = threading.Lock()

    assert kept(lock) is lock
