"""A test's own loop takes turns with the same loop at another revision."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence

import pytest

from pytest_concurrency.slo import own_loops
from pytest_concurrency.slo.own_loops import FEWEST_CALLS, AnsweringBlocks, RacingBlocks
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.rivals import RivalEnded


class Rival:
    """A rival whose calls take as long as it is told, and that notes when it is asked."""

    def __init__(self, log: list[str], took_ns: int = 1_000_000, calls: int = 10_000) -> None:
        self.log, self.took_ns, self.calls = log, took_ns, calls
        self.closed = 0
        self.status = 0

    def take(self, calls: int) -> list[int]:
        self.log.append("old")
        self.calls -= calls
        if self.calls < 0:
            text = "ended"
            raise RivalEnded(text, self.status)
        return [self.took_ns] * calls

    def close(self) -> None:
        self.closed += 1


def loop(blocks, clock, calls: int, log: Sequence[str], took_ns: int = 1_000_000) -> PerfTimer:
    """Run a loop of timed blocks, each as long as told."""
    timer = PerfTimer(takes_out_waits=False, turns=blocks)
    for _ in range(calls):
        with timer:
            log.append("new")
            clock.now += took_ns
    return timer


@pytest.mark.parametrize(
    ("took_ns", "state"), [(1_000_000, "met"), (500_000, "met"), (1_300_000, "missed")]
)
def test_loop_is_decided(clock, took_ns, state):
    """The claim holds for the same and for faster, and not for slower; the rival ends then."""
    rival = Rival([])
    blocks = RacingBlocks(lambda: rival)
    timer = loop(blocks, clock, 100, [], took_ns)
    got = blocks.conclude()

    assert (got.state, got.ratio.value) == (state, took_ns / 1e6)
    assert got.pairs < 99
    assert rival.closed
    assert len(timer) == 100


def test_sides_go_first_as_often_as_second(clock):
    """Two pairs are in the order new, old, old, new, or the other way round."""
    log = []
    blocks = RacingBlocks(lambda: Rival(log))
    loop(blocks, clock, 13, log)

    assert log[0] == "new"  # the warm-up, before anything is started
    fours = ["".join(word[0] for word in log[i : i + 4]) for i in range(1, 25, 4)]
    assert set(fours) == {"noon", "onno"}


def test_single_block_starts_nothing(clock):
    """Where there is nothing to compare, no interpreter is started."""
    started = []
    blocks = RacingBlocks(lambda: started.append(1))
    loop(blocks, clock, 1, [])

    assert started == []
    assert blocks.conclude() is None


def test_too_few_blocks_conclude_nothing(clock):
    """One block fewer than can decide is no comparison; so many are."""
    for calls, is_told in ((FEWEST_CALLS - 1, False), (FEWEST_CALLS, True)):
        blocks = RacingBlocks(lambda: Rival([]))
        loop(blocks, clock, calls, [])

        assert (blocks.conclude() is not None) == is_told


def test_rival_that_is_not_there_leaves_the_loop_alone(clock):
    """A test that the other revision has not runs as ever."""
    blocks = RacingBlocks(lambda: None)

    assert len(loop(blocks, clock, 20, [])) == 20
    assert blocks.conclude() is None


def test_shorter_loop_of_the_rival_ends_the_race(clock):
    """What was compared until then counts."""
    blocks = RacingBlocks(lambda: Rival([], calls=18))
    loop(blocks, clock, 50, [])

    assert blocks.conclude().pairs == 18


def test_rival_that_breaks_breaks_the_test(clock):
    """A test that fails over there cannot be compared."""
    rival = Rival([], calls=5)
    rival.status = 1

    with pytest.raises(RivalEnded):
        loop(RacingBlocks(lambda: rival), clock, 50, [])


def test_blocks_that_overlap_take_no_turns(clock):
    """Blocks inside a block, and those of other threads, run as they come."""
    log = []
    blocks = RacingBlocks(lambda: Rival(log))
    timer = PerfTimer(takes_out_waits=False, turns=blocks)

    def other():
        with timer:
            log.append("other")

    for _ in range(2):
        with timer:
            log.append("new")
            with timer:
                log.append("inner")
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
    clock.now += 1

    assert blocks.blocks == 2
    assert sorted(log) == ["inner", "inner", "new", "new", "old", "other", "other"]


def test_tagged_blocks_take_turns_too(clock):
    """Calls with tags are calls; waits inside them are not."""
    log = []
    blocks = RacingBlocks(lambda: Rival(log))
    timer = PerfTimer(takes_out_waits=False, turns=blocks)
    for at in ("/a", "/b", "/a"):
        with timer.tagged(at=at):
            clock.now += 1
        with timer.waiting("lock wait"):
            clock.now += 1

    assert blocks.blocks == 3
    assert log == ["old", "old"]


def test_answers_come_as_they_are_asked_for(clock):
    """The other side waits to be asked, answers in lines of its own, and ends when nobody asks."""
    requests = io.StringIO('{"take": 1}\n{"take": 2}\n')
    answers = io.StringIO()

    with pytest.raises(SystemExit):
        loop(AnsweringBlocks(requests, answers), clock, 5, [], 7)
    lines = answers.getvalue().split("\n")
    assert [json.loads(line)["took"] for line in lines if line] == [[7], [7, 7]]


def test_loop_goes_on_alone_once_the_budget_is_spent(clock, monkeypatch):
    """Within its time it is undecided; the rival ends then, and the loop does not."""
    monkeypatch.setattr(own_loops, "perf_counter_ns", clock)
    rival = Rival([], took_ns=1_000_000_000)
    blocks = RacingBlocks(lambda: rival, "new <= 1x old", seconds=30)
    timer = PerfTimer(takes_out_waits=False, turns=blocks)
    for step in range(100):
        with timer:
            clock.now += 900_000_000 if step % 4 in (1, 2) else 1_100_000_000

    assert rival.closed
    got = blocks.conclude()
    assert (got.state, got.pairs, len(timer)) == ("undecided", 32, 100)
