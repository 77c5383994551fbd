"""What a timer knows beside durations: waits, garbage collections, warm-up."""

from __future__ import annotations

import gc

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo import noise
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.facts import Facts
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.samples import Samples
from pytest_concurrency.slo.wording import missed_text

MS = 1_000_000


def test_waits_are_a_series_of_their_own():
    """A wait is no call, and travels with the evidence."""
    timer = PerfTimer(takes_out_waits=False)
    for _ in range(3):
        with timer, timer.waiting("lock wait"):
            pass
    evidence = Evidence.from_wire(timer.evidence().to_wire())
    assert (evidence.calls, len(evidence.series["lock wait"])) == (3, 3)
    timer.clear()
    assert len(timer.waiting("lock wait")) == 0


def test_unknown_wait_is_refused():
    """A wait that no objective can name would never be judged."""
    with pytest.raises(UsageError) as refused:
        PerfTimer().waiting("lock wiat")
    assert str(refused.value) == (
        "waiting('lock wiat'): there is no such wait. Write waiting('lock wait')."
    )


def test_garbage_collected_during_a_call_is_noted_for_it():
    """A collection inside a block belongs to that call, one between blocks to none."""
    timer = PerfTimer(takes_out_waits=False)
    watch = noise.NoiseWatch(on_pause=timer.note_pause)
    try:
        for turn in range(4):
            with timer:
                if turn == 2:
                    gc.collect()
            gc.collect()
    finally:
        watch.close()
    assert list(timer.facts.pauses_ns) == [2]
    assert timer.facts.pauses_ns[2] > 0


def test_pause_worth_saying_stands_beside_the_slowest_call():
    """The slowest call says that it was collecting garbage, and the first that it was cold."""
    samples = Samples.of([2 * MS] * 99 + [20 * MS])
    facts = Facts()
    facts.note_pause(99, 15 * MS)
    facts.note_pause(3, 1_000)
    known = facts.for_evidence(samples, {}, is_in_order=True)
    evidence = Evidence(latency=samples, calls=100, warm_up_ns=80 * MS, **known)
    text = missed_text(judge(evidence, parse_objective("p50 < 1ms")))
    assert text.splitlines()[3:] == [
        "  slowest    20 ms  call 99: 15 ms of it collecting garbage",
        "  warm-up    80 ms  the first call, not judged",
    ]


def test_positions_out_of_order_name_no_call():
    """Samples of several threads are merged, so a position says nothing about a call."""
    facts = Facts()
    facts.note_pause(0, MS)
    assert facts.for_evidence(Samples.of([MS]), {}, is_in_order=False)["where_time_went"] == {}
