"""Waits that are told too early, too late, once too seldom, or that trust what woke them."""

import queue
import threading
from threading import Barrier, BoundedSemaphore, Condition, Event, Lock, Semaphore

from pytest_concurrency.explore.failures import Deadlock

from . import buggy


@buggy("missed notification", fails=Deadlock, preemptions=1)
def notified_before_waiting(run):
    changed = Condition()
    state = {"ready": False}

    def wait():
        if not state["ready"]:
            with changed:
                changed.wait()

    def tell():
        state["ready"] = True
        with changed:
            changed.notify()

    run(wait, tell)


@buggy("missed notification", fails=Deadlock, preemptions=1)
def notified_with_a_log_between(run):
    changed, log = Condition(), []
    state = {"ready": False}

    def wait():
        if not state["ready"]:
            log.append("waits")
            with changed:
                changed.wait()

    def tell():
        state["ready"] = True
        log.append("tells")
        with changed:
            changed.notify()

    run(wait, tell)


@buggy("missed notification", fails=Deadlock)
def one_notify_for_two_waiters(run):
    changed = Condition()
    state = {"open": False}

    def wait():
        with changed:
            while not state["open"]:
                changed.wait()

    def open_up():
        with changed:
            state["open"] = True
            changed.notify()

    run(wait, wait, open_up)


class Box:
    """A one-place buffer that checks with `if` where it must check with `while`."""

    def __init__(self):
        self.changed = Condition()
        self.items = []

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def take(self):
        with self.changed:
            if not self.items:
                self.changed.wait()
            return self.items.pop()


@buggy("if for while", fails=IndexError)
def if_around_a_wait(run):
    box = Box()
    run(box.take, box.take, lambda: box.put("a"), lambda: box.put("b"))


@buggy("if for while", fails=IndexError)
def if_around_a_wait_and_a_passer_by(run):
    box = Box()

    def passer_by():
        with box.changed:
            if box.items:
                box.items.pop()

    run(box.take, lambda: box.put("a"), passer_by)


@buggy("missed notification", fails=Deadlock, preemptions=1)
def event_cleared_by_the_wrong_worker(run):
    ready = Event()

    def tell():
        ready.set()

    def restart():
        ready.clear()

    run(tell, restart, ready.wait)


@buggy("missed notification", preemptions=1)
def event_set_before_the_value(run):
    ready, state, seen = Event(), {}, []

    def tell():
        ready.set()
        state["answer"] = 42

    def read():
        ready.wait()
        seen.append(state.get("answer"))

    run(tell, read)
    assert seen == [42]


@buggy("deadlock", fails=Deadlock)
def two_events_wait_for_each_other(run):
    left, right = Event(), Event()

    def first():
        left.wait()
        right.set()

    def second():
        right.wait()
        left.set()

    run(first, second)


@buggy("semaphore", preemptions=1)
def semaphore_one_too_large(run):
    slots = Semaphore(2)
    state = {"inside": 0, "most": 0}

    def enter():
        with slots:
            state["inside"] += 1
            state["most"] = max(state["most"], state["inside"])
            state["inside"] -= 1

    run(enter, enter)
    assert state["most"] == 1


@buggy("semaphore", fails=Deadlock, preemptions=1)
def semaphore_leaked_on_an_early_return(run):
    slots = Semaphore(1)
    state = {"stopped": False}

    def enter():
        slots.acquire()
        if state["stopped"]:
            return
        slots.release()

    def stop():
        state["stopped"] = True

    run(enter, enter, stop)


@buggy("semaphore", fails=ValueError, preemptions=1)
def bounded_semaphore_released_twice(run):
    slots = BoundedSemaphore(1)
    state = {"held": True}
    slots.acquire()

    def release():
        if state["held"]:
            slots.release()
            state["held"] = False

    run(release, release)


@buggy("barrier", fails=Deadlock)
def barrier_for_one_too_many(run):
    barrier = Barrier(3)
    run(barrier.wait, barrier.wait)


@buggy("barrier", preemptions=1)
def barrier_before_the_write(run):
    barrier, row, sums = Barrier(2), [0, 0], []

    def work(place):
        barrier.wait()
        row[place] = 1
        sums.append(sum(row))

    run(lambda: work(0), lambda: work(1))
    assert sums == [2, 2]


@buggy("queue", fails=queue.Empty, preemptions=1)
def queue_not_empty_then_get(run):
    jobs = queue.Queue()
    jobs.put("a")

    def work():
        if not jobs.empty():
            jobs.get_nowait()

    run(work, work)


@buggy("queue", fails=queue.Full, preemptions=1)
def queue_not_full_then_put(run):
    jobs = queue.Queue(1)

    def add():
        if not jobs.full():
            jobs.put_nowait("a")

    run(add, add)


@buggy("queue", fails=Deadlock, preemptions=1)
def simple_queue_not_empty_then_get(run):
    jobs = queue.SimpleQueue()
    jobs.put("a")

    def work():
        if not jobs.empty():
            jobs.get()

    run(work, work)


@buggy("queue", fails=Deadlock)
def one_sentinel_for_two_consumers(run):
    jobs = queue.Queue()

    def consume():
        while jobs.get() is not None:
            pass

    run(consume, consume, lambda: jobs.put(None))


@buggy("queue")
def lifo_queue_taken_for_fifo(run):
    jobs, done = queue.LifoQueue(), []

    def produce():
        jobs.put(1)
        jobs.put(2)

    def consume():
        done.append(jobs.get())
        done.append(jobs.get())

    run(produce, consume)
    assert done == [1, 2]


@buggy("queue", preemptions=1)
def priority_queue_read_too_early(run):
    jobs, done = queue.PriorityQueue(), []

    def produce():
        jobs.put(2)
        jobs.put(1)

    def consume():
        done.extend([jobs.get(), jobs.get()])

    run(produce, consume)
    assert done == [1, 2]


@buggy("queue", preemptions=1)
def results_read_before_task_done(run):
    jobs, results = queue.Queue(), []
    jobs.put(3)

    def consume():
        job = jobs.get()
        jobs.task_done()
        results.append(job * 2)

    def wait():
        jobs.join()
        assert results == [6]

    run(consume, wait)


@buggy("wrong lock", preemptions=1)
def a_lock_for_each_call(run):
    state = {"value": 0}

    def add():
        own = Lock()
        with own:
            state["value"] += 1

    run(add, add)
    assert state["value"] == 2


@buggy("wrong lock", preemptions=1)
def reader_takes_another_lock(run):
    writing, reading = threading.RLock(), threading.RLock()
    state, seen = {"low": 0, "high": 0}, []

    def widen():
        with writing:
            state["low"] -= 1
            state["high"] += 1

    def read():
        with reading:
            seen.append(state["high"] + state["low"])

    run(widen, read)
    assert seen == [0]


@buggy("wrong lock", preemptions=1)
def lock_released_between_check_and_act(run):
    lock, sold = Lock(), []
    stock = {"tickets": 1}

    def sell(person):
        with lock:
            left = stock["tickets"]
        if left:
            with lock:
                stock["tickets"] -= 1
                sold.append(person)

    run(lambda: sell("ann"), lambda: sell("bob"))
    assert len(sold) == 1
