"""What the tests of runs share: outcomes made by hand, and a look at what a test leaves behind."""

from __future__ import annotations

import contextlib
import gc
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from pytest_concurrency.run.outcome import Outcome
from pytest_concurrency.run.plan import Plan, Step
from pytest_concurrency.run.recording import Recording
from pytest_concurrency.run.settings import SURROUNDINGS
from pytest_concurrency.run.worker import Worker

MS = 1_000_000


def children():
    """Return the processes that this one has started and that have not been waited for."""
    found = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended since
            found.update(listed.read_text().split())
    return found


def descriptors():
    """Return the open file descriptors, and what each is."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        try:
            found[path.name] = str(path.readlink())
        except OSError:  # that of the listing itself
            continue
    return found


def litter():
    """Return the temporary directories that runs made for themselves."""
    return set(Path(tempfile.gettempdir()).glob("workers-*"))


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Return a place for temporary directories that no other session uses."""
    return str(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch, elsewhere):
    """Run as in a script: without the session's settings, and unseen by it."""
    monkeypatch.setattr(SURROUNDINGS, "provide", None)
    monkeypatch.setattr(tempfile, "tempdir", elsewhere)


@pytest.fixture(autouse=True)
def nothing_is_left(recwarn, nothing_around):
    """Every run ends without a thread, process, file or setting of its own left behind."""
    del nothing_around
    threads, files, rooms = set(threading.enumerate()), descriptors(), litter()
    processes, interval = children(), sys.getswitchinterval()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(2)
    assert set(threading.enumerate()) - threads == set()
    assert children() - processes == set()
    assert {name: what for name, what in descriptors().items() if name not in files} == {}
    if litter() - rooms:
        gc.collect()  # the outcome of a failed run is part of a cycle with its traceback
    assert litter() - rooms == set()
    assert sys.getswitchinterval() == interval
    assert [str(one.message) for one in recwarn] == []


def nothing():
    """Stand in for what workers call."""


@pytest.fixture
def make_outcome():
    """Return what makes an outcome of rows: worker, round, start and end in ms, value or error."""

    def make(*rows, workers=None, rounds=1, replay=""):
        number = workers or 1 + max((row[0] for row in rows), default=0)
        plan = Plan(steps=((Step(function=nothing),),) * number, rounds=rounds, is_async=False)
        recording = Recording(plan, [Worker(index=index, seed=1) for index in range(number)])
        for worker, round_, begun, ended, what in rows:
            failed = isinstance(what, BaseException)
            row = (worker, round_, round(begun * MS), round(ended * MS))
            recording.rows[worker].append((*row, *((None, what) if failed else (what, None))))
        return Outcome(recording, replay=replay)

    return make


@pytest.fixture
def raised():
    """Return what raises an error once, so that it has a traceback."""

    def raise_it(error):
        try:
            raise error
        except BaseException as caught:  # noqa: BLE001 - whatever it is
            return caught

    return raise_it
