"""Under pytest-xdist everything is as in one process: texts, numbers, records, also after a crash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import os, sys
import pytest

def fail():
    raise ValueError("no seats")

def test_fails(concurrent_runner):
    concurrent_runner(fail, workers=2).raise_errors()

@pytest.mark.concurrent(workers=3)
def test_draws(worker):
    sys.stdout.write(f"DREW {worker.index} {worker.random.random()}\\n")

@pytest.mark.parametrize("which", ["a", "b"])
def test_session_seed(concurrent_runner, which):
    print("SEED", concurrent_runner(lambda worker: worker.seed, workers=1).values)

def test_unseen(concurrent_runner):
    concurrent_runner(fail, workers=2)

def test_skips(concurrent_runner):
    concurrent_runner(lambda: pytest.skip("no"), workers=2)

def test_crashes(concurrent_runner):
    concurrent_runner(int, workers=5)
    if os.environ.get("CRASH"):
        os._exit(1)
"""
CONFTEST = """
from pathlib import Path

class Sink:
    def write(self, records):
        with Path("records.txt").open("a") as file:
            for r in sorted(records, key=lambda r: r["nodeid"]):
                print(r["nodeid"].partition("::")[2], r["workers"], r["calls"], r["errors"], file=file)

def pytest_concurrency_sink(config):
    return Sink()
"""
RECORDS = """\
test_crashes 5 5 0
test_draws 3 3 0
test_fails 2 2 2
test_session_seed[a] 1 1 0
test_session_seed[b] 1 1 0
test_skips 2 N 1
test_unseen 2 2 2
"""


def run(place, *more, crash=False):
    """Run the suite in a process of its own."""
    place.joinpath("test_it.py").write_text(SUITE)
    place.joinpath("conftest.py").write_text(CONFTEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "concurrency-slo"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "80"}
    environment |= {"CRASH": "1"} if crash else {}
    return subprocess.run(
        [*command, "-rA", "--concurrency-seed=7", *more],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    ).stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the output in one process, and its place."""
    place = tmp_path_factory.mktemp("alone")
    return run(place), place


@pytest.fixture(scope="module", params=["load", "loadscope", "crash"])
def spread(request, tmp_path_factory):
    """Return the output on two processes, however the tests are spread, and its place."""
    place = tmp_path_factory.mktemp("spread")
    crash = request.param == "crash"
    dist = "load" if crash else request.param
    return run(place, "-p", "xdist", "-n2", f"--dist={dist}", crash=crash), place, crash


def summary(text, *, without=""):
    """Return the lines that tell how each test ended."""
    found = re.findall(r"^(?:PASSED|FAILED|SKIPPED) .*$", text, re.MULTILINE)
    return sorted(line for line in found if not without or without not in line)


def failure(text):
    """Return the whole failure of one test."""
    found = re.search(r"(?s)    def test_fails.*?test_it.py:\d+: ValueError", text)[0]
    return re.sub(r"worker \d is|for [\d.]+ ..\.|The calls of .*|All 2 .*", "", found)


def records(place, *, without=""):
    """Return what the sink was given; how many calls a skip lets end is a matter of luck."""
    lines = (
        place.joinpath("records.txt").read_text().replace("test_skips 2 1 1", "test_skips 2 N 1")
    )
    lines = lines.replace("test_skips 2 2 2", "test_skips 2 N 1")
    return "".join(line for line in lines.splitlines(True) if not without or without not in line)


def test_results_and_texts_are_the_same(alone, spread):
    """Each test ends as it does alone, with the same failure; but for one that crashes."""
    text, _, crash = spread
    without = "test_crashes" if crash else ""

    assert summary(text, without=without) == summary(alone[0], without=without)
    assert failure(text) == failure(alone[0])
    assert "INTERNALERROR" not in text


def test_numbers_are_the_same(alone, spread):
    """Every process has the session's seed."""
    drew = sorted(re.findall("(?:DREW|SEED) .*", alone[0]))

    assert len(drew) == 5
    assert sorted(re.findall("(?:DREW|SEED) .*", spread[0])) == drew


def test_records_reach_the_controller_once(alone, spread):
    """Of all processes, also when one of them crashes later."""
    assert records(alone[1]) == RECORDS
    assert records(spread[1]) == (
        RECORDS.replace("test_crashes 5 5 0\n", "") if spread[2] else RECORDS
    )
    assert Path(spread[1], "records.txt").read_text().count("test_fails") == 1
