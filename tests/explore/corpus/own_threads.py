"""Code that makes its own threads, timers and pools, or trusts time, and gets it wrong."""

import threading
import time
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, wait
from queue import Empty, Queue
from threading import Event, Lock, Thread, Timer

from pytest_concurrency.explore.failures import Deadlock

from . import buggy


class Tally:
    """A counter whose increment is written out."""

    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        self.value = value + 1


@buggy("own threads", preemptions=1)
def threads_lose_an_update(_run):
    tally = Tally()
    threads = [threading.Thread(target=tally.increment) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.value == 2


@buggy("own threads", preemptions=1)
def threads_of_a_subclass(_run):
    tally = Tally()

    class Worker(Thread):
        def run(self):
            tally.increment()

    workers = [Worker(), Worker()]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert tally.value == 2


@buggy("own threads", preemptions=1)
def result_read_without_join(_run):
    tally = Tally()
    thread = Thread(target=tally.increment)
    thread.start()
    assert tally.value == 1
    thread.join()


@buggy("own threads", preemptions=1)
def alive_thread_taken_for_unfinished_work(_run):
    tally = Tally()
    thread = Thread(target=tally.increment)
    thread.start()
    value = tally.value
    alive = thread.is_alive()
    thread.join()
    assert alive or value == 1


@buggy("own threads", preemptions=1)
def worker_starts_a_thread(run):
    tally = Tally()

    def work():
        thread = Thread(target=tally.increment)
        thread.start()
        thread.join()

    run(work, tally.increment)
    assert tally.value == 2


@buggy("own threads", preemptions=1)
def body_races_with_its_thread(_run):
    tally = Tally()
    thread = Thread(target=tally.increment)
    thread.start()
    tally.increment()
    thread.join()
    assert tally.value == 2


@buggy("timer", preemptions=1)
def timer_races_with_its_maker(_run):
    tally = Tally()
    timer = Timer(5, tally.increment)
    timer.start()
    time.sleep(5)
    tally.increment()
    timer.join()
    assert tally.value == 2


@buggy("timer")
def timer_cancelled_too_late(run):
    fired = []
    timer = Timer(1, lambda: fired.append("reminder"))

    def remind():
        timer.start()

    def cancel():
        time.sleep(2)
        timer.cancel()

    run(remind, cancel)
    assert fired == []


@buggy("time-out")
def result_of_a_timed_acquire_ignored(run):
    lock, tally = Lock(), Tally()

    def slow():
        with lock:
            value = tally.value
            time.sleep(2)
            tally.value = value + 1

    def hasty():
        taken = lock.acquire(timeout=1)
        tally.increment()
        if taken:
            lock.release()

    run(slow, hasty)
    assert tally.value == 2


@buggy("time-out")
def result_of_a_timed_wait_ignored(run):
    ready, state, seen = Event(), {}, []

    def load():
        time.sleep(3)
        state["answer"] = 42
        ready.set()

    def read():
        ready.wait(timeout=1)
        seen.append(state.get("answer"))

    run(load, read)
    assert seen == [42]


@buggy("time-out", fails=Empty)
def queue_time_out_shorter_than_the_producer(run):
    jobs = Queue()

    def produce():
        time.sleep(3)
        jobs.put("a")

    run(produce, lambda: jobs.get(timeout=1))


@buggy("time")
def sleep_taken_for_synchronisation(run):
    state, seen = {}, []

    def load():
        time.sleep(0.1)
        state["answer"] = 42

    def read():
        time.sleep(0.1)
        seen.append(state.get("answer"))

    run(load, read)
    assert seen == [42]


@buggy("executor", preemptions=1)
def executor_loses_an_update(_run):
    tally = Tally()
    with ThreadPoolExecutor(2) as pool:
        pool.submit(tally.increment)
        pool.submit(tally.increment)
    assert tally.value == 2


@buggy("executor", preemptions=1)
def executor_map_loses_an_update(_run):
    tally = Tally()

    def add(amount):
        value = tally.value
        tally.value = value + amount

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, [1, 2]))
    assert tally.value == 3


@buggy("executor", preemptions=1)
def tasks_that_swap_workers(_run):
    """Both tasks run on one worker at first; a filter by worker would hide the race."""
    tally = Tally()
    pool = ThreadPoolExecutor(2)
    futures = [pool.submit(tally.increment), pool.submit(tally.increment)]
    wait(futures)
    pool.shutdown()
    assert tally.value == 2


@buggy("executor", preemptions=1)
def tasks_of_three_on_two_workers(_run):
    tally = Tally()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            pool.submit(tally.increment)
    assert tally.value == 3


@buggy("executor", fails=Deadlock)
def task_waits_for_a_task_behind_it(_run):
    with ThreadPoolExecutor(1) as pool:

        def outer():
            return pool.submit(int).result()

        pool.submit(outer).result()


@buggy("future", fails=InvalidStateError, preemptions=1)
def future_not_done_then_set(run):
    answer = Future()

    def reply():
        if not answer.done():
            answer.set_result(1)

    run(reply, reply)


@buggy("future", preemptions=1)
def callback_runs_in_the_other_worker(run):
    answer, log = Future(), []
    answer.add_done_callback(lambda _: log.append("answered"))

    def ask():
        answer.result()
        assert log == ["answered"]

    run(lambda: answer.set_result(1), ask)


@buggy("future", preemptions=1)
def cancelled_but_already_running(_run):
    log = []
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: log.append("ran"))
        if not future.running():
            future.cancel()
    assert log == []
