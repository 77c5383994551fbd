"""Workers that pass work and news to each other; the mutant forgets one part of the protocol."""

import queue
import time
from threading import Barrier, BoundedSemaphore, Condition, Event, Lock, Semaphore

from pytest_concurrency.explore.failures import Deadlock

from . import NoLock, correct


class NoEvent:
    """An event that nobody waits for."""

    def set(self):
        return None

    def wait(self, timeout=None):
        return timeout is None


class NoBarrier:
    """A barrier that holds nobody."""

    def __init__(self, *_, **__):
        """Take what a barrier takes."""

    def wait(self):
        return 0


@correct("event", sound=Event, broken=NoEvent)
def value_behind_an_event(run, make):
    ready, state, seen = make(), {}, []

    def load():
        state["answer"] = 42
        ready.set()

    def read():
        ready.wait()
        seen.append(state.get("answer"))

    run(load, read)
    assert seen == [42]


@correct("event", sound=1, broken=None, fails=Deadlock)
def timed_wait_for_an_event_that_never_comes(run, patience):
    ready, seen = Event(), []
    run(lambda: seen.append(ready.wait(patience)), lambda: seen.append(ready.wait(patience)))
    assert seen == [False, False]


def _while_empty(box, changed):
    while not box:
        changed.wait()


def _if_empty(box, changed):
    if not box:
        changed.wait()


def _wait_for(box, changed):
    changed.wait_for(lambda: box)


def _put_and_take(run, wait):
    changed, box, got = Condition(), [], []

    def put(item):
        with changed:
            box.append(item)
            changed.notify_all()

    def take():
        with changed:
            wait(box, changed)
            got.append(box.pop())

    run(take, take, lambda: (put("a"), put("b")))
    assert sorted(got) == ["a", "b"]


@correct("condition", sound=_while_empty, broken=_if_empty, fails=IndexError)
def while_around_a_wait(run, wait):
    _put_and_take(run, wait)


@correct("condition", sound=_wait_for, broken=_if_empty, fails=IndexError)
def wait_for_a_predicate(run, wait):
    _put_and_take(run, wait)


@correct("condition", sound=Condition.notify_all, broken=Condition.notify, fails=Deadlock)
def every_waiter_is_told(run, tell):
    changed, state = Condition(), {"open": False}

    def wait():
        with changed:
            while not state["open"]:
                changed.wait()

    def open_up():
        with changed:
            state["open"] = True
            tell(changed)

    run(wait, wait, open_up)


def _check_inside(state, changed):
    with changed:
        while not state["ready"]:
            changed.wait()


def _check_outside(state, changed):
    if not state["ready"]:
        with changed:
            changed.wait()


@correct("condition", sound=_check_inside, broken=_check_outside, fails=Deadlock)
def checked_under_the_condition(run, check):
    changed, state = Condition(), {"ready": False}

    def wait():
        check(state, changed)

    def tell():
        with changed:
            state["ready"] = True
            changed.notify()

    run(wait, tell)


@correct("condition", sound=5.0, broken=None, fails=Deadlock)
def timed_wait_survives_a_missed_notification(run, patience):
    changed, state = Condition(), {"ready": False}

    def wait():
        if not state["ready"]:
            with changed:
                changed.wait(patience)

    def tell():
        state["ready"] = True
        with changed:
            changed.notify()

    run(wait, tell)
    assert state["ready"]


@correct("barrier", sound=Barrier, broken=NoBarrier)
def two_phases_behind_a_barrier(run, make):
    barrier, row, sums = make(2), [0, 0], []

    def work(place):
        row[place] = 1
        barrier.wait()
        sums.append(row[0] + row[1])

    run(lambda: work(0), lambda: work(1))
    assert sums == [2, 2]


@correct("barrier", sound=2, broken=3, fails=Deadlock)
def barrier_used_twice(run, parties):
    barrier = Barrier(parties)

    def work():
        barrier.wait()
        barrier.wait()

    run(work, work)
    assert barrier.n_waiting == 0


@correct("barrier")
def barrier_action_runs_once(run):
    log = []
    barrier = Barrier(2, action=lambda: log.append("all here"))
    run(barrier.wait, barrier.wait)
    assert log == ["all here"]


@correct("semaphore", sound=Semaphore, broken=NoLock)
def at_most_one_in_the_room(run, make):
    slots, state = make(1), {"inside": 0, "most": 0}

    def enter():
        with slots:
            state["inside"] += 1
            state["most"] = max(state["most"], state["inside"])
            state["inside"] -= 1

    run(enter, enter)
    assert state["most"] == 1


@correct("semaphore", sound=BoundedSemaphore, broken=NoLock, budget=20_000, complete=False)
def at_most_two_of_three(run, make):
    slots, guard = make(2), Lock()
    state = {"inside": 0, "most": 0}

    def enter():
        with slots:
            with guard:
                state["inside"] += 1
                state["most"] = max(state["most"], state["inside"])
            with guard:
                state["inside"] -= 1

    run(enter, enter, enter)
    assert state["most"] <= 2


@correct("semaphore", sound=0, broken=1)
def semaphore_as_a_signal(run, start):
    signal, state, seen = Semaphore(start), {}, []

    def produce():
        state["item"] = "a"
        signal.release()

    def consume():
        signal.acquire()
        seen.append(state.get("item"))

    run(produce, consume)
    assert seen == ["a"]


def _get_or_give_up(jobs):
    try:
        jobs.get_nowait()
    except queue.Empty:
        return


def _get_if_not_empty(jobs):
    if not jobs.empty():
        jobs.get_nowait()


@correct("queue", sound=_get_or_give_up, broken=_get_if_not_empty, fails=queue.Empty)
def get_is_tried(run, get):
    jobs = queue.Queue()
    jobs.put("a")
    run(lambda: get(jobs), lambda: get(jobs))
    assert jobs.empty()


@correct("queue", sound=2, broken=1, fails=Deadlock)
def a_sentinel_for_each_consumer(run, sentinels):
    jobs = queue.Queue()

    def consume():
        while jobs.get() is not None:
            pass

    def stop():
        for _ in range(sentinels):
            jobs.put(None)

    run(consume, consume, stop)


@correct("queue")
def bounded_queue_of_one(run):
    jobs, got = queue.Queue(1), []

    def produce():
        for item in range(3):
            jobs.put(item)

    def consume():
        got.extend(jobs.get() for _ in range(3))

    run(produce, consume)
    assert got == [0, 1, 2]


@correct("queue", sound=True, broken=False)
def join_waits_for_task_done(run, in_order):
    jobs, results = queue.Queue(), []
    jobs.put(3)

    def consume():
        job = jobs.get()
        if in_order:
            results.append(job * 2)
        jobs.task_done()
        if not in_order:
            results.append(job * 2)

    def wait():
        jobs.join()
        assert results == [6]

    run(consume, wait)


@correct("queue", sound=queue.Queue, broken=queue.LifoQueue)
def first_in_first_out(run, make):
    jobs, got = make(), []

    def produce():
        jobs.put(1)
        jobs.put(2)

    run(produce, lambda: got.extend([jobs.get(), jobs.get()]))
    assert got == [1, 2]


@correct("queue", sound=queue.SimpleQueue, broken=queue.LifoQueue)
def simple_queue_keeps_the_order(run, make):
    jobs, got = make(), []

    def produce():
        jobs.put(1)
        jobs.put(2)

    run(produce, lambda: got.extend([jobs.get(), jobs.get()]))
    assert got == [1, 2]


@correct("queue", sound=queue.PriorityQueue, broken=queue.Queue)
def most_urgent_first(run, make):
    jobs, full, got = make(), Event(), []

    def produce():
        jobs.put(2)
        jobs.put(1)
        full.set()

    def consume():
        full.wait()
        got.extend([jobs.get(), jobs.get()])

    run(produce, consume)
    assert got == [1, 2]


@correct("queue", sound=queue.LifoQueue, broken=queue.Queue)
def latest_first(run, make):
    jobs, full, got = make(), Event(), []

    def produce():
        jobs.put(1)
        jobs.put(2)
        full.set()

    def consume():
        full.wait()
        got.extend([jobs.get(), jobs.get()])

    run(produce, consume)
    assert got == [2, 1]


@correct("time", sound=5, broken=1, fails=queue.Empty)
def time_out_longer_than_the_producer(run, patience):
    jobs = queue.Queue()

    def produce():
        time.sleep(3)
        jobs.put("a")

    run(produce, lambda: jobs.get(timeout=patience))
    assert jobs.empty()


@correct("time")
def polling_with_sleep(run):
    """The clock is virtual: it moves when nobody can run, so polling ends."""
    state, seen = {"ready": False}, []

    def poll():
        while not state["ready"]:
            time.sleep(0.01)
        seen.append(state["value"])

    def publish():
        state["value"] = 42
        state["ready"] = True

    run(poll, publish)
    assert seen == [42]


@correct("time", sound=2.0, broken=0.5)
def deadline_by_the_monotonic_clock(run, limit):
    late, done = [], Event()

    def work():
        time.sleep(1)
        done.set()

    def watch():
        end = time.monotonic() + limit
        while not done.is_set():
            if time.monotonic() >= end:
                late.append(1)
                return
            time.sleep(0.25)

    run(work, watch)
    assert late == []


class ReadWriteLock:
    """Many readers or one writer."""

    def __init__(self, *, lets_in_writers=False):
        self.changed = Condition()
        self.readers = 0
        self.lets_in_writers = lets_in_writers

    def read(self, function):
        with self.changed:
            self.readers += 1
        try:
            function()
        finally:
            with self.changed:
                self.readers -= 1
                self.changed.notify_all()

    def write(self, function):
        with self.changed:
            while self.readers and not self.lets_in_writers:
                self.changed.wait()
            function()


@correct("readers and writers", sound=False, broken=True)
def readers_keep_the_writer_out(run, careless):
    lock, state, seen = ReadWriteLock(lets_in_writers=careless), {"x": 0, "y": 0}, []

    def move():
        state["x"] = 1
        state["y"] = 1

    run(
        lambda: lock.write(move),
        lambda: lock.read(lambda: seen.append((state["x"], state["y"]))),
    )
    assert seen in ([(0, 0)], [(1, 1)])
