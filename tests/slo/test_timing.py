"""One operation timed: blocks, a stopwatch, and an assertion with a name."""

import pytest

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.slo.timing import PerformanceTimer, assert_performance, measure_time


def test_measure_time_holds_the_duration(clock):
    """The result of the with statement knows name and seconds."""
    with measure_time("validate") as result:
        clock.now += 61_300_000

    assert (result.name, result.duration) == ("validate", 0.0613)
    assert str(result) == "validate: 61.3 ms"


def test_measure_time_knows_the_duration_of_a_failure(clock):
    """A block that raises is timed, and its exception goes on."""
    result = measure_time("lookup")

    def fail():
        with result:
            clock.now += 500
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert result.duration == 5e-7


def test_measure_time_refuses_to_guess_before_the_end():
    """The duration of a running block is not readable."""
    with measure_time("lookup") as result:
        with pytest.raises(UsageError) as refused:
            _ = result.duration
        assert str(result) == "lookup: not ended"

    assert str(refused.value) == (
        "measure_time('lookup'): the block has not ended. Read .duration after the with statement."
    )


def test_timer_adds_up_its_runs(clock):
    """Stopping and starting again goes on from what was elapsed."""
    timer = PerformanceTimer("import")
    assert timer.elapsed == 0.0

    timer.start()
    clock.now += 1_000_000_000
    assert (timer.elapsed, timer.is_running) == (1.0, True)
    assert timer.stop() == 1.0
    clock.now += 5_000_000_000
    with timer:
        clock.now += 500_000_000

    assert (timer.elapsed, timer.is_running) == (1.5, False)


def test_timer_keeps_laps(clock):
    """Each lap starts where the last one ended."""
    with PerformanceTimer() as timer:
        clock.now += 2_000_000_000
        assert timer.lap() == 2.0
        clock.now += 3_000_000_000
        timer.lap()
        timer.stop()

    assert (timer.laps, timer.elapsed) == ((2.0, 3.0), 5.0)

    timer.reset()

    assert (timer.laps, timer.elapsed) == ((), 0.0)


def test_timer_refuses_a_second_start():
    """Starting a running timer says what to call instead."""
    timer = PerformanceTimer("t").start()

    with pytest.raises(UsageError) as refused:
        timer.start()

    assert str(refused.value) == (
        "PerformanceTimer(name='t'): the timer is running. "
        "Call .stop() first, or .lap() for a split."
    )


@pytest.mark.parametrize("misuse", ["stop", "lap"])
def test_timer_refuses_to_end_what_has_not_begun(misuse):
    """Stopping or splitting a timer at rest says which call is missing."""
    with pytest.raises(UsageError) as refused:
        getattr(PerformanceTimer("t"), misuse)()

    assert str(refused.value) == (
        "PerformanceTimer(name='t'): the timer is not running. "
        "Call .start() first, or use it in a with."
    )


def test_assert_performance_passes_within_the_limit():
    """A duration up to the limit passes, in any notation."""
    assert_performance(0.05, 0.05)
    assert_performance("49ms", "50ms", "validation")


def test_assert_performance_shows_the_margin():
    """A longer duration fails with name, limit, duration and margin."""
    with pytest.raises(BrokenPromise) as missed:
        assert_performance(0.0613, "50ms", "validation")

    assert str(missed.value) == (
        "Missed: validation within 50 ms\n"
        "  took    61.3 ms\n"
        "  margin  11.3 ms over, 1.23 times the limit"
    )


def test_assert_performance_knows_a_limit_of_zero():
    """A limit of zero has no multiple."""
    with pytest.raises(BrokenPromise, match=r"margin  1 s over$"):
        assert_performance(1.0, 0)


def test_assert_performance_names_itself_when_misused():
    """A limit without a unit is refused with what to write."""
    with pytest.raises(UsageError) as refused:
        assert_performance(1.0, "50", "validation")

    assert str(refused.value) == (
        "assert_performance('validation'): '50' has no unit. Write '50ms' or '50s'."
    )
