"""Collecting stops as early as the evidence allows, and looking often misleads nobody."""

import gc
import random
from array import array

import pytest

from pytest_concurrency.slo import deciding
from pytest_concurrency.slo.assertions import Policy, assert_slo
from pytest_concurrency.slo.deciding import Decision, share_of_look
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.samples import Samples


class QuietWatch:
    """A watch over a machine on which nothing happens."""

    fastest_ns = 14_000

    def __init__(self, *, reference_ns=None, on_pause=None):
        self.reference_ns, self.on_pause = reference_ns, on_pause

    def tick(self):
        pass

    def read(self):
        return Noise(slowdown=1.0, canary_ns=self.fastest_ns)

    def close(self):
        pass


@pytest.fixture
def run(clock, monkeypatch):
    """Return a function that collects calls of given durations until decided."""
    monkeypatch.setattr(deciding, "NoiseWatch", QuietWatch)

    def collect(draw, *objectives, policy=None, **budget):
        timer = PerfTimer(takes_out_waits=False, policy=policy)
        for _ in timer.until_decided(*objectives, **budget):
            with timer:
                clock.now += draw()
        return timer

    return collect


def test_shares_of_looks_add_up_to_one():
    """However often one looks, no more than the allowed error is spent."""
    assert sum(share_of_look(k) for k in range(10_000)) == pytest.approx(1, abs=1e-3)


def test_a_clear_case_is_met_early(run):
    """Far below the limit, a p95 takes as many calls as its first look needs."""
    timer = run(lambda: 5_000_000, "p95 < 50ms")

    (verdict,) = timer.decided.values()
    assert (verdict.state, verdict.confidence) == ("met", 0.95)
    assert 59 <= verdict.calls <= 110


def test_a_clear_miss_takes_fewer_calls(run):
    """Far above the limit, a handful of calls suffices, once time enough has passed."""
    timer = run(lambda: 80_000_000, "p95 < 50ms")

    (verdict,) = timer.decided.values()
    assert verdict.state == "missed"
    assert verdict.calls <= 10


def test_the_first_call_warms_up(run):
    """The first round is set aside and kept."""
    durations = iter([900_000_000] + [1_000_000] * 10_000)
    timer = run(lambda: next(durations), "max < 50ms")

    assert list(timer.warm_up.ns) == [900_000_000]
    assert timer.decided[parse_objective("max < 50ms")].state == "met"


def test_the_budget_of_calls_ends_it(run):
    """At the most calls allowed, the warm-up among them, what is undecided stays undecided."""
    draw = random.Random(1)
    timer = run(lambda: round(draw.gauss(50e6, 1e6)), "p50 < 50ms", max_calls=30, seconds=100)

    assert len(timer) + len(timer.warm_up) == 30
    assert timer.decided[parse_objective("p50 < 50ms")].state == "undecided"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_call_is_made_beyond_the_budget(run, most):
    """However small the budget, the body runs so often and no oftener."""
    made = []
    run(lambda: made.append(1) or 5_000_000, "p50 < 50ms", max_calls=most)

    assert len(made) == most


def test_round_that_spends_the_whole_budget_is_judged(clock):
    """A round of many calls is no warm-up if nothing would be left after it."""
    timer = PerfTimer(takes_out_waits=False)
    for _ in timer.until_decided("p50 < 50ms", max_calls=5):
        for _ in range(10):
            with timer:
                clock.now += 1_000_000

    assert (len(timer), len(timer.warm_up)) == (10, 0)
    assert timer.decided[parse_objective("p50 < 50ms")].state == "met"


def test_the_budget_of_seconds_ends_it(run):
    """After the seconds allowed, no further call is asked for."""
    timer = run(lambda: 300_000_000, "p99 < 1s", seconds="3s")

    assert len(timer) == 10


def test_quick_answers_sooner(run):
    """In a development loop, neither a span of time nor the whole budget is waited for."""
    timer = run(lambda: 1_000_000, "p50 < 50ms", policy=Policy(is_quick=True))

    assert len(timer) < 30


def test_every_objective_is_decided_for_itself(run):
    """The first verdict on an objective stays while others are collected for."""
    timer = run(lambda: 1_000_000, "p50 < 50ms", "p99 < 50ms")
    first, second = timer.decided.values()

    assert (first.state, second.state) == ("met", "met")
    assert first.calls < 299 <= second.calls


def test_assert_slo_keeps_what_was_decided(run):
    """Asserting after collecting does not look once more."""
    timer = run(lambda: 1_000_000, "p50 < 50ms")

    assert assert_slo(timer, "p50 < 50ms") == list(timer.decided.values())


def test_the_canary_is_handed_on(run):
    """The fastest canary reaches whoever keeps it, for the next run."""
    seen = []
    run(lambda: 1_000_000, "max < 50ms", policy=Policy(on_canary=seen.append, reference_ns=9))

    assert seen == [14_000]


def test_collecting_leaves_nothing_behind():
    """After the last round, and after a failure, garbage collection is as it was."""
    callbacks, frozen = list(gc.callbacks), gc.get_freeze_count()
    timer = PerfTimer()

    def fail():
        for _ in timer.until_decided("p95 < 1s", seconds=0.01):
            with timer:
                raise KeyError

    with pytest.raises(KeyError):
        fail()
    gc.collect()
    for _ in timer.until_decided("p95 < 1s", max_calls=3):
        with timer:
            pass

    assert gc.callbacks == callbacks
    assert gc.get_freeze_count() <= frozen


def wrong_verdicts(limit_factor, wrong, runs, seed):
    """Return in how many runs repeated looks at independent calls reach a wrong verdict."""
    draw = random.Random(seed)
    limit = round(1e6 * limit_factor)  # calls are uniform on 0 to 1 ms, so p95 is 0.95 ms
    objective = parse_objective(f"p95 < {limit}ns")
    count = 0
    for _ in range(runs):
        decision = Decision(objectives=(objective,), policy=Policy())
        ns = array("q", [draw.randrange(1_000_000) for _ in range(300)])
        n = 5
        while not decision.is_complete and n <= 300:
            decision.look(Evidence(latency=Samples(ns=ns[:n]), calls=n))
            n = max(n + 1, int(n * 1.5))
        count += decision.verdicts[objective].state == wrong
    return count


@pytest.mark.parametrize("wrong", ["met", "missed"])
def test_repeated_looks_are_wrong_as_seldom_as_allowed(wrong):
    """At the very limit, where both are wrong, each verdict is reached in one run of twenty."""
    assert wrong_verdicts(0.95, wrong, runs=60, seed=3) <= 7
