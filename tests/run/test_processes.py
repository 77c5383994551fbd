# ruff: noqa: T201, EM101 - workers print and fail
"""Workers as processes: what they return, raise, print, log and warn; how they die and hang."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_concurrency import HangError, UsageError, WorkerDied, concurrent_runner
from pytest_concurrency.run import processes
from pytest_concurrency.run.child import LostValue, load_module
from pytest_concurrency.run.settings import SURROUNDINGS

TIMES = []


def run(call, **arguments):
    """Run a call in processes."""
    return concurrent_runner(call, on="processes", **{"workers": 2} | arguments)


def report(worker):
    """Return, print, log and warn: all that a call can tell."""
    TIMES.append(worker.round)
    print(f"out {worker.index} \u00e4")
    print(f"err {worker.index}", file=sys.stderr)
    logger = logging.getLogger("booking")
    logger.debug("unheard")
    logger.warning("seat %s", worker.index, extra={"seat": worker.index, "lock": threading.Lock()})
    try:
        raise KeyError("B")
    except KeyError:
        logger.exception("lost")
    warnings.warn(f"slow {worker.index}", UserWarning, stacklevel=1)
    (worker.tmp_path / "note").write_text(str(worker.round))
    return {
        "pid": os.getpid(),
        "times": list(TIMES),
        "drawn": worker.random.random(),
        "room": worker.tmp_path,
    }


class Taken(Exception):
    """An error with more than a text."""

    def __init__(self, seat):
        super().__init__(f"seat {seat} is taken")
        self.seat = seat

    def __reduce__(self):
        return Taken, (self.seat,)


class Stubborn(Exception):
    """An error that refuses to be sent."""

    def __reduce__(self):
        raise TypeError


class Fussy(UserWarning):
    """A warning that cannot be made of a text."""

    def __init__(self, one, two):
        super().__init__(one, two)


class Shy(UserWarning):
    """A warning that cannot be sent."""

    def __reduce__(self):
        raise TypeError


def misbehave(item):
    """Return or raise what is asked for."""
    if item == "error":
        raise Taken("B")
    if item == "stubborn":
        raise Stubborn("B")
    if item == "local":

        class Local(Exception):
            """An error whose class nobody else can find."""

        raise Local("B")
    if item == "lambda":
        return lambda: 1
    if item == "warning":
        warnings.warn(Fussy(1, 2), stacklevel=1)
        warnings.warn("soon", Shy, stacklevel=1)
    if item == "format":
        logging.getLogger("booking").warning("%s %s", 1)  # noqa: PLE1206 - the mistake
    return item


def fatal(item):
    """End as a program ends, or as a system ends it."""
    if item == "exit":
        sys.exit(3)
    if item == "leave":
        os._exit(3)
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "deaf":
        os.closerange(3, 100)
    time.sleep(60)


def hang(worker):
    """Hang in a way of one's own."""
    if worker.index == 0:
        return "done"
    if worker.index == 1:
        while True:
            print("x" * 1000)
    return time.sleep(60)


def flood():
    """Print more than a pipe holds, in letters of two bytes."""
    print("\u00e4" * 300_000)


@pytest.fixture(scope="module")
def told():
    """Return everything that one run of two workers in two rounds told."""
    stdout, stderr = io.StringIO(), io.StringIO()
    records, handler = [], logging.Handler()
    handler.emit = records.append
    logging.getLogger("booking").addHandler(handler)
    patch = pytest.MonkeyPatch()
    patch.setattr(SURROUNDINGS, "provide", None)
    patch.setattr(sys, "stdout", stdout)
    patch.setattr(sys, "stderr", stderr)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome = run(report, rounds=2, seed=7)
    finally:
        patch.undo()
        logging.getLogger("booking").removeHandler(handler)
    rooms = [sorted(path.iterdir()) for path in {value["room"] for value in outcome.values}]
    return {
        "outcome": outcome,
        "stdout": stdout.getvalue(),
        "stderr": stderr.getvalue(),
        "records": records,
        "warnings": caught,
        "rooms": rooms,
    }


def test_values_come_from_processes_of_their_own(told):
    """Each worker is one process, which makes all rounds and remembers them."""
    values = told["outcome"].raise_errors().values

    assert len({value["pid"] for value in values}) == 2
    assert os.getpid() not in {value["pid"] for value in values}
    assert [value["times"] for value in values] == [[0], [0, 1]] * 2


def test_random_numbers_are_those_of_threads(told):
    """The same seed draws the same numbers wherever a worker runs."""
    threads = concurrent_runner(lambda worker: worker.random.random(), workers=2, rounds=2, seed=7)

    assert [value["drawn"] for value in told["outcome"].values] == threads.values
    assert told["outcome"].replay == "--concurrency-seed=7"


def test_directories_are_each_workers_own(told):
    """A worker's directory is made where the run's are, and holds what it wrote."""
    assert [[path.name for path in room] for room in told["rooms"]] == [["note"], ["note"]]


def test_what_they_print_is_printed_here(told):
    """On the same stream, in full."""
    assert sorted(told["stdout"].splitlines()) == ["out 0 \u00e4"] * 2 + ["out 1 \u00e4"] * 2
    assert sorted(told["stderr"].splitlines()) == ["err 0"] * 2 + ["err 1"] * 2


def test_what_they_log_is_logged_here(told):
    """Records reach this process's handlers if its levels let them, with what can be sent."""
    first = next(record for record in told["records"] if record.getMessage() == "seat 1")
    lost = next(record for record in told["records"] if record.getMessage() == "lost")

    assert {record.getMessage() for record in told["records"]} == {"seat 0", "seat 1", "lost"}
    assert len(told["records"]) == 8
    assert (first.name, first.levelname, first.seat) == ("booking", "WARNING", 1)
    assert first.lock.startswith("<unlocked _thread.lock")
    assert lost.exc_text.endswith("KeyError: 'B'")


def test_what_they_warn_is_warned_here(told):
    """With category, file and line of the worker's code."""
    assert sorted(str(one.message) for one in told["warnings"]) == ["slow 0"] * 2 + ["slow 1"] * 2
    assert {(one.category, Path(one.filename).name) for one in told["warnings"]} == {
        (UserWarning, "test_processes.py")
    }


def test_errors_keep_their_type_and_tell_where_they_were_raised():
    """A note shows the traceback in the worker's process; what cannot be sent is told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = run(
            misbehave,
            workers=1,
            items=["error", "stubborn", "local", "lambda", "warning", "format", "plain"],
        )
    taken, stubborn, local, lost = outcome.errors

    assert (type(taken), taken.seat) == (Taken, "B")
    assert re.sub(r"line \d+", "line N", taken.__notes__[0]) == (
        "In the process of worker 0:\n"
        f'  File "{__file__}", line N, in misbehave\n'
        '    raise Taken("B")'
    )
    assert (type(stubborn), str(stubborn)) == (Stubborn, "B")
    assert (type(local), str(local)) == (LostValue, "Local: B")
    assert "in misbehave" in stubborn.__notes__[0]
    assert "in misbehave" in local.__notes__[0]
    assert re.sub(r"0x\w+", "0x", str(lost)) == (
        "worker 0 returned <function misbehave.<locals>.<lambda> at 0x>, "
        "which cannot be pickled. Return plain data."
    )
    assert outcome.values == ["warning", "format", "plain"]
    assert [repr(one.message) for one in caught] == ["Fussy(1, 2)", "UserWarning('Shy: soon')"]


def test_warnings_as_errors_are_errors_of_their_calls():
    """The filters of this process hold in the workers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = run(report, workers=1)

    assert outcome.error_tally() == {"UserWarning: slow 0": 1}


def death(item):
    """Return how a run ends whose second worker dies."""
    with pytest.raises(WorkerDied) as died:
        run(fatal, items=["wait", item])
    return re.sub(r"pid \d+", "pid N", str(died.value))


def test_a_killed_process_is_told_by_its_signal():
    """The signal, what may have sent it, and what happened to the others."""
    assert death("kill") == (
        "The process of worker 1 (pid N) was killed by SIGKILL after 0 finished calls.\n"
        "The system does that to processes that take too much memory.\n"
        "The others were stopped: worker 0."
    )


def test_a_process_that_leaves_is_told_by_its_code():
    """An exit past all of Python."""
    assert death("leave") == (
        "The process of worker 1 (pid N) exited with 3 after 0 finished calls.\n"
        "The others were stopped: worker 0."
    )


def test_a_process_that_closes_everything_is_ended(monkeypatch):
    """It lives, but nothing more will be heard of it."""
    monkeypatch.setattr(processes, "GRACE", 0.05)

    assert death("deaf").startswith(
        "The process of worker 1 (pid N) was killed by SIGKILL after 0 finished calls."
    )


def test_sys_exit_ends_the_run():
    """As it would in the main thread."""
    with pytest.raises(SystemExit) as exited:
        run(fatal, items=["exit", "exit"])

    assert exited.value.code == 3
    assert exited.value.__notes__[0].startswith("In the process of worker ")


def test_a_hang_shows_stacks_and_ends_who_prints_forever(monkeypatch):
    """The stack of each that has not ended; nobody outlives the deadline."""
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)

    with pytest.raises(HangError) as hung:
        run(hang, workers=3, timeout=1)
    text = re.sub(r"\S*test_processes.py:\d+", "test_processes.py:N", str(hung.value))

    assert text == (
        "2 of 3 workers did not end within 1 s:\n\n"
        '  worker 1  in hang  test_processes.py:N  print("x" * 1000)\n\n'
        "  worker 2  in hang  test_processes.py:N  return time.sleep(60)\n\n"
        "1 worker had ended: 1 value, no error. "
        "Its results are in the outcome attached to this failure.\n"
        "The limit is timeout=1 at test_processes.py:N."
    )
    assert hung.value.outcome.values == ["done"]
    assert printed.getvalue().startswith("xxx")


def test_the_deadline_begins_when_all_have_started():
    """Interpreters take longer to start than many a call may take."""
    assert run(misbehave, items=["plain"], timeout=0.3).values == ["plain"]


def test_a_process_that_does_not_get_started_is_told(monkeypatch):
    """Its start has a limit too."""
    monkeypatch.setattr(processes, "START_LIMIT", 0.001)

    with pytest.raises(HangError) as hung:
        run(report, timeout=0.001)

    assert str(hung.value).startswith(
        "2 of 2 workers did not end within 1 ms:\n\n  workers 0, 1  was still starting\n\n"
    )


def test_letters_are_not_torn(monkeypatch):
    """What is printed comes in parts, which end anywhere."""
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    run(flood, workers=1).raise_errors()

    assert printed.getvalue() == "\u00e4" * 300_000 + "\n"


def test_what_cannot_be_sent_is_refused():
    """Before anything is started: a nested function, an item."""
    with pytest.raises(UsageError) as refused:
        run(lambda: 1)
    text = re.sub(r"process: .*\. Define", "process: .... Define", str(refused.value))

    assert text == (
        "concurrent_runner(test_what_cannot_be_sent_is_refused.<locals>.<lambda>): "
        "it cannot be sent to another process: .... Define it at the top of its module "
        "and give it plain items, or use on='threads'."
    )
    with pytest.raises(UsageError, match=r"concurrent_runner\(misbehave\): it cannot be sent"):
        run(misbehave, items=[threading.Lock()])


def test_a_module_that_cannot_be_loaded_is_told(monkeypatch, tmp_path):
    """With the traceback of the process that could not."""
    path = tmp_path / "only_here.py"
    path.write_text("def call(): pass")
    spec = importlib.util.spec_from_file_location("only_here", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "only_here", module)
    spec.loader.exec_module(module)
    path.write_text("1 / 0")

    with pytest.raises(UsageError) as refused:
        run(module.call, workers=1)

    assert str(refused.value).startswith(
        "worker 0 cannot load its calls in a fresh process:\nTraceback (most recent call last):\n"
    )
    assert str(refused.value).endswith("ZeroDivisionError: division by zero\n")


def test_a_process_that_does_not_start_ends_the_run(monkeypatch):
    """Those that did are ended, and a smaller number is proposed."""
    popen, started = subprocess.Popen, []

    def start(*arguments, **more):
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(popen(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)

    with pytest.raises(UsageError) as refused:
        run(report, workers=9)

    assert str(refused.value) == (
        "concurrent_runner(workers=9): the system does not start the process of worker 2 "
        "([Errno 11] Resource temporarily unavailable). Use workers=1, or rounds=."
    )
    assert all(process.returncode is not None for process in started)


def test_an_interrupt_of_the_caller_ends_the_processes(monkeypatch):
    """Ctrl-C while the caller waits."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(processes.ProcessCrew, "_hear", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(fatal, items=["wait"])


def test_processes_need_posix(monkeypatch):
    """Elsewhere the run is refused before it starts."""
    monkeypatch.setattr(processes, "os", SimpleNamespace(name="nt"))

    with pytest.raises(UsageError) as refused:
        run(report)

    assert str(refused.value) == (
        "concurrent_runner(on='processes') needs POSIX. Use on='threads' here."
    )


SCRIPT = textwrap.dedent(
    """
    from pytest_concurrency import concurrent_runner

    def square(number):
        return number * number

    if __name__ == "__main__":
        print(concurrent_runner(square, items=[1, 2, 3], on="processes").values)
    """
)


def test_functions_of_a_script_are_found(tmp_path):
    """A script is loaded again by its workers, but not run again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.stdout, ran.stderr) == ("[1, 4, 9]\n", "")


def test_modules_are_loaded_by_name_or_from_their_file(tmp_path, monkeypatch):
    """A name that means another file here, or none, is loaded from the file it has there."""
    path = tmp_path / "json.py"
    path.write_text("WHO = 'mine'")
    monkeypatch.setitem(sys.modules, "json", sys.modules["json"])
    monkeypatch.setitem(sys.modules, "nowhere", None)
    monkeypatch.delitem(sys.modules, "nowhere")

    load_module("json", None)
    assert sys.modules["json"].dumps(1) == "1"
    load_module("json", str(path))
    assert sys.modules["json"].WHO == "mine"
    load_module("nowhere", str(path))
    assert sys.modules["nowhere"].WHO == "mine"
    with pytest.raises(ImportError):
        load_module("really_nowhere", None)
    with pytest.raises(ImportError, match=r"nowhere cannot be loaded from '/x'"):
        load_module("really_nowhere", "/x")
