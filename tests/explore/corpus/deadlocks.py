"""Workers that wait for each other, or for themselves."""

import threading
from threading import Lock, RLock, Semaphore

from pytest_concurrency.explore.failures import Deadlock

from . import buggy

_LEFT = threading.Lock()
_RIGHT = threading.Lock()


def _take(*locks):
    def in_order():
        for lock in locks:
            lock.acquire()
        for lock in locks:
            lock.release()

    return in_order


@buggy("lock-order deadlock", fails=Deadlock, says="Deadlock among 2 workers", preemptions=1)
def two_locks(run):
    first, second = threading.Lock(), threading.Lock()
    run(_take(first, second), _take(second, first))


@buggy("lock-order deadlock", fails=Deadlock, says="Deadlock among 2 workers", preemptions=1)
def two_locks_in_with_statements(run):
    first, second = Lock(), Lock()

    def debit():
        with first, second:
            pass

    def credit():
        with second, first:
            pass

    run(debit, credit)


@buggy("lock-order deadlock", fails=Deadlock, says="Deadlock among 2 workers", preemptions=1)
def two_locks_of_the_module(run):
    def debit():
        with _LEFT, _RIGHT:
            pass

    def credit():
        with _RIGHT, _LEFT:
            pass

    run(debit, credit)


@buggy("lock-order deadlock", fails=Deadlock, says="Deadlock among 2 workers", preemptions=1)
def two_rlocks(run):
    first, second = RLock(), RLock()
    run(_take(first, first, second), _take(second, first))


@buggy("lock-order deadlock", fails=Deadlock, says="Deadlock among 3 workers", preemptions=2)
def three_locks(run):
    first, second, third = Lock(), Lock(), Lock()
    run(_take(first, second), _take(second, third), _take(third, first))


@buggy("lock-order deadlock", fails=Deadlock, says="2 workers wait for ever", preemptions=1)
def philosophers_with_semaphores(run):
    left, right = Semaphore(), Semaphore()
    run(_take(left, right), _take(right, left))


class Account:
    """Transfers lock the giver first."""

    def __init__(self, balance):
        self.lock = Lock()
        self.balance = balance

    def give(self, other, amount):
        with self.lock:
            self.balance -= amount
            with other.lock:
                other.balance += amount


@buggy("lock-order deadlock", fails=Deadlock, says="Deadlock among 2 workers", preemptions=1)
def transfers_both_ways(run):
    ann, bob = Account(10), Account(10)
    run(lambda: ann.give(bob, 1), lambda: bob.give(ann, 2))


@buggy("self-deadlock", fails=Deadlock)
def lock_taken_again_by_its_holder(run):
    lock, log = Lock(), []

    def note():
        with lock:
            log.append("noted")

    def note_twice():
        with lock:
            note()

    run(note_twice, note)


@buggy("deadlock", fails=Deadlock, preemptions=1)
def lock_never_released_on_error(run):
    lock = Lock()
    state = {"ready": False}

    def work():
        lock.acquire()
        if not state["ready"]:
            return
        lock.release()

    def prepare():
        with lock:
            state["ready"] = True

    run(prepare, work, prepare)


@buggy("deadlock", fails=Deadlock)
def join_under_the_lock_the_worker_needs(run):
    lock, done = Lock(), threading.Event()

    def parent():
        with lock:
            done.wait()

    def child():
        with lock:
            done.set()

    run(parent, child)
