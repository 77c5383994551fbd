"""The same program is explored in the same schedules each time."""

import os
import subprocess
import sys
import threading

from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings

from .corpus import programs

NAMES = ("a_lock_for_each_call", "executor_loses_an_update", "reader_takes_another_lock")


def plays(body):
    """Count the schedules up to the first failure or the bound, and all that are compared."""
    with CodeProgram(body, Settings()) as program:
        search = Search(program, Settings(), beyond=0)
        search.failure()
    return search.plays


def queue_of_one(run):
    changed, items, taken = threading.Condition(), [], []

    def put():
        with changed:
            items.append(1)
            changed.notify()

    def take():
        with changed:
            while not items:
                changed.wait()
            taken.append(items.pop())

    run(put, take, put)
    assert taken == [1]


def bodies():
    known = {program.name: program.body for program in programs("buggy")}
    return {name: known[name] for name in NAMES} | {"queue": queue_of_one}


def counts():
    return {name: plays(body) for name, body in bodies().items()}


def test_count_of_schedules_is_the_same_each_time():
    """What one play leaves in memory changes nothing in the next."""
    first = counts()

    assert [counts() for _ in range(19)] == [first] * 19


def test_count_of_schedules_is_the_same_in_another_process():
    """Neither where objects lie nor how texts are hashed decides what is played."""
    command = f"from {__name__} import counts; print(counts())"
    done = subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == str(counts())
