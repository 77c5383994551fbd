"""Shared state under a lock. The mutant of each is the same program without the lock."""

# ruff: noqa: PLW0603 - a shared global is what some of these programs are about

import threading
from array import array
from collections import OrderedDict
from contextlib import contextmanager
from functools import cached_property, lru_cache, wraps
from threading import Condition, Lock, RLock, Semaphore

from . import NoLock, correct

_total = 0
_MODULE_LOCK = threading.Lock()


def a_lock():
    return Lock()


def an_rlock():
    return threading.RLock()


class Tally:
    """A counter that is as safe as the lock that it is given."""

    def __init__(self, lock):
        self.lock = lock
        self.value = 0

    def add(self):
        with self.lock:
            self.value += 1


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_counter(run, lock):
    tally = Tally(lock())
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_counter_of_three(run, lock):
    tally = Tally(lock())
    run(tally.add, tally.add, tally.add)
    assert tally.value == 3


@correct("lost update", sound=an_rlock, broken=NoLock)
def counter_under_an_rlock(run, lock):
    tally = Tally(lock())
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=Lock, broken=NoLock)
def counter_under_a_lock_named_before(run, lock):
    """`Lock` was looked up when this module was imported, before any stand-in."""
    tally = Tally(lock())
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=Condition, broken=NoLock)
def counter_under_a_condition(run, lock):
    tally = Tally(lock())
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=lambda: Semaphore(1), broken=lambda: Semaphore(2))
def counter_under_a_semaphore(run, lock):
    tally = Tally(lock())
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=lambda: threading.BoundedSemaphore(1), broken=NoLock)
def counter_under_a_bounded_semaphore(run, lock):
    tally = Tally(lock())
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=_MODULE_LOCK, broken=NoLock())
def counter_under_a_lock_of_the_module(run, lock):
    """The lock is a real one, made when the module was imported."""
    tally = Tally(lock)
    run(tally.add, tally.add)
    assert tally.value == 2


@correct("lost update", sound=threading.RLock(), broken=NoLock())
def counter_under_an_rlock_of_the_module(run, lock):
    tally = Tally(lock)

    def add_twice():
        with lock:
            tally.add()
            tally.add()

    run(add_twice, tally.add)
    assert tally.value == 3


@correct("lost update", sound=a_lock, broken=NoLock)
def acquire_and_release_by_hand(run, lock):
    guard, state = lock(), {"value": 0}

    def add():
        guard.acquire()
        try:
            state["value"] += 1
        finally:
            guard.release()

    run(add, add)
    assert state["value"] == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def lock_in_a_decorator(run, lock):
    guard, state = lock(), {"value": 0}

    def guarded(function):
        @wraps(function)
        def inside():
            with guard:
                return function()

        return inside

    @guarded
    def add():
        state["value"] += 1

    run(add, add)
    assert state["value"] == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def lock_in_a_context_manager(run, lock):
    guard, state = lock(), {"value": 0}

    @contextmanager
    def transaction():
        with guard:
            yield state

    def add():
        with transaction() as row:
            row["value"] += 1

    run(add, add)
    assert state["value"] == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_global(run, lock):
    global _total
    guard, _total = lock(), 0

    def add():
        global _total
        with guard:
            _total += 1

    run(add, add)
    assert _total == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_closure_cell(run, lock):
    guard, total = lock(), 0

    def add():
        nonlocal total
        with guard:
            total += 1

    run(add, add)
    assert total == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_array(run, lock):
    guard, cells = lock(), array("q", [0])

    def add():
        with guard:
            cells[0] += 1

    run(add, add)
    assert cells[0] == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_slots(run, lock):
    class Base:
        __slots__ = ("value",)

    class Child(Base):
        __slots__ = ("guard",)

        def add(self):
            with self.guard:
                self.value += 1

    child = Child()
    child.value, child.guard = 0, lock()
    run(child.add, child.add)
    assert child.value == 2


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_property(run, lock):
    class Account:
        guard = lock()
        kept = 0

        @property
        def balance(self):
            return self.kept

        @balance.setter
        def balance(self, amount):
            self.kept = amount

        def deposit(self):
            with self.guard:
                self.balance += 10

    account = Account()
    run(account.deposit, account.deposit)
    assert account.balance == 20


@correct("lost update", sound=a_lock, broken=NoLock)
def locked_instance_dict(run, lock):
    tally, guard = Tally(None), lock()

    def add():
        with guard:
            vars(tally)["value"] += 1
            tally.__dict__["value"] += 1

    run(add, add)
    assert tally.value == 4


@correct("lost update", sound=an_rlock, broken=NoLock)
def rlock_taken_again(run, lock):
    guard, state = lock(), {"value": 0}

    def add():
        with guard:
            state["value"] += 1

    def add_twice():
        with guard:
            add()
            add()

    run(add_twice, add)
    assert state["value"] == 3


@correct("check-then-act", sound=a_lock, broken=NoLock)
def locked_booking(run, lock):
    guard, bookings = lock(), []

    def book(person):
        with guard:
            if not bookings:
                bookings.append(person)

    run(lambda: book("ann"), lambda: book("bob"))
    assert len(bookings) == 1


@correct("check-then-act", sound=a_lock, broken=NoLock)
def locked_lru(run, lock):
    guard, cache, made = lock(), OrderedDict(a=1, b=2), []

    def get(key):
        with guard:
            if key not in cache:
                made.append(key)
                cache[key] = 0
                if len(cache) > 2:
                    cache.popitem(last=False)
            cache.move_to_end(key)

    run(lambda: get("c"), lambda: get("c"))
    assert made == ["c"]
    assert list(cache) == ["b", "c"]


@correct("check-then-act", sound=a_lock, broken=NoLock)
def lru_cache_under_a_lock(run, lock):
    guard, made = lock(), []

    @lru_cache
    def connect():
        made.append(1)
        return len(made)

    def use():
        with guard:
            connect()

    run(use, use)
    assert made == [1]


@correct("check-then-act", sound=a_lock, broken=NoLock)
def cached_value_under_a_lock(run, lock):
    class Service:
        guard = lock()
        made = 0
        kept = None

        @property
        def connection(self):
            with self.guard:
                if self.kept is None:
                    Service.made += 1
                    self.kept = "connection"
                return self.kept

    service = Service()
    run(lambda: service.connection, lambda: service.connection)
    assert Service.made == 1


@correct("check-then-act")
def cached_property_of_a_pure_value(run):
    class Circle:
        radius = 2

        @cached_property
        def area(self):
            return 3 * self.radius**2

    circle = Circle()
    run(lambda: circle.area, lambda: circle.area)
    assert circle.area == 12


@correct("check-then-act")
def lru_cache_of_a_pure_value(run):
    @lru_cache
    def area(radius):
        return 3 * radius**2

    assert run(lambda: area(2), lambda: area(2)) == [12, 12]
    assert area.cache_info().currsize == 1


@correct("check-then-act")
def lru_cache_that_calls_itself(run):
    @lru_cache
    def nth(number):
        return number if number < 2 else nth(number - 1) + nth(number - 2)

    assert run(lambda: nth(3), lambda: nth(2)) == [2, 1]


@correct("double-checked initialisation", sound=a_lock, broken=NoLock)
def singleton_checked_twice(run, lock):
    class Settings:
        guard = lock()
        made = 0
        instance = None

        @classmethod
        def get(cls):
            if cls.instance is None:
                with cls.guard:
                    if cls.instance is None:
                        cls.made += 1
                        cls.instance = cls()
            return cls.instance

    run(Settings.get, Settings.get)
    assert Settings.made == 1


@correct("shared iterator", sound=a_lock, broken=NoLock, fails=ValueError)
def generator_under_a_lock(run, lock):
    guard, state, got = lock(), {"next": 0}, []

    def tickets():
        while True:
            state["next"] += 1
            yield state["next"]

    shared = tickets()

    def take():
        with guard:
            got.append(next(shared))

    run(take, take)
    assert sorted(got) == [1, 2]


@correct("torn read", sound=RLock, broken=NoLock)
def pair_read_under_the_writers_lock(run, lock):
    guard, state, seen = lock(), {"x": 0, "y": 0}, []

    def move():
        with guard:
            state["x"] = 1
            state["y"] = 1

    def read():
        with guard:
            seen.append((state["x"], state["y"]))

    run(move, read)
    assert seen in ([(0, 0)], [(1, 1)])


@correct("lost update", sound=a_lock, broken=NoLock)
def sections_of_two_workers(run, lock):
    guard, state = lock(), {"value": 0}

    def work():
        for _ in range(5):
            with guard:
                state["value"] += 1

    run(work, work)
    assert state["value"] == 10
