# ruff: noqa: PLW0108 - whose frame a call is in matters here
"""What a worker waits for and who holds it, read from real frames of threads that wait."""

from __future__ import annotations

import queue
import threading
from collections import ChainMap
from concurrent.futures import Future

import pytest

from pytest_concurrency.run.stack import all_frames
from pytest_concurrency.run.waits import find_holder, find_wait, is_held

GLOBAL_LOCK = threading.Lock()
GLOBAL_LOCK.acquire()


class Swaps:
    """Waits in all the ways a class can."""

    table = threading.Lock()
    looked = 0

    def __init__(self):
        self._lock = threading.Lock()
        self.condition = threading.Condition()
        self.locks = {"a": threading.Lock(), 3: threading.Lock()}
        self.inner = Slotted()

    def by_with(self):
        with self._lock:
            pass

    def by_acquire(self):
        self._lock.acquire()

    def by_timeout(self):
        self._lock.acquire(timeout=60)

    def by_item(self):
        with self.locks["a"]:
            pass

    def by_key(self):
        key = 3
        with self.locks[key]:
            pass

    def by_path(self):
        with self.inner.lock:
            pass

    def by_wait_for(self):
        with self.condition:
            self.condition.wait_for(lambda: False, 60)

    @classmethod
    def by_class(cls):
        with cls.table:
            pass

    @property
    def locked(self):
        type(self).looked += 1
        return self._lock

    def by_property(self):
        with self.locked:
            pass


class Slotted:
    __slots__ = ("lock",)

    def __init__(self):
        self.lock = threading.Lock()


@pytest.fixture
def waiting():
    """Return what runs a function in a thread until it waits, and tells what it waits for."""
    cleanup = []

    def wait_in(function, release, *, arguments=()):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        cleanup.append((thread, release))
        pause, seen, same = threading.Event(), None, 0
        while same < 30:
            frames = all_frames(thread.ident)
            now = [(id(frame), frame.f_lasti) for frame in frames]
            same = same + 1 if now and now == seen else 0
            found = find_wait(frames) if same else None
            if found is not None:
                return found
            seen = now
            pause.wait(0.001)
        return None

    yield wait_in
    for thread, release in cleanup:
        release()
        thread.join(5)
        assert not thread.is_alive()


METHODS = {
    "by_with": ("Swaps._lock", lambda swaps: swaps._lock),
    "by_acquire": ("Swaps._lock", lambda swaps: swaps._lock),
    "by_timeout": ("Swaps._lock", lambda swaps: swaps._lock),
    "by_item": ("Swaps.locks['a']", lambda swaps: swaps.locks["a"]),
    "by_key": ("Swaps.locks[key]", lambda swaps: swaps.locks[3]),
    "by_path": ("Swaps.inner.lock", lambda swaps: swaps.inner.lock),
    "by_class": ("Swaps.table", lambda swaps: swaps.table),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_lock_of_an_object_is_named_after_its_class(waiting, method):
    """However a lock is reached, it is found, and named as the code calls it."""
    name, find = METHODS[method]
    swaps = Swaps()
    lock = find(swaps)
    lock.acquire()

    wait = waiting(getattr(swaps, method), lock.release)

    assert (wait.name, wait.thing) == (name, lock)
    assert is_held(wait)


def test_a_condition_is_found(waiting):
    """A condition that nobody notifies, also under ``wait_for``."""
    swaps = Swaps()
    done = []

    def wait_for_it():
        with swaps.condition:
            swaps.condition.wait_for(lambda: done, 60)

    def release():
        done.append(True)
        with swaps.condition:
            swaps.condition.notify_all()

    wait = waiting(wait_for_it, release)

    assert (wait.name, wait.thing) == ("swaps.condition", swaps.condition)


def test_a_property_is_never_run(waiting):
    """Nothing of the user's runs while a hang is examined: such a lock stays unnamed."""
    swaps = Swaps()
    swaps._lock.acquire()
    Swaps.looked = 0

    assert waiting(swaps.by_property, swaps._lock.release) is None
    assert Swaps.looked == 1  # the worker's own


def test_a_global_is_found(waiting):
    """A lock of the module is named as it is."""

    def wait_for_it():
        GLOBAL_LOCK.acquire()

    wait = waiting(wait_for_it, GLOBAL_LOCK.release)

    assert (wait.name, wait.thing) == ("GLOBAL_LOCK", GLOBAL_LOCK)


def test_an_event_a_queue_a_thread_a_future_are_found(waiting):
    """Everything of Python's own that one can wait for."""
    event, jobs, future, stop = threading.Event(), queue.Queue(), Future(), threading.Event()
    full = queue.Queue(maxsize=1)
    full.put(1)
    thread = threading.Thread(target=stop.wait, daemon=True)
    thread.start()

    waits = [
        waiting(lambda: event.wait(60), event.set),
        waiting(lambda: jobs.get(), lambda: jobs.put(1)),
        waiting(lambda: full.put(2), full.get),
        waiting(lambda: future.result(60), lambda: future.set_result(1)),
        waiting(lambda: thread.join(), stop.set),
    ]

    assert [wait.name for wait in waits] == ["event", "jobs", "full", "future", "thread"]
    assert [wait.thing for wait in waits] == [event, jobs, full, future, thread]
    assert [is_held(wait) for wait in waits] == [False] * 5


def test_an_rlock_knows_its_owner(waiting):
    """The thread that owns a re-entrant lock is found by its identifier."""
    lock = threading.RLock()
    lock.acquire()
    wait = waiting(lambda: lock.acquire(), lock.release)
    others = {"worker 1": (1, []), "the test itself": (threading.get_ident(), [])}

    assert find_holder(wait, others) == "the test itself"
    assert find_holder(wait, {"worker 1": (1, [])}) is None
    assert is_held(wait)


def hold_by_with(lock, taken, let_go):
    """Hold a lock inside of ``with``."""
    with lock:
        taken.set()
        let_go.wait(60)


def hold_by_acquire(lock, taken, let_go):
    """Hold a lock that no ``with`` shows."""
    lock.acquire()
    taken.set()
    let_go.wait(60)
    lock.release()


@pytest.mark.parametrize(("hold", "holder"), [(hold_by_with, "worker 5"), (hold_by_acquire, None)])
def test_the_holder_is_who_is_inside_with(waiting, hold, holder):
    """A plain lock does not know its owner; the code does, if it says ``with``."""
    lock, taken, let_go = threading.Lock(), threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(lock, taken, let_go), daemon=True)
    thread.start()
    taken.wait(5)

    wait = waiting(lambda: lock.acquire(), let_go.set)
    others = {"worker 3": (1, []), "worker 5": (thread.ident, all_frames(thread.ident))}

    assert find_holder(wait, others) == holder
    thread.join(0)


def test_another_lock_of_the_same_name_is_not_the_one(waiting):
    """Who is inside ``with lock`` for another lock holds nothing here."""
    lock, other = threading.Lock(), threading.Lock()
    taken, let_go = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold_by_with, args=(other, taken, let_go), daemon=True)
    thread.start()
    taken.wait(5)
    lock.acquire()

    wait = waiting(lambda: lock.acquire(), lock.release)

    assert find_holder(wait, {"worker 5": (thread.ident, all_frames(thread.ident))}) is None
    let_go.set()
    thread.join(5)


def test_code_without_source_waits_for_nothing_known(waiting):
    """Where no source can be read, there is nothing to name."""
    lock = threading.Lock()
    lock.acquire()
    scope = {"lock": lock}
    exec(compile("def wait():\n    lock.acquire()", "<made up>", "exec"), scope)  # noqa: S102

    assert waiting(scope["wait"], lock.release) is None


def test_lookups_never_run_code_of_the_users(waiting):
    """Only plain containers are indexed; an object's own ``__getitem__`` is left alone."""
    lock = threading.Lock()
    lock.acquire()
    locks = ChainMap({"a": lock})

    assert waiting(lambda: locks["a"].acquire(), lock.release) is None


def test_plain_values_are_no_waits():
    """Somebody busy with numbers waits for nothing."""
    frame = next(iter(all_frames(threading.get_ident())))

    assert find_wait([frame]) is None
    assert find_wait([]) is None
