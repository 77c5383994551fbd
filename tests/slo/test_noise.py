"""The watch tells what the machine did, and excuses only what others did."""

import gc

import pytest

from pytest_concurrency.slo import noise as n
from pytest_concurrency.slo.noise import Noise, NoiseWatch


@pytest.fixture
def machine(monkeypatch):
    """Replace what the kernel tells by what the test sets."""

    class Machine:
        now = own = thread = 0
        ticks = (0.0, 0.0, 0.0)
        pressure = 0

    machine = Machine()
    monkeypatch.setattr(n, "perf_counter_ns", lambda: machine.now)
    monkeypatch.setattr(n, "process_time_ns", lambda: machine.own)
    monkeypatch.setattr(n, "thread_time_ns", lambda: machine.thread)
    monkeypatch.setattr(n, "_machine_ticks", lambda: machine.ticks)
    monkeypatch.setattr(n, "_pressure_us", lambda: machine.pressure)
    return machine


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("own", "thread", "busy", "excused"),
    [
        (SECOND, SECOND, 2 * SECOND, 1.0),
        (SECOND, SECOND // 8, SECOND, 0.0),
        (SECOND, SECOND // 2, 2 * SECOND, 2 / 3),
        (SECOND, SECOND - 1, SECOND, 1.0),
    ],
    ids=["others only", "own threads only", "both", "nobody"],
)
def test_only_what_others_caused_is_excused(machine, own, thread, busy, excused):
    """The share excused is that of other processes among those that ran instead."""
    watch = NoiseWatch()
    machine.now, machine.own, machine.thread = SECOND, own, thread
    machine.ticks = (float(busy), 0.0, 2.0 * SECOND)

    assert watch.read().excused == pytest.approx(excused)
    watch.close()


def test_the_share_of_several_workers_is_an_average(machine):
    """Of eight workers of this process, seven are each one's own others."""
    watch = NoiseWatch()
    machine.now, machine.own = SECOND, SECOND
    machine.ticks = (1.875 * SECOND, 0.0, 2.0 * SECOND)

    assert watch.read(workers=8).excused == pytest.approx(0.5)
    watch.close()


def test_stolen_time_and_pressure_are_shares(machine):
    """Steal is a share of the processors' time, pressure one of the wall clock."""
    watch = NoiseWatch()
    machine.now, machine.pressure = SECOND, 250_000
    machine.ticks = (SECOND / 2, SECOND / 5, 2.0 * SECOND)
    got = watch.read()
    watch.close()

    assert (got.seconds, got.stolen, got.pressure) == (1.0, 0.1, 0.25)


def test_the_canary_is_compared_with_its_best(machine, monkeypatch):
    """The median canary over the fastest one known is the slow-down."""
    runs = iter([14, 28, 28])
    monkeypatch.setattr(n, "canary_ns", lambda: next(runs))
    machine.now = 1
    watch = NoiseWatch()
    assert watch.read().slowdown is None
    for _ in range(3):
        watch.tick()

    assert (watch.read().slowdown, watch.fastest_ns) == (2.0, 14)
    watch.close()


def test_a_known_reference_counts(machine):
    """A machine that is slow all the time is found out by an earlier run's canary."""
    machine.now = 1
    watch = NoiseWatch(reference_ns=1)
    watch._canaries = [3]

    assert watch.read().slowdown == 3.0
    watch.close()


def test_collections_are_timed():
    """Garbage collection during the watch is counted, and afterwards it is not."""
    watch = NoiseWatch()
    gc.collect()
    got = watch.read()
    watch.close()
    watch.close()

    assert got.collections >= 1
    assert got.collecting_ns == watch.pauses_ns > 0
    assert watch._on_collection not in gc.callbacks


@pytest.mark.parametrize(
    ("noise", "factor", "text"),
    [
        (Noise(), 1.0, ""),
        (Noise(slowdown=1.01), 1.01, ""),
        (Noise(slowdown=0.9), 1.0, ""),
        (Noise(slowdown=1.5), 1.5, "1.50 times slower than at its best"),
        (Noise(stolen=0.5), 2.0, "with 50 % of its time stolen"),
    ],
)
def test_the_factor_says_how_much_may_be_the_machines(noise, factor, text):
    """Slow-down and steal add up; a quiet machine has nothing to say."""
    assert noise.factor == pytest.approx(factor)
    assert str(noise) == text


def test_a_canary_takes_time():
    """The fixed piece of work takes more than nothing."""
    assert n.canary_ns() > 100


def test_a_kernel_that_tells_nothing_is_lived_with(monkeypatch):
    """Without the kernel's files, waits are unknown and shares are zero."""
    monkeypatch.setattr(n, "_WAITS", "/nowhere/schedstat")

    assert not n.are_waits_known()
    assert n._first_line("/nowhere/stat", lambda _: True) is None
