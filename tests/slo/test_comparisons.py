"""Functions are compared, scaled and watched for leaks with bounds."""

import mmap
import random
import subprocess
import sys

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo import growth, pairs
from pytest_concurrency.slo.assertions import MissedObjective, Policy, UndecidedObjective
from pytest_concurrency.slo.growth import assert_scales, power
from pytest_concurrency.slo.leaks import assert_no_leak, slope_of
from pytest_concurrency.slo.memory import track_memory
from pytest_concurrency.slo.pairs import compare, read_claim


class Watch:
    """A stopwatch on which functions say how long they take, in nanoseconds, with noise."""

    def __init__(self):
        self.draw = random.Random(4)

    def repeats_for(self, _):
        return 1

    def call_ns(self, function, *, repeats=1):
        return function() * repeats * self.draw.lognormvariate(0, 0.05)


@pytest.fixture
def watch(monkeypatch):
    """Time by what functions return."""
    for module in (pairs, growth):
        monkeypatch.setattr(module, "Stopwatch", Watch)
    monkeypatch.setattr(pairs, "_SHORTEST_SPAN_NS", 0)


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize(
    ("new", "claim", "state"),
    [
        (100, "new <= 1.10x old", "met"),
        (50, "new < 0.6x old", "met"),
        (100, "old >= 0.9x new", "met"),
        (130, "new <= 1.10x old", "missed"),
        (100, "old > 1.2x new", "missed"),
        (100, "new <= old", "undecided"),
    ],
)
def test_a_claim_is_judged(new, claim, state):
    """The bounds of the ratio decide."""
    policy = Policy(undecided="pass")
    if state == "missed":
        with pytest.raises(MissedObjective, match=rf"^Missed: {claim}\n  new takes [01]\.\d"):
            compare(lambda: new, lambda: 100, claim, max_pairs=200)
        return
    got = compare(lambda: new, lambda: 100, claim, max_pairs=200, policy=policy)
    assert got.state == state
    assert got.ratio.low < new / 100 < got.ratio.high


@pytest.mark.usefixtures("watch")
def test_without_a_claim_the_ratio_is_measured():
    """A comparison without a claim goes on until the ratio is known to one in a hundred."""
    got = compare(lambda: 120, lambda: 100)

    assert got.state == "undecided"
    assert got.ratio.high - got.ratio.low <= 0.01 * got.ratio.value
    assert got.ratio.value == pytest.approx(1.2, rel=0.02)


@pytest.mark.usefixtures("watch")
def test_false_alarms_of_the_paired_gate_are_rare():
    """Two equal functions under a margin of 10 % are never told apart, in a hundred runs."""
    policy = Policy(undecided="pass")
    for _ in range(100):
        compare(lambda: 100, lambda: 100, "new <= 1.10x old", max_pairs=60, policy=policy)


@pytest.mark.usefixtures("watch")
def test_an_undecided_claim_can_fail():
    """What undecided does is an option here too."""
    with pytest.raises(UndecidedObjective, match=r"^undecided: new <= old: new takes [01]\.\d"):
        compare(
            lambda: 100,
            lambda: 100,
            "new <= old",
            max_pairs=20,
            policy=Policy(undecided="fail"),
        )


def test_real_functions_are_compared():
    """Ten times the work is told from one time the work."""
    got = compare(lambda: sum(range(200)), lambda: sum(range(2_000)), "new <= 0.5x old")

    assert got.state == "met"
    assert str(got).startswith("new takes 0.")


@pytest.mark.parametrize(
    "claim", ["new <= 1.05", "new <= 2x new", "faster", "new == old", "new <= 0x old"]
)
def test_a_claim_that_compares_nothing_is_refused(claim):
    """A claim names new and old."""
    with pytest.raises(UsageError) as refused:
        read_claim(claim)

    assert str(refused.value) == (
        f"{claim!r}: the claim does not compare new with old. Write 'new <= 1.05x old'."
    )


def test_coroutine_functions_are_refused():
    """Calling a coroutine function would time nothing."""

    async def fetch():
        """Do nothing."""

    with pytest.raises(UsageError) as refused:
        compare(fetch, fetch)

    assert str(refused.value) == (
        "compare: it cannot call a coroutine function. Give a function that runs it."
    )


def test_what_cannot_be_called_is_refused():
    """The argument that is no function is named."""
    with pytest.raises(UsageError) as refused:
        compare(len, 2)

    assert str(refused.value) == "compare(old=2): it cannot be called. Give a function."


SIZES = [100, 400, 1_600, 6_400]


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("truth", growth.GROWTHS)
@pytest.mark.parametrize("claim", growth.GROWTHS)
def test_growth_is_told_apart(truth, claim):
    """A class holds what grows like it or slower, and not what grows by a power faster."""

    def function(size):
        return 1_000 * growth.GROWTHS[truth](size)

    faster = power(SIZES[1:], [growth.GROWTHS[truth](n) for n in SIZES[1:]]) - power(
        SIZES[1:], [growth.GROWTHS[claim](n) for n in SIZES[1:]]
    )
    if faster < 0.2:
        assert assert_scales(function, SIZES, claim).state == "met"
    elif faster > 0.3:
        with pytest.raises(MissedObjective, match=r"^Missed: grows no faster than "):
            assert_scales(function, SIZES, claim)


@pytest.mark.usefixtures("watch")
def test_a_fit_is_shown(monkeypatch):
    """The text shows the power, its bounds, the nearest class and each size."""
    monkeypatch.setattr(Watch, "call_ns", lambda _, function, repeats=1: function() * repeats)

    with pytest.raises(MissedObjective) as missed:
        assert_scales(lambda n: 10 * n * n, SIZES, "n log n")

    assert str(missed.value) == (
        "Missed: grows no faster than n log n\n"
        "  grows like n^2.00, 95 % bounds 2.00 to 2.00; n log n is n^1.14 here. n^2 is nearest.\n"
        "  n      time     if n log n\n"
        "  100    100 \u00b5s   100 \u00b5s\n"
        "  400    1.6 ms   520 \u00b5s\n"
        "  1,600  25.6 ms  2.6 ms\n"
        "  6,400  410 ms   12.2 ms"
    )


@pytest.mark.parametrize(
    ("sizes", "claim", "message"),
    [
        (SIZES, "nlogn", "assert_scales: 'nlogn' is not a class of growth. Write 'n log n'."),
        (SIZES, "n**2", "assert_scales: 'n**2' is not a class of growth. Write 'n^2'."),
        (
            [10, 20],
            "n",
            (
                "assert_scales: the sizes [10, 20] show no growth. "
                "Write at least three from 2 on, such as [1_000, 4_000, 16_000]."
            ),
        ),
    ],
)
def test_growth_that_cannot_be_measured_is_refused(sizes, claim, message):
    """A class that does not exist and sizes that show nothing are answered."""
    with pytest.raises(UsageError) as refused:
        assert_scales(lambda n: n, sizes, claim)

    assert str(refused.value) == message


def test_a_leak_is_found_with_its_line():
    """An operation that keeps what it makes is a leak, by so much a call."""
    kept = []
    with pytest.raises(MissedObjective) as missed:
        assert_no_leak(lambda: kept.append(bytearray(200)), calls=400)

    text = str(missed.value)
    assert text.startswith("Missed: keeps at most 1B a call\n  keeps  2")
    assert "test_comparisons.py" in text


@pytest.mark.parametrize(
    "operation",
    [
        lambda _: [1] * 100,
        lambda cache: cache.setdefault(len(cache) % 50, bytearray(100)),
        lambda cache: cache.update(big=bytearray(10_000)),
    ],
    ids=["garbage", "a cache that fills", "one value replaced"],
)
def test_no_leak_is_no_alarm(operation):
    """Garbage, a bounded cache and a replaced value are no leaks."""
    cache = {}

    assert assert_no_leak(lambda: operation(cache), calls=1_000).state == "met"


def test_a_slope_ignores_one_jump():
    """One step up is not growth; steady growth is, by its median."""
    jump = slope_of(range(0, 2_001, 100), [0] * 10 + [10**6] * 11)
    steady = slope_of(range(0, 2_001, 100), [7 * calls for calls in range(0, 2_001, 100)])

    assert jump.high == 0
    assert (steady.low, steady.value, steady.high) == (7, 7, 7)


def test_too_few_calls_show_no_leak():
    """A handful of calls is refused."""
    with pytest.raises(UsageError) as refused:
        assert_no_leak(list, calls=10)

    assert str(refused.value) == (
        "assert_no_leak(calls=10): fewer than 40 calls show nothing. Write calls=2000."
    )


def take_and_give_back():
    """Take 64 MB from the system, not from what was freed before, and give them back."""
    with mmap.mmap(-1, 64_000_000) as block:
        for _ in range(64):
            block.write(bytes(1_000_000))


def test_the_peak_of_a_block_is_tracked():
    """Memory that was freed before the end still counts."""
    with track_memory() as memory:
        take_and_give_back()

    assert 55_000_000 < memory.peak_bytes < 100_000_000


def test_child_that_ends_hides_no_growth():
    """What another process gave back is not set against what this one took."""
    code = "block = bytearray(200_000_000); print('full', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        with track_memory() as memory:
            child.communicate(b"\n")
            take_and_give_back()

    assert 55_000_000 < memory.peak_bytes < 100_000_000
