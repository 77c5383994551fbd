"""The reduction leaves out only what cannot differ."""

import itertools
import threading

import pytest

from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.program import FOREVER
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.timeline import preemptions


class Shared:
    def __init__(self):
        self.a = self.b = 0
        self.lock = threading.Lock()
        self.log = []


def racy(shared, name):
    shared.a = shared.b + 1
    shared.b = shared.a * 2
    shared.log.append(name)


def locked_then_racy(shared, name):
    with shared.lock:
        shared.log.append(name)
    shared.a = shared.a + 1


def trying(shared, name):
    if shared.lock.acquire(blocking=False):
        shared.a += 1
        shared.lock.release()
    shared.log.append(name)


def _outcomes(work, workers, play_all):
    seen = set()

    def body(run):
        shared = Shared()
        run(*[lambda name=name: work(shared, name) for name in range(workers)])
        seen.add((shared.a, shared.b, tuple(shared.log)))

    with CodeProgram(body, Settings()) as program:
        play_all(program)
    return seen


def _every_schedule(most):
    """Play every schedule with at most so many preemptions, leaving nothing out."""

    def play_all(program):
        done = set()
        work = [()]
        while work:
            legs = work.pop()
            trace = program.play(Plan(legs))
            for at, worker in itertools.product(range(len(trace.workers)), (1, 2, 3)):
                cut = tuple(_cut(trace.workers[:at], worker))
                if cut in done:
                    continue
                done.add(cut)
                tried = program.play(Plan(cut))
                if (
                    tried.workers[: at + 1] == [*trace.workers[:at], worker]
                    and preemptions(tried) <= most
                ):
                    work.append(cut)

    return play_all


def _cut(workers, last):
    for worker, run in itertools.groupby(workers):
        yield worker, len(list(run))
    yield last, FOREVER


def _searched(most):
    def play_all(program):
        Search(program, Settings(preemptions=most)).failure()

    return play_all


@pytest.mark.parametrize("work", [racy, locked_then_racy, trying])
def test_search_reaches_every_outcome_of_two_workers(work):
    """With one preemption, the search ends in every state that any schedule with one ends in."""
    every = _outcomes(work, 2, _every_schedule(1))

    assert every <= _outcomes(work, 2, _searched(1))
    assert len(every) > 1
