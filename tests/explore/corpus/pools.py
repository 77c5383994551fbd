"""Threads, timers, pools and futures that the code under test makes itself, used rightly."""

import time
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from queue import Queue
from threading import Lock, Thread, Timer, current_thread

from . import NoLock, correct


class Tally:
    """A counter that is as safe as the lock that it is given."""

    def __init__(self, lock):
        self.lock = lock
        self.value = 0

    def add(self, amount=1):
        with self.lock:
            self.value += amount


def a_lock():
    return Lock()


@correct("own threads", sound=a_lock, broken=NoLock)
def threads_under_a_lock(_run, lock):
    tally = Tally(lock())
    threads = [Thread(target=tally.add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.value == 2


@correct("own threads", sound=a_lock, broken=NoLock)
def daemon_threads_with_arguments(_run, lock):
    tally = Tally(lock())
    threads = [Thread(target=tally.add, kwargs={"amount": n}, daemon=True) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.value == 3


@correct("own threads", sound=True, broken=False)
def result_read_after_join(_run, joins):
    result = []
    thread = Thread(target=lambda: result.append(42))
    thread.start()
    if joins:
        thread.join()
    seen = list(result)
    thread.join()
    assert seen == [42]


@correct("own threads", sound=a_lock, broken=NoLock)
def workers_that_start_threads(run, lock):
    tally = Tally(lock())

    def work():
        thread = Thread(target=tally.add)
        thread.start()
        thread.join()

    run(work, tally.add)
    assert tally.value == 2


@correct("own threads")
def joined_thread_is_not_alive(_run):
    log = []
    thread = Thread(target=lambda: log.append("ran"))
    assert not thread.is_alive()
    thread.start()
    log.append("started")
    thread.join()
    assert not thread.is_alive()
    assert sorted(log) == ["ran", "started"]


@correct("own threads")
def names_of_threads(_run):
    names = []
    threads = [Thread(target=lambda: names.append(current_thread().name), name=n) for n in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == ["a", "b"]


@correct("timer", sound=1, broken=3)
def timer_cancelled_in_time(run, wait_for):
    fired = []
    timer = Timer(2, lambda: fired.append("reminder"))
    timer.start()

    def cancel():
        time.sleep(wait_for)
        timer.cancel()

    run(cancel, lambda: time.sleep(4))
    timer.join()
    assert fired == []


@correct("timer")
def timer_fires_after_its_interval(_run):
    fired = []
    start = time.monotonic()
    timer = Timer(60, lambda: fired.append(time.monotonic() - start))
    timer.start()
    timer.join()
    assert fired[0] >= 60


@correct("executor", sound=a_lock, broken=NoLock, complete=False, budget=600)
def executor_under_a_lock(_run, lock):
    tally = Tally(lock())
    with ThreadPoolExecutor(2) as pool:
        pool.submit(tally.add)
        pool.submit(tally.add)
    assert tally.value == 2


@correct("executor", complete=False, budget=400)
def map_keeps_the_order(_run):
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda number: number * number, [1, 2, 3])) == [1, 4, 9]


@correct("executor", complete=False, budget=400)
def futures_as_they_complete(_run):
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(pow, 2, exponent) for exponent in (2, 3)]
        assert sorted(future.result() for future in as_completed(futures)) == [4, 8]


@correct("executor", sound=a_lock, broken=NoLock, complete=False, budget=400)
def tasks_of_three_on_two_workers_locked(_run, lock):
    tally = Tally(lock())
    pool = ThreadPoolExecutor(2)
    futures = [pool.submit(tally.add) for _ in range(3)]
    wait(futures)
    pool.shutdown()
    assert tally.value == 3


@correct("executor", sound=2, broken=1, fails=TimeoutError, complete=False, budget=400)
def task_waits_for_another_task(_run, size):
    with ThreadPoolExecutor(size) as pool:

        def outer():
            return pool.submit(int).result(timeout=5)

        assert pool.submit(outer).result() == 0


@correct("executor", complete=False, budget=400)
def executor_in_a_worker(run):
    totals = []

    def work():
        with ThreadPoolExecutor(1) as pool:
            totals.append(pool.submit(sum, [1, 2]).result())

    run(work, work)
    assert totals == [3, 3]


@correct("executor", complete=False, budget=400)
def error_of_a_task_reaches_its_future(_run):
    with ThreadPoolExecutor(2) as pool:
        future = pool.submit(int, "x")
        assert isinstance(future.exception(), ValueError)


def _set_or_lose(answer, value):
    with suppress(InvalidStateError):
        answer.set_result(value)


def _set_if_not_done(answer, value):
    if not answer.done():
        answer.set_result(value)


@correct("future", sound=_set_or_lose, broken=_set_if_not_done, fails=InvalidStateError)
def first_answer_counts(run, reply):
    answer = Future()
    run(lambda: reply(answer, 1), lambda: reply(answer, 2))
    assert answer.result() in (1, 2)


@correct("future")
def future_awaited_by_another_worker(run):
    answer, got = Future(), []
    run(lambda: answer.set_result(42), lambda: got.append(answer.result(timeout=5)))
    assert got == [42]


@correct("own threads", complete=False, budget=400)
def actor_with_a_mailbox(run):
    mailbox, state = Queue(), {"value": 0}

    def actor():
        while (amount := mailbox.get()) is not None:
            state["value"] += amount

    thread = Thread(target=actor)
    thread.start()
    run(lambda: mailbox.put(1), lambda: mailbox.put(2))
    mailbox.put(None)
    thread.join()
    assert state["value"] == 3


@correct("executor", complete=False, budget=1_000)
def sections_of_three_workers(run):
    tally = Tally(Lock())

    def work():
        for _ in range(3):
            tally.add()

    run(work, work, work)
    assert tally.value == 9
