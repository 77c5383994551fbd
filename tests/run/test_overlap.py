"""Calls and how much they overlap, against counting by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_concurrency.run.call import Call
from pytest_concurrency.run.overlap import Overlap, measure_overlap

spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12)


def calls_of(found):
    return [
        Call(worker, 0, begun, begun + length, None, None)
        for worker, (begun, length) in enumerate(found)
    ]


@given(spans)
def test_overlap_is_what_counting_gives(found):
    """The sweep agrees with a count at every nanosecond; a call lasts at least one."""
    running = [
        sum(begun <= now < begun + max(length, 1) for begun, length in found) for now in range(44)
    ]
    peak = max(running)

    overlap = measure_overlap(calls_of(found))

    assert overlap.peak == peak
    assert round(overlap.seconds * 1e9) == sum(number > 1 for number in running)
    if peak:
        assert round(overlap.peak_seconds * 1e9) == sum(number == peak for number in running)
    assert bool(overlap) == (peak > 1)


@given(spans)
def test_skew_is_the_distance_of_the_first_starts(found):
    """It is zero for one worker, and never counts later rounds."""
    begun = [start for start, _ in found]
    later = [Call(0, 1, 10_000, 10_001, None, None)]

    overlap = measure_overlap(calls_of(found) + later)

    assert round(overlap.skew * 1e9) == (max(begun) - min(begun) if begun else 0)


def test_nothing_overlaps_nothing():
    """A run in which no call ended has no overlap."""
    assert measure_overlap([]) == Overlap(peak=0, seconds=0, peak_seconds=0, skew=0)


def test_calls_that_touch_do_not_overlap():
    """One that starts as another ends runs after it."""
    overlap = measure_overlap([Call(0, 0, 0, 5, None, None), Call(1, 0, 5, 9, None, None)])

    assert (overlap.peak, overlap.seconds) == (1, 0)


def test_a_call_knows_how_long_it_took_and_how_it_ended():
    """Duration in seconds; success is the absence of an error."""
    good = Call(0, 0, 1_000, 251_000, "booked", None)
    bad = Call(0, 0, 1_000, 1_000, None, KeyError("B"))

    assert (good.duration, good.succeeded) == (0.00025, True)
    assert (bad.duration, bad.succeeded) == (0, False)
