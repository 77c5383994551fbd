"""Whoever runs alone runs alone, nobody starves, and the dead hold nothing."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import types

import pytest

from pytest_concurrency.slo import exclusive
from pytest_concurrency.slo.exclusive import Exclusive


def visit(directory, ways, spans):
    """Enter once for each way, and note when inside."""
    lock = Exclusive(directory)
    for way in ways:
        with getattr(lock, way)() as waited:
            began = time.monotonic()
            for _ in range(2_000):
                pass
            spans.append((way, began, time.monotonic(), waited))


def overlaps(spans):
    """Return the visits alone during which somebody else was inside."""
    return [
        (a, b)
        for i, a in enumerate(spans)
        for j, b in enumerate(spans)
        if i != j and a[0] == "alone" and a[1] < b[2] and b[1] < a[2]
    ]


def test_eight_workers_never_overlap_one_that_is_alone(tmp_path):
    """Among 200 visits of 8 workers, no visit alone overlaps any other, by their timestamps."""
    spans = []
    ways = (["shared"] * 4 + ["alone"]) * 5
    workers = [
        threading.Thread(target=visit, args=(tmp_path, ways, spans), daemon=True) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)

    assert len(spans) == 200
    assert overlaps(spans) == []
    assert all(waited >= 0 for *_, waited in spans)


def test_a_writer_is_not_overtaken(tmp_path):
    """While somebody waits to be alone, newcomers wait behind."""
    lock, order, inside = Exclusive(tmp_path), [], threading.Event()

    def alone():
        inside.set()
        with lock.alone():
            order.append("alone")

    def newcomer():
        with lock.shared():
            order.append("newcomer")

    with lock.shared():
        writer = threading.Thread(target=alone)
        writer.start()
        inside.wait(5)
        while _is_free(tmp_path / "gate"):
            pass
        reader = threading.Thread(target=newcomer)
        reader.start()
        assert order == []
    writer.join(5)
    reader.join(5)

    assert order == ["alone", "newcomer"]


def _is_free(path):
    fcntl = pytest.importorskip("fcntl")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def hold(directory, ready):
    """Hold the lock alone until killed."""
    with Exclusive(directory).alone():
        ready.set()
        threading.Event().wait(30)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_worker_holds_nothing(tmp_path):
    """A process that dies alone inside lets the others go on."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=hold, args=(tmp_path, ready))
    worker.start()
    assert ready.wait(20)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(20)

    with Exclusive(tmp_path).alone() as waited:
        assert waited < 10


def test_leaving_by_an_exception_frees_the_lock(tmp_path):
    """What is raised inside goes on, and the next one may enter."""
    lock = Exclusive(tmp_path)

    def fail():
        with lock.alone():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with lock.shared():
        pass


def test_without_flock_bytes_are_locked(tmp_path, monkeypatch):
    """Where files have only exclusive locks, readers take a byte each and a writer all of them."""
    held, taken = {}, []

    def locking(descriptor, mode, count):
        where = os.fstat(descriptor).st_ino
        first = os.lseek(descriptor, 0, os.SEEK_CUR)
        mine = {(where, byte) for byte in range(first, first + count)}
        if mode == "unlock":
            for byte in mine:
                del held[byte]
        elif mine & held.keys():
            raise OSError
        else:
            taken.append(count)
            held.update(dict.fromkeys(mine, descriptor))

    fake = types.SimpleNamespace(locking=locking, LK_NBLCK="lock", LK_UNLCK="unlock")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    naps = []
    monkeypatch.setattr(exclusive, "sleep", naps.append)
    lock = Exclusive(tmp_path)
    with lock.shared(), lock.shared():
        monkeypatch.setattr(exclusive, "sleep", _raise_interrupt)
        with pytest.raises(KeyboardInterrupt), lock.alone():
            pass
    with lock.alone():
        pass

    assert taken == [256, 1, 256, 1, 256, 256, 256]
    assert held == {}


def _raise_interrupt(_):
    raise KeyboardInterrupt
