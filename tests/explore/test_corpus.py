"""The explorer judges the corpus: every buggy program is caught, no correct one is accused."""

import time

import pytest

from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.coroutines import OnALoop, TaskProgram
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings

from .corpus import programs

SEEDS = range(10)


def named(which):
    return [pytest.param(program, id=program.name) for program in programs(which)]


def first_failures(body):
    """Return the first error found on each seed, its schedule neither shrunk nor explained."""
    kinds = [CodeProgram, TaskProgram]
    while True:
        with kinds.pop(0)(body, Settings()) as program:
            try:
                return [first_failure(program, seed) for seed in SEEDS]
            except OnALoop:
                continue


def first_failure(program, seed):
    found = Search(program, Settings(seed=seed), began=time.perf_counter()).failure()
    if found is None:
        return None
    if isinstance(found.ending.error, OnALoop):
        raise found.ending.error
    return type(found.ending.error)


@pytest.mark.parametrize("program", named("buggy"))
def test_buggy_program_is_caught(program):
    """A buggy program fails within the default budget, in the way it is known to."""
    with pytest.raises(program.fails) as caught:
        interleave(settings=Settings())(program.body)

    assert type(caught.value) is program.fails
    assert program.says in str(caught.value)


@pytest.mark.parametrize("program", named("buggy"))
def test_buggy_program_is_found_on_every_seed(program):
    """Whatever the seed, the default budget suffices."""
    assert first_failures(program.body) == [program.fails] * len(SEEDS)


@pytest.mark.parametrize("program", named("correct"))
def test_correct_program_is_never_accused(program):
    """A correct program passes, and is explored completely where that is within reach."""
    settings = Settings(schedules=program.budget or 5_000, seconds=60)

    explored = interleave(settings=settings)(program.body)

    if program.complete:
        assert explored.budget is None
        assert explored.exhausted or explored.complete >= 2


@pytest.mark.parametrize("program", named("mutants"))
def test_mutant_is_caught(program):
    """A correct program is caught when the thing that keeps it right is taken away."""
    with pytest.raises(program.fails) as caught:
        interleave(settings=Settings())(program.mutant)

    assert type(caught.value) is program.fails


def test_corpus_is_large_enough():
    """At least forty buggy and forty correct programs are judged, as the promise says."""
    assert len(programs("buggy")) >= 40
    assert len(programs("correct")) >= 40
    assert len(programs("mutants")) >= 40
