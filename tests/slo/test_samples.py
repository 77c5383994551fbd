"""Samples are exact, mergeable and travel without loss."""

import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_concurrency.errors import InternalError
from pytest_concurrency.slo.bins import RELATIVE_ERROR, Bins, bin_of, middle_of
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.samples import Samples, merge_samples

nanoseconds = st.lists(st.integers(0, 2**62), max_size=50)


@given(st.integers(0, 2**62))
def test_a_bin_is_within_the_stated_error(value):
    """The middle of a value's bin is off by at most the stated share."""
    assert abs(middle_of(bin_of(value)) - value) <= RELATIVE_ERROR * value


@given(st.integers(0, 2**61), st.integers(0, 2**61))
def test_bins_keep_order(first, second):
    """A larger value never has a lower bin."""
    low, high = sorted((first, second))

    assert bin_of(low) <= bin_of(high)


@settings(max_examples=30)
@given(nanoseconds, nanoseconds, nanoseconds)
def test_bins_merge_in_any_order(a, b, c):
    """Merging is exact, whatever comes first."""

    def bins(*parts):
        merged = Bins()
        for part in parts:
            one = Bins()
            one.add(part)
            merged.merge(one)
        return merged

    whole = Bins()
    whole.add([*a, *b, *c])

    assert bins(a, b, c) == bins(c, a, b) == whole
    assert sum(count for _, count in whole) == whole.total


def test_bins_know_their_ranks():
    """Ranks are counted from 0, and there is none beyond the last."""
    bins = Bins()
    bins.add([5, 1, 3])

    assert [bins.at_rank(rank) for rank in range(3)] == [1, 3, 5]
    with pytest.raises(IndexError, match=r"^rank 3 of 3 values$"):
        bins.at_rank(3)


@settings(max_examples=30)
@given(nanoseconds, st.booleans())
def test_samples_travel_without_loss(durations, has_waits):
    """What a report carries is what was recorded, to the last sample."""
    samples = Samples.of(durations, failed=range(0, len(durations), 3))
    if has_waits:
        samples.waits_ns.extend(d // 2 for d in durations)
    samples.fold(keep=20)

    assert Samples.from_wire(samples.to_wire()) == samples


def test_samples_of_another_version_are_refused():
    """A report from another release is never misread."""
    with pytest.raises(InternalError, match=r"^samples of wire version 2; this side reads 1$"):
        Samples.from_wire({"v": 2})


def test_folding_keeps_count_and_errors():
    """Beyond the limit, samples go to bins, waits taken out, and errors are still counted."""
    samples = Samples.of(range(1, 101), failed=[5, 60, 99])
    samples.waits_ns.extend([0] * 100)
    samples.fold(keep=50)

    assert (len(samples), len(samples.ns), samples.folded.total) == (100, 50, 50)
    assert (list(samples.failed), samples.errors) == ([5], 3)


def test_workers_are_merged_in_turn():
    """Samples near in time stay near each other, and failed ones stay failed."""
    first, second = Samples.of([1, 2, 3], failed=[2]), Samples.of([10, 20], failed=[0])
    merged = merge_samples([first, Samples(), second])

    assert list(merged.ns) == [1, 10, 2, 20, 3]
    assert list(merged.failed) == [1, 4]


def test_merging_keeps_waits_only_if_all_have_them():
    """Waits of some workers alone would be taken for those of all."""
    with_waits = Samples(ns=array("q", [5]), waits_ns=array("q", [1]))

    assert list(merge_samples([with_waits, with_waits]).waits_ns) == [1, 1]
    assert not merge_samples([with_waits, Samples.of([5])]).waits_ns


def test_merging_folded_samples_adds_bins():
    """Bins of several workers become one."""
    parts = [Samples.of(range(100)) for _ in range(2)]
    for part in parts:
        part.fold(keep=60)
    merged = merge_samples(parts)

    assert (len(merged), merged.folded.total) == (200, 80)


def test_waits_are_taken_out_by_their_excused_share():
    """Only the share that other processes caused is taken out, and never more than there is."""
    samples = Samples(ns=array("q", [100, 50, 30]), waits_ns=array("q", [40, 0, 60]))

    assert list(samples.without_waits()) == [60, 50, 0]
    assert list(samples.without_waits(0.5)) == [80, 50, 0]
    assert samples.without_waits(0.0) is samples.ns


def test_evidence_travels_without_loss():
    """Everything an objective can be held against crosses processes."""
    draw = random.Random(1)
    evidence = Evidence(
        latency=Samples.of([draw.randrange(10**6) for _ in range(50)]),
        calls=51,
        errors=2,
        seconds=1.5,
        memory_bytes=12,
        pool_use=0.5,
        checks=(98, 100),
        series={"lock wait": Samples.of([1, 2])},
        tagged={(("endpoint", "/a"),): Evidence(latency=Samples.of([3]), calls=1)},
        noise=Noise(seconds=1.0, slowdown=1.1),
        where_time_went={3: "worker 1"},
    )

    assert Evidence.from_wire(evidence.to_wire()) == evidence
    assert Evidence.from_wire(Evidence().to_wire()) == Evidence()
