"""The outcome of a run: everything that can be asked of it."""

from __future__ import annotations

import traceback
from collections import Counter
from contextlib import suppress

import pytest

from pytest_concurrency.run.runner import concurrent_runner


@pytest.fixture
def mixed(make_outcome):
    """Return an outcome of three values and one error."""
    return make_outcome(
        (0, 0, 0, 10, "a"), (1, 0, 2, 12, "b"), (2, 0, 5, 25, KeyError("B")), (3, 0, 30, 40, "a")
    )


def test_calls_are_kept_in_order(mixed):
    """Every call is there, by worker and then by time, and the outcome iterates over them."""
    assert [call.worker for call in mixed.calls] == [0, 1, 2, 3]
    assert list(mixed) == list(mixed.calls)
    assert len(mixed) == 4


def test_values_and_errors_are_told_apart(mixed):
    """Values of those that returned, errors of those that raised."""
    assert mixed.values == ["a", "b", "a"]
    assert [repr(error) for error in mixed.errors] == ["KeyError('B')"]
    assert (mixed.failures, mixed.success_rate) == (1, 0.75)


def test_values_are_counted(mixed):
    """Distinct and tally count equal values, or equal keys of them."""
    assert mixed.distinct() == 2
    assert mixed.tally() == Counter(a=2, b=1)
    assert mixed.distinct(key=len) == 1
    assert mixed.tally(key=str.upper) == Counter(A=2, B=1)
    assert mixed.error_tally() == Counter({"KeyError: 'B'": 1})


def test_values_that_cannot_be_hashed_are_counted(make_outcome):
    """Equal containers are one value in whatever order they were filled."""
    outcome = make_outcome(
        (0, 0, 0, 1, {"a": [1], "b": 2}),
        (1, 0, 0, 1, {"b": 2, "a": [1]}),
        (2, 0, 0, 1, {"a": (1,), "b": 2}),
        (3, 0, 0, 1, [{3, 4}, {4, 3}]),
    )

    assert outcome.distinct() == 3
    assert outcome.tally() == Counter(
        {"{'a': [1], 'b': 2}": 2, "{'a': (1,), 'b': 2}": 1, "[{3, 4}, {3, 4}]": 1}
    )


def test_objects_that_cannot_be_hashed_are_told_apart_by_their_repr(make_outcome):
    """Where neither hash nor parts are known, the repr decides."""

    class Booking:
        __hash__ = None

        def __init__(self, number):
            self.number = number

        def __repr__(self):
            return f"Booking({self.number})"

    outcome = make_outcome(
        (0, 0, 0, 1, Booking(1)), (1, 0, 0, 1, Booking(1)), (2, 0, 0, 1, Booking(2))
    )

    assert outcome.tally() == Counter({"Booking(1)": 2, "Booking(2)": 1})


def test_times_are_in_seconds(mixed):
    """Durations in the order of calls; wall time from first start to last end; throughput."""
    assert mixed.durations == [0.01, 0.01, 0.02, 0.01]
    assert mixed.wall_time == 0.04
    assert mixed.throughput == 100


def test_overlap_is_measured_once(mixed):
    """The sweep over all calls is made on first use."""
    assert mixed.overlap is mixed.overlap
    assert (mixed.overlap.peak, mixed.overlap.seconds) == (3, 0.01)


def test_an_outcome_without_calls_has_no_times(make_outcome):
    """Where no call ended there is nothing to divide by."""
    empty = make_outcome(workers=2)

    assert (empty.wall_time, empty.throughput, empty.success_rate) == (0, 0, 0)
    assert (len(empty), empty.unfinished, empty.values) == (0, 2, [])


def test_calls_that_did_not_end_count_as_failed(make_outcome):
    """The success rate is a share of what was planned, not of what came back."""
    outcome = make_outcome((0, 0, 0, 1, "a"), workers=2, rounds=2)

    assert (outcome.unfinished, outcome.success_rate) == (3, 0.25)
    assert (outcome.workers, outcome.rounds) == (2, 2)


def test_an_outcome_is_neither_true_nor_false(mixed):
    """Whoever writes ``assert outcome`` is told what to write."""
    with pytest.raises(TypeError) as refused:
        bool(mixed)

    assert str(refused.value) == (
        "an Outcome is neither true nor false. "
        "Write outcome.raise_errors(), or assert outcome.success_rate == 1."
    )


def test_an_outcome_shows_itself(mixed, make_outcome):
    """Its repr sums it up."""
    assert repr(mixed) == (
        "<Outcome: 4 workers, 4 calls, 1 raised, 40 ms; at most 3 of 4 ran at once>"
    )
    assert repr(make_outcome((0, 0, 0, 1, 1), workers=2)) == (
        "<Outcome: 2 workers, 1 call, none raised, 1 did not end, 1 ms; "
        "the calls of the 2 workers never overlapped>"
    )


LOOKS = {
    "calls": lambda outcome: outcome.calls,
    "errors": lambda outcome: outcome.errors,
    "failures": lambda outcome: outcome.failures,
    "success_rate": lambda outcome: outcome.success_rate,
    "error_tally": lambda outcome: outcome.error_tally(),
    "iteration": list,
    "raise_errors": lambda outcome: outcome.raise_errors(),
    "assert_all_equal": lambda outcome: outcome.assert_all_equal(),
    "assert_one_succeeds": lambda outcome: outcome.assert_one_succeeds(),
}
NO_LOOKS = {
    "values": lambda outcome: outcome.values,
    "len": len,
    "repr": repr,
    "distinct": lambda outcome: outcome.distinct(),
    "tally": lambda outcome: outcome.tally(),
    "durations": lambda outcome: outcome.durations,
    "overlap": lambda outcome: outcome.overlap,
    "throughput": lambda outcome: outcome.throughput,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_who_asks_how_calls_ended_has_seen_the_failures(mixed, look):
    """Reading errors, rates or calls, and claiming anything, is looking."""
    assert mixed.has_unseen_errors
    with suppress(KeyError, AssertionError):
        look(mixed)
    assert not mixed.has_unseen_errors


@pytest.mark.parametrize("look", NO_LOOKS.values(), ids=NO_LOOKS)
def test_who_only_reads_values_or_times_has_not(mixed, look):
    """Values are there whether or not other calls failed."""
    look(mixed)
    assert mixed.has_unseen_errors


def test_an_outcome_without_errors_has_none_unseen(make_outcome):
    """Where nothing failed nobody has to look."""
    assert not make_outcome((0, 0, 0, 1, 1)).has_unseen_errors


def test_looks_can_be_taken_back(mixed):
    """Those who observe a run do not speak for the test."""
    _ = mixed.errors
    mixed.forget_looks()

    assert mixed.has_unseen_errors


def test_raise_errors_returns_what_did_not_fail(make_outcome):
    """Without errors it is the outcome itself, to go on with."""
    outcome = make_outcome((0, 0, 0, 1, 1))

    assert outcome.raise_errors() is outcome


def test_raise_errors_raises_the_first_workers_own_exception():
    """The very object, with a traceback that starts in the worker's code."""

    def fail(worker):
        raise ValueError(worker.index)

    outcome = concurrent_runner(fail, workers=3)

    with pytest.raises(ValueError, match=r"^\d\n") as failed:
        outcome.raise_errors()

    first = min(outcome.calls, key=lambda call: call.ended_ns)
    assert failed.value is first.error
    names = [frame.name for frame in traceback.extract_tb(failed.value.__traceback__)]
    assert names[-2:] == ["raise_errors", "fail"]


def test_raising_twice_shows_the_same():
    """Neither frames nor notes pile up."""

    def fail():
        raise ValueError

    outcome = concurrent_runner(fail, workers=2)
    shown = []
    for _ in range(3):
        with pytest.raises(ValueError) as failed:  # noqa: PT011 - there is no text
            outcome.raise_errors()
        shown.append("".join(traceback.format_exception(failed.value)))

    assert shown[0] == shown[1] == shown[2]


def test_raise_unseen_says_what_to_write():
    """The note tells how to look, once, before the tally."""

    def fail():
        raise ValueError

    outcome = concurrent_runner(fail, workers=1)
    with pytest.raises(ValueError) as failed:  # noqa: PT011 - there is no text
        outcome.raise_unseen()

    assert failed.value.__notes__ == [
        (
            "\nThe test passed without looking at its failed calls. Write outcome.raise_errors();\n"
            "if failures are expected, read outcome.errors."
        ),
        (
            "\n1 of 1 worker failed; worker 0 is shown above.\n  1 x ValueError  worker 0\n"
            "One worker ran alone."
        ),
    ]


def test_one_exception_raised_by_all_gets_one_note():
    """An exception object that several workers raise is told about once."""
    error = ValueError("shared")

    def fail():
        raise error

    outcome = concurrent_runner(fail, workers=3)
    with pytest.raises(ValueError, match="shared"):
        outcome.raise_unseen()

    assert len(error.__notes__) == 2
