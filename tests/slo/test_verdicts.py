"""Verdicts are met, missed or undecided, and say why in full."""

import random
from array import array
from fractions import Fraction

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.assertions import (
    MissedObjective,
    Policy,
    UndecidedObjective,
    UndecidedWarning,
    assert_slo,
)
from pytest_concurrency.slo.budgets import error_budget
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.samples import Samples
from pytest_concurrency.slo.verdicts import Errors
from pytest_concurrency.slo.wording import (
    command,
    missed_text,
    row,
    table,
    undecided_text,
    verdict_lines,
    verdict_text,
)

MS = 1_000_000


def evidence(**more):
    """Return 400 calls around 45 ms, a slow one among them, with waits now and then."""
    draw = random.Random(1)
    ns = array("q", [int(draw.gauss(45e6, 8e6)) for _ in range(400)])
    ns[312] = 214 * MS
    waits = array("q", [3 * MS if k % 10 == 0 else 0 for k in range(400)])
    settings = {
        "latency": Samples(ns=ns, waits_ns=waits, failed=array("q", [10, 200, 390])),
        "calls": 400,
        "errors": 3,
        "seconds": 20.0,
        "memory_bytes": 512_000_000,
        "pool_use": 0.95,
        "checks": (990, 1_000),
        "noise": Noise(seconds=20.0, slowdown=1.01),
        "where_time_went": {312: "190 ms of it waiting for a connection of the pool"},
        **more,
    }
    return Evidence(**settings)


def verdict(text, **more):
    """Return the verdict on an objective."""
    return judge(evidence(**more), parse_objective(text))


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("p95 < 70ms", "met"),
        ("p95 < 50ms", "missed"),
        ("p95 < 58.5ms", "undecided"),
        ("p99.9 < 1s", "undecided"),
        ("p50 < 50ms", "met"),
        ("mean < 60ms", "met"),
        ("mean < 40ms", "missed"),
        ("max < 300ms", "met"),
        ("max < 200ms", "missed"),
        ("errors < 5%", "met"),
        ("errors < 1%", "undecided"),
        ("errors < 0.1%", "missed"),
        ("errors <= 0%", "missed"),
        ("success >= 95%", "met"),
        ("success >= 99.9%", "missed"),
        ("availability >= 100%", "missed"),
        ("checks > 98%", "met"),
        ("checks > 99.9%", "missed"),
        ("throughput > 10/s", "met"),
        ("throughput > 100/s", "missed"),
        ("memory < 600MB", "met"),
        ("memory < 500MB", "missed"),
        ("pool < 96%", "met"),
        ("pool < 90%", "missed"),
        ("apdex(60ms) > 0.9", "met"),
        ("apdex(30ms) > 0.9", "missed"),
    ],
)
def test_the_state_follows_from_the_bounds(text, state):
    """Met inside the limit, missed outside, undecided when the bounds are on both sides."""
    assert verdict(text).state == state


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        (
            "p95 < 50ms",
            {},
            (
                "'p95 < 50ms': no call was recorded, so there is nothing to judge. "
                "Put the calls into 'with perf_timer:'."
            ),
        ),
        (
            "errors < 1%",
            {},
            (
                "'errors < 1%': no call was recorded, so there is nothing to judge. "
                "Put the calls into 'with perf_timer:'."
            ),
        ),
        (
            "lock wait p95 < 1ms",
            {},
            (
                "'lock wait p95 < 1ms': no lock wait was recorded, so there is nothing to judge. "
                "Take a database, or time the wait with perf_timer.waiting('lock wait')."
            ),
        ),
        (
            "pool wait p95 < 1ms",
            {},
            (
                "'pool wait p95 < 1ms': no pool wait was recorded, so there is nothing to judge. "
                "Take pool_watch, or time the wait with perf_timer.waiting('pool wait')."
            ),
        ),
        (
            "throughput > 1/s",
            {},
            (
                "'throughput > 1/s': throughput was not measured, so there is nothing to judge. "
                "Give an outcome, a perf_timer or a load report."
            ),
        ),
        (
            "memory < 1MB",
            {},
            (
                "'memory < 1MB': memory was not measured, so there is nothing to judge. "
                "Measure it with track_memory()."
            ),
        ),
        (
            "pool < 90%",
            {},
            (
                "'pool < 90%': pool was not measured, so there is nothing to judge. "
                "Take pool_watch, or give a pool with in_use and capacity."
            ),
        ),
        (
            "p95{endpoint=/a} < 1s",
            {},
            (
                "'p95{endpoint=/a} < 1s': no call had the tags endpoint=/a, "
                "so there is nothing to judge. Tag calls with .tagged(...)."
            ),
        ),
    ],
    ids=["latency", "rate", "lock wait", "pool wait", "throughput", "memory", "pool", "tags"],
)
def test_nothing_measured_is_an_error(text, more, message):
    """No samples never pass."""
    with pytest.raises(UsageError) as refused:
        judge(Evidence(**more), parse_objective(text))

    assert str(refused.value) == message


def test_a_missed_quantile_says_all():
    """Figure, bounds, margin, slowest call, wall clock and the command that runs it alone."""
    text = missed_text(verdict("p95 < 50ms"), again=command("test_api.py::test_rush[a b]"))

    assert text == (
        "Missed: p95 < 50ms\n"
        "  p95        58.0 ms  95 % bounds 56.0 to 59.4 ms, 400 calls worth 300\n"
        "  margin     8.0 ms over; 28.7 % of the calls were over 50 ms, 5 % may be\n"
        "  slowest    214 ms   call 312: 190 ms of it waiting for a connection of the pool\n"
        "  wall       58.9 ms  864 \u00b5s of waiting for a processor taken out (other processes)\n"
        "Run it alone: pytest 'test_api.py::test_rush[a b]'"
    )


def test_a_missed_rate_says_all():
    """A rate shows its bounds and margin."""
    assert missed_text(verdict("errors < 0.1%")) == (
        "Missed: errors < 0.1%\n"
        "  errors     0.75 %  95 % bounds 0.2 to 1.9 %, 400 calls\n"
        "  margin     0.65 % over"
    )


def test_a_missed_fact_has_no_bounds():
    """What was counted has no interval."""
    assert missed_text(verdict("throughput > 100/s")) == (
        "Missed: throughput > 100/s\n  throughput  20 /s  400 calls\n  margin      80 /s short"
    )


def test_a_slow_call_says_that_it_waited_for_a_processor():
    """The slowest call shows its wait, and a disturbed machine what disturbed it."""
    ns = array("q", [100 * MS] * 99 + [900 * MS])
    samples = Samples(ns=ns, waits_ns=array("q", [0] * 99 + [600 * MS]))
    noise = Noise(seconds=10, slowdown=1.25, stolen=0.2, collections=3, collecting_ns=2 * 10**8)
    got = Evidence(latency=samples, calls=100, noise=noise)

    assert missed_text(judge(got, parse_objective("p95 < 20ms"))) == (
        "Missed: p95 < 20ms\n"
        "  p95        100 ms      95 % bounds 100 to 100 ms, 100 calls\n"
        "  margin     80 ms over; 100 % of the calls were over 20 ms, 5 % may be\n"
        "  slowest    900 ms      call 99; 600 ms of it waiting for a processor\n"
        "  machine    1.56 times  1.25 times slower than at its best, "
        "with 20 % of its time stolen\n"
        "  garbage    200 ms      in 3 collections"
    )


def test_a_slower_machine_is_not_a_miss():
    """A latency that would be within its limit on the machine at its best stays undecided."""
    slow = Noise(seconds=1.0, slowdown=1.4)
    calm = judge([0.060] * 100, parse_objective("p95 < 50ms"))
    got = judge(
        Evidence(latency=Samples.of([60 * MS] * 100), calls=100, noise=slow),
        parse_objective("p95 < 50ms"),
    )

    assert (calm.state, got.state) == ("missed", "undecided")
    assert undecided_text(got) == (
        "undecided: p95 < 50ms: 60 ms on a machine 1.40 times slower than at its best.\n"
        "  Run it alone, or compare with a rival in the same session: compare(new, old)."
    )


def test_judging_by_wall_excuses_nothing():
    """With the option, waits and a slow machine count in full."""
    samples = Samples(ns=array("q", [60 * MS] * 100), waits_ns=array("q", [30 * MS] * 100))
    got = Evidence(latency=samples, calls=100, noise=Noise(slowdown=2.0))
    objective = parse_objective("p95 < 50ms")

    assert judge(got, objective).state == "met"
    assert judge(got, objective, by_wall=True).state == "missed"


def test_own_contention_is_not_excused():
    """Waits that the test's own workers cause stay in."""
    samples = Samples(ns=array("q", [60 * MS] * 100), waits_ns=array("q", [30 * MS] * 100))
    got = Evidence(latency=samples, calls=100, noise=Noise(excused=0.1))

    assert judge(got, parse_objective("p95 < 50ms")).state == "missed"


def test_too_few_calls_say_how_many_are_needed():
    """A p99 of 120 calls names 299, and what to do."""
    assert undecided_text(judge([0.9] * 120, parse_objective("p99 < 1s"))) == (
        "undecided: p99 < 1s: 120 calls cannot decide a p99 (299 are needed, all under 1 s).\n"
        "  Collect more:  perf_timer.until_decided(max_calls=450), or ask for p95."
    )
    assert undecided_text(judge([0.9], parse_objective("errors < 1%"))) == (
        "undecided: errors < 1%: 1 call cannot decide errors < 1% "
        "(299 are needed, none of them failing).\n"
        "  Collect more:  perf_timer.until_decided(max_calls=450)."
    )


def test_bounds_on_both_sides_are_shown():
    """An undecided figure shows how far it may lie."""
    assert undecided_text(verdict("p95 < 58.5ms")) == (
        "undecided: p95 < 58.5ms: 58.0 ms, but it may be 56.4 to 59.4 ms by 400 calls.\n"
        "  Collect more:  perf_timer.until_decided(max_calls=800), or ask for p50."
    )


def test_resembling_neighbours_are_said_to_be_worth_less():
    """Calls in slow and fast phases are worth fewer calls, and that is the reason given."""
    ns = [(30 if (k // 40) % 2 else 48) * MS + k for k in range(400)]

    assert undecided_text(judge(Samples.of(ns), parse_objective("p50 < 40ms"))) == (
        "undecided: p50 < 40ms: 30.0 ms, but it may be 30.0 to 48.0 ms: "
        "400 calls resemble their neighbours and are worth 22.\n"
        "  Collect more:  perf_timer.until_decided(max_calls=800)."
    )


def test_met_is_said_shortly():
    """A met objective takes one line."""
    assert verdict_text(verdict("p95 < 70ms")) == (
        "met: p95 < 70ms: 58.0 ms, 95 % bounds 56.4 to 59.4 ms, 400 calls"
    )
    assert verdict_text(verdict("errors < 0.1%")).startswith("Missed")
    assert verdict_text(verdict("errors < 1%")).startswith("undecided")


def test_the_table_is_aligned():
    """Each objective is a row: value, bounds, calls, verdict."""
    verdicts = [verdict("p95 < 70ms"), verdict("errors < 1%"), verdict("memory < 500MB")]

    assert verdict_lines(verdicts, before=["test_api.py::test_rush"] * 3) == [
        "test_api.py::test_rush  p95 < 70ms      58.0 ms  (56.4 to 59.4)  400 calls  met",
        "test_api.py::test_rush  errors < 1%     0.75 %   (0.2 to 1.9)    400 calls  undecided",
        "test_api.py::test_rush  memory < 500MB  512 MB                   400 calls  missed",
    ]
    assert verdict_lines([]) == []
    assert table([("a",)]) == ["a"]
    assert row(judge([0.9], parse_objective("p95 < 1s")))[2:4] == ("(no bounds)", "1 call")


def test_a_verdict_is_true_or_false_only_when_decided():
    """Met is true, missed is false, and undecided refuses to be either."""
    assert verdict("p95 < 70ms")
    assert not verdict("p95 < 50ms")
    with pytest.raises(TypeError) as refused:
        bool(verdict("p95 < 58.5ms"))
    assert str(refused.value) == (
        "'p95 < 58.5ms' is undecided, which is neither true nor false. "
        "Read .state, or collect more samples."
    )


def test_assert_slo_returns_verdicts():
    """When all are met, the verdicts are returned in order."""
    states = [each.state for each in assert_slo([0.01] * 100, "p95 < 50ms", "errors < 5%")]

    assert states == ["met", "met"]


def test_assert_slo_raises_all_that_are_missed():
    """Every missed objective is in the text, and every verdict on the exception."""
    policy = Policy(again="pytest t.py::t")
    with pytest.raises(MissedObjective) as missed:
        assert_slo(evidence(), "memory < 500MB", "p95 < 70ms", "pool < 90%", policy=policy)

    assert str(missed.value) == (
        "Missed: memory < 500MB\n"
        "  memory     512 MB  400 calls\n"
        "  margin     12 MB over\n"
        "Missed: pool < 90%\n"
        "  pool       95 %  400 calls\n"
        "  margin     5 % over\n"
        "Run it alone: pytest t.py::t"
    )
    assert [each.state for each in missed.value.verdicts] == ["missed", "met", "missed"]


@pytest.mark.parametrize("choice", ["fail", "warn", "pass"])
def test_undecided_does_what_was_asked(choice):
    """Undecided fails, warns or passes."""
    seen = []
    policy = Policy(undecided=choice, observe=seen.append)

    def hold():
        assert_slo([0.9] * 120, "p99 < 1s", policy=policy)

    if choice == "fail":
        with pytest.raises(UndecidedObjective, match=r"^undecided: p99 < 1s: 120 calls cannot"):
            hold()
    elif choice == "warn":
        with pytest.warns(UndecidedWarning, match=r"^undecided: p99 < 1s: 120 calls cannot"):
            hold()
    else:
        hold()
    assert [each.state for each in seen] == ["undecided"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: assert_slo([0.1]),
            "assert_slo: there is no objective. Write assert_slo(outcome, 'p95 < 50ms').",
        ),
        (
            lambda: assert_slo(object(), "p95 < 50ms"),
            (
                "assert_slo: 'object' has no durations. "
                "Give an outcome, a perf_timer, a pool, or durations in seconds."
            ),
        ),
        (
            lambda: Policy(undecided="warning"),
            (
                "undecided='warning' is not a choice. "
                "It is fail, warn or pass. Write undecided='warn'."
            ),
        ),
        (
            lambda: Policy(error=5),
            "error=5 is not a chance of being wrong. Write error=0.05.",
        ),
        (
            lambda: error_budget(verdict("memory < 500MB")),
            (
                "'memory < 500MB': it has no error budget. "
                "Write a rate or a quantile, such as 'errors < 1%'."
            ),
        ),
    ],
    ids=["no objective", "no durations", "choice", "error", "budget"],
)
def test_misuse_is_answered(call, message):
    """Each mistake is answered with what to write."""
    with pytest.raises(UsageError) as refused:
        call()

    assert str(refused.value) == message


def test_one_side_can_be_asked_for_alone():
    """A look that asks only for misses cannot find an objective met."""
    got = judge([0.01] * 100, parse_objective("p95 < 50ms"), errors=Errors(met=0.0))

    assert got.state == "undecided"


class Call:
    """A call as the runner keeps it."""

    def __init__(self, worker, started_ns, ended_ns, error=None):
        self.worker, self.round, self.error = worker, 0, error
        self.started_ns, self.ended_ns = started_ns, ended_ns


class Outcome:
    """An outcome of the runner."""

    unfinished = 1
    calls = (Call(1, 50, 150), Call(0, 0, 100), Call(2, 60, 90, KeyError("x")))


def test_an_outcome_is_evidence():
    """Calls are taken by time, errors and unfinished ones counted, the worker named."""
    from pytest_concurrency.slo.evidence import evidence_of

    got = evidence_of(Outcome())

    assert list(got.latency.ns) == [100, 100, 30]
    assert list(got.latency.failed) == [2]
    assert (got.calls, got.errors, got.seconds) == (4, 2, 150e-9)
    assert got.where_time_went[1] == "worker 1"


def test_durations_with_errors_are_evidence():
    """An object with durations, errors and a wall time is enough."""
    from pytest_concurrency.slo.evidence import evidence_of

    class Measured:
        durations = (0.5, 0.25)
        errors = (KeyError("x"),)
        wall_time = 0.5

    got = evidence_of(Measured())

    assert (got.calls, got.errors, got.seconds) == (2, 1, 0.5)


def test_a_pool_is_evidence():
    """A pool is judged by the share of it that is out."""

    class Pool:
        in_use, capacity = 7, 10

    assert [each.state for each in assert_slo(Pool(), "pool < 90%")] == ["met"]


def test_tags_select_calls():
    """An objective with tags is held against the calls that have all of them."""
    fast = Evidence(latency=Samples.of([1 * MS] * 100), calls=100)
    slow = Evidence(latency=Samples.of([900 * MS] * 100), calls=100)
    got = Evidence(
        tagged={(("method", "GET"), ("url", "/a")): fast, (("method", "POST"), ("url", "/a")): slow}
    )

    assert judge(got, parse_objective("p95{method=GET} < 1s")).calls == 100
    assert judge(got, parse_objective("p95{url=/a} < 50ms")).state == "missed"
    assert judge(got, parse_objective("p95{method=GET, url=/a} < 50ms")).state == "met"


def test_a_budget_says_what_is_left():
    """Allowed, spent and left add up, for rates and quantiles."""
    rate = error_budget(verdict("errors < 1%"))
    quantile = error_budget(verdict("p95 < 50ms"))

    assert (rate.allowed, rate.spent, rate.left) == (4.0, 3.0, 1.0)
    assert str(rate) == ("error budget: 4 of 400 calls allowed, 3 spent, 1 left (burn rate 0.75)")
    assert str(quantile) == (
        "error budget: 20 of 400 calls allowed, 115 spent, overdrawn by 95 (burn rate 5.75)"
    )
    assert error_budget(verdict("success >= 95%")).allowed == 20.0
    assert error_budget(verdict("errors <= 0%")).burn_rate == float("inf")
    assert error_budget(verdict("errors <= 0%", errors=0, latency=Samples())).burn_rate == 0.0


@pytest.mark.parametrize(
    ("duration", "wrong"),
    [
        (-1.0, "-1.0 is negative. A duration is zero or more."),
        (
            float("nan"),
            "nan is not a length of time. Write a finite number of seconds.",
        ),
        ("fast", "'fast' is not a duration. Write '50ms' or '50s'."),
        (None, "None is not a duration. Write seconds as a number, or '50ms'."),
    ],
)
def test_what_is_no_duration_is_refused(duration, wrong):
    """A duration that cannot be is an error, not the best of all calls."""
    with pytest.raises(UsageError) as refused:
        assert_slo([0.1, duration], "max < 1s")

    assert str(refused.value) == f"assert_slo: {wrong}"


def test_durations_of_other_numbers_count():
    """Fractions, as numbers of other packages do, stand for seconds too."""
    [verdict] = assert_slo([Fraction(1, 10)], "max < 1s")

    assert verdict.interval.value == 100_000_000
