"""Our hooks: every outcome is observed, every record reaches the sinks, once."""

from __future__ import annotations

SUITE = """
import pytest

def fail():
    raise KeyError

def test_run(concurrent_runner):
    concurrent_runner(int, workers=2, rounds=3)
    concurrent_runner(fail, workers=1).errors

@pytest.fixture
def prepared(concurrent_runner):
    return concurrent_runner(int, workers=4)

def test_in_a_fixture(prepared):
    pass

def test_observed_is_not_looked_at(concurrent_runner):
    concurrent_runner(fail, workers=1)

def test_nothing():
    pass
"""
CONFTEST = """
import json
from pathlib import Path

observed = []

def pytest_concurrency_outcome(item, outcome):
    observed.append((item.name, outcome.workers, len(outcome.errors)))

class Sink:
    def write(self, records):
        json.dumps(records)
        Path("records.txt").write_text("\\n".join(sorted(
            f"{r['kind']} {r['nodeid']} {r['workers']} {r['calls']} {r['errors']} {r['unfinished']}"
            for r in records)))
        with Path("times.txt").open("a") as file:
            file.write("x")

def pytest_concurrency_sink(config):
    return Sink()

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        print("OBSERVED", observed)
"""
RECORDS = """\
outcome test_it.py::test_in_a_fixture 4 4 0 0
outcome test_it.py::test_observed_is_not_looked_at 1 1 1 0
outcome test_it.py::test_run 1 1 1 0
outcome test_it.py::test_run 2 6 0 0"""


def test_every_outcome_is_observed_and_recorded(suite, pytester):
    """Also those of fixtures and of failing tests; an observer does not look for the test."""
    ran = suite(SUITE, "-s", conftest=CONFTEST)

    assert ran.outcomes == {"passed": 3, "failed": 1}
    assert (
        "OBSERVED [('test_run', 2, 0), ('test_run', 1, 1), ('test_in_a_fixture', 4, 0), "
        "('test_observed_is_not_looked_at', 1, 1)]"
    ) in ran.text
    assert pytester.path.joinpath("records.txt").read_text() == RECORDS
    assert pytester.path.joinpath("times.txt").read_text() == "x"


DEAD = """
import os
import pytest
from pytest_concurrency import WorkerDied

def leave(item):
    if item == "leave":
        os._exit(3)

def test_dies(concurrent_runner):
    with pytest.raises(WorkerDied) as died:
        concurrent_runner(leave, items=["stay", "leave"], on="processes", rounds=2)
    assert died.value.outcome.unfinished >= 2
"""


def test_a_run_whose_worker_died_is_observed(suite):
    """What its calls did until then is told to the hooks, and kept on the error."""
    ran = suite(DEAD, "-s", conftest=CONFTEST)

    assert ran.outcomes == {"passed": 1}
    assert "OBSERVED [('test_dies', 2, 0)]" in ran.text
