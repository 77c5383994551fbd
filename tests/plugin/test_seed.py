"""The session's seed: the same numbers again, wherever the tests run."""

from __future__ import annotations

import re

SUITE = """
import sys
import pytest

@pytest.mark.parametrize("which", ["a", "b"])
def test_draw(concurrent_runner, which):
    outcome = concurrent_runner(lambda worker: worker.random.random(), workers=2)
    print("DREW", which, sorted(outcome.values))

@pytest.mark.concurrent(workers=2)
def test_marked(worker):
    sys.stdout.write(f"DREW {worker.index} {worker.random.random()}\\n")
"""


def drawn(ran):
    """Return what the tests drew."""
    assert ran.outcomes == {"passed": 3}
    return sorted(set(re.findall("DREW .*", ran.text)))


def test_numbers_repeat_for_a_seed(suite):
    """The same seed draws the same in every test; another draws others."""
    first = drawn(suite(SUITE, "-rP", "--concurrency-seed=7"))

    assert len(first) == 4
    assert drawn(suite(SUITE, "-rP", ini="concurrency_seed = 7")) == first
    assert drawn(suite(SUITE, "-rP", "--concurrency-seed=8")) != first


def test_without_a_seed_every_session_draws_anew(suite):
    """Nobody relies on numbers by chance."""
    assert drawn(suite(SUITE, "-rP")) != drawn(suite(SUITE, "-rP"))


def test_the_seed_of_pytest_randomly_is_taken(suite):
    """One number repeats everything."""
    # Apart: pytest-randomly loads numpy, which loads once per process, and an inner session forgets
    # what it has loaded.
    first, again = (
        drawn(suite(SUITE, "-rP", "--randomly-seed=5", plugins=["randomly"], apart=True))
        for _ in range(2)
    )

    assert first == again
