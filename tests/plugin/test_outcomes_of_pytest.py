"""What ends a test in the main thread ends it from a worker: skip, fail, xfail, exit, warnings."""

from __future__ import annotations

import subprocess
import sys

import pytest

SUITE = """
import os, sys, warnings
import pytest

@pytest.mark.parametrize("on,how", [
    ("threads", "skip"), ("threads", "fail"), ("threads", "xfail"), ("threads", "importorskip"),
    ("threads", "exit"), ("processes", "skip"), ("processes", "exit"),
])
def test_end(concurrent_runner, how, on):
    concurrent_runner({"skip": skip, "fail": fail, "xfail": xfail, "importorskip": missing,
                       "exit": leave}[how], workers=2 if on == "threads" else 1, on=on)

def skip():
    pytest.skip("no seats")

def fail():
    pytest.fail("no way")

def xfail():
    pytest.xfail("known")

def missing():
    pytest.importorskip("nowhere_at_all")

def leave():
    sys.exit(3)

@pytest.mark.concurrent(workers=2)
def test_marked():
    pytest.skip("no seats")

@pytest.mark.concurrent(workers=2)
@pytest.mark.xfail(strict=True, raises=KeyError)
def test_expected():
    raise KeyError

async def test_tasks():
    pytest.skip("no seats")

def test_task(concurrent_runner):
    concurrent_runner(test_tasks, workers=2)

def warn():
    warnings.warn("old", DeprecationWarning)

def test_warns(concurrent_runner, recwarn):
    for on in ("threads", "processes"):
        concurrent_runner(warn, workers=1, on=on).raise_errors()
    assert [str(one.message) for one in recwarn] == ["old", "old"]

@pytest.mark.filterwarnings("error")
def test_strict(concurrent_runner):
    outcome = concurrent_runner(warn, workers=1)
    assert outcome.error_tally() == {"DeprecationWarning: old": 1}
"""


def test_a_worker_ends_its_test_as_the_main_thread_does(suite):
    """Skips are skips, with their reason and place; failures are failures; xfails are xfails."""
    ran = suite(SUITE, "-rsxf", "-k", "not test_tasks")

    assert ran.outcomes == {
        "skipped": 5,
        "failed": 3,
        "xfailed": 2,
        "passed": 2,
        "deselected": 1,
    }
    assert "SKIPPED [1] test_it.py:13: no seats" in ran.text
    assert "could not import 'nowhere_at_all'" in ran.text
    assert "XFAIL test_it.py::test_end[threads-xfail] - known" in ran.text
    assert "FAILED test_it.py::test_end[threads-fail] - Failed: no way" in ran.text
    assert "FAILED test_it.py::test_end[threads-exit] - SystemExit: 3" in ran.text
    assert "FAILED test_it.py::test_end[processes-exit] - SystemExit: 3" in ran.text


INTERRUPTED = """
import os, signal, threading
import pytest

def forever():
    os.write(1, b"inside\\n")
    while True:
        pass

def idle():
    os.write(1, b"inside\\n")
    import time
    time.sleep(60)

async def aforever():
    import asyncio
    os.write(1, b"inside\\n")
    await asyncio.sleep(60)

@pytest.mark.parametrize("call,on", [(forever, "threads"), (idle, "processes"), (aforever, "tasks")])
def test_hangs(concurrent_runner, call, on):
    concurrent_runner(call, workers=1, on=on, timeout=50)

def test_never_runs():
    pass
"""


def test_ctrl_c_ends_the_session(pytester, environment, ctrl_c):
    """A real signal: the workers are ended, the session says so and leaves with its own code."""
    pytester.makepyfile(test_it=INTERRUPTED)
    environment.pop("PYTHONUNBUFFERED", None)  # what a worker prints is seen without it
    command = [sys.executable, "-m", "pytest", "-p", "concurrency-slo", "-s", "-k"]
    sessions = [
        subprocess.Popen(
            [*command, f"{on} or never_runs"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for on in ("threads", "processes", "tasks")
    ]
    for ran in sessions:
        with ran:
            while "inside" not in ran.stdout.readline():
                assert ran.poll() is None
            ran.send_signal(ctrl_c)
            text, _ = ran.communicate(timeout=20)

        assert ran.returncode == pytest.ExitCode.INTERRUPTED
        assert "KeyboardInterrupt" in text
        assert "passed" not in text
