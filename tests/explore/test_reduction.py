"""The reduction leaves out only what cannot differ."""

import random
import threading

import pytest

from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.reduction import Walk
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings


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


def adding(shared, name):
    shared.a += name + 1


def copying(shared, _name):
    shared.b = shared.a


def logging(shared, name):
    shared.log.append((name, shared.b))


def locked(shared, name):
    with shared.lock:
        shared.b = shared.a + name


def lock_of_its_own(shared, _name):
    own = threading.Lock()
    with own:
        shared.a = shared.a * 2 + 1


STEPS = (adding, copying, logging, locked, locked_then_racy, lock_of_its_own, trying)


def _drawn(seed, workers, steps):
    """Return a program in which each worker does some steps that were drawn."""
    draw = random.Random(seed)
    given = [draw.choices(STEPS, k=steps) for _ in range(workers)]

    def work(shared, name):
        for step in given[name]:
            step(shared, name)

    return work


def _outcomes(work, workers, play_all):
    seen = set()

    def body(run):
        shared = Shared()
        run(*[lambda name=name: work(shared, name) for name in range(workers)])
        seen.add((shared.a, shared.b, tuple(shared.log)))

    with CodeProgram(body, Settings()) as program:
        play_all(program)
    return seen


def _others(trace, script, most):
    """Yield the scripts that choose otherwise at one step after the end of this one."""
    walk, workers, spent = Walk(trace), trace.workers, 0
    for at, worker in enumerate(workers if workers[: len(script)] == script else ()):
        walk.look()
        before = workers[at - 1] if at else 0
        goes_on = before in walk.able
        for other in walk.able - {worker} if at >= len(script) else ():
            if spent + (goes_on and other != before) <= most:
                yield [*workers[:at], other]
        spent += goes_on and worker != before
        walk.step()


def _every_schedule(most):
    """Play every schedule with at most so many preemptions, leaving nothing out."""

    def play_all(program):
        scripts = [[]]
        while scripts:
            script = scripts.pop()
            trace = program.play(Plan([(worker, 1) for worker in script]))
            scripts += _others(trace, script, most)

    return play_all


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


@pytest.mark.parametrize("seed", range(12))
def test_search_reaches_every_outcome_of_drawn_programs(seed):
    """So it does for programs that nobody thought of."""
    work = _drawn(seed, workers=2, steps=2)

    assert _outcomes(work, 2, _every_schedule(1)) <= _outcomes(work, 2, _searched(1))


@pytest.mark.parametrize("seed", range(4))
def test_search_reaches_every_outcome_of_three_drawn_workers(seed):
    """So it does for three workers."""
    work = _drawn(100 + seed, workers=3, steps=1)

    assert _outcomes(work, 3, _every_schedule(1)) <= _outcomes(work, 3, _searched(1))
