"""An atomic step of the language, or a well-kept protocol, instead of a lock; mutants split it."""

from collections import deque
from contextvars import ContextVar
from itertools import count
from threading import Lock, local

from pytest_concurrency.explore.failures import Deadlock

from . import correct

_scratch = local()
_user = ContextVar("user", default=None)


def _insert_if_absent(cache, key, value):
    if key not in cache:
        cache[key] = value
    return cache[key]


@correct("atomic step", sound=dict.setdefault, broken=_insert_if_absent)
def setdefault_is_atomic(run, insert):
    cache, got = {}, []
    run(
        lambda: got.append(insert(cache, "a", "first")),
        lambda: got.append(insert(cache, "a", "second")),
    )
    assert got[0] == got[1]


def _append_by_hand(row, item):
    size = len(row)
    row[size:] = [item]
    del row[size + 1 :]


@correct("atomic step", sound=list.append, broken=_append_by_hand)
def append_is_atomic(run, append):
    row = []
    run(lambda: append(row, 1), lambda: append(row, 2))
    assert sorted(row) == [1, 2]


def _drop_if_present(cache, key, _default):
    if key in cache:
        del cache[key]


@correct("atomic step", sound=dict.pop, broken=_drop_if_present, fails=KeyError)
def pop_with_default_is_atomic(run, pop):
    cache = {"a": 1}
    run(lambda: pop(cache, "a", None), lambda: pop(cache, "a", None))
    assert cache == {}


def _try_popleft(jobs):
    try:
        jobs.popleft()
    except IndexError:
        return


def _popleft_if_any(jobs):
    if jobs:
        jobs.popleft()


@correct("atomic step", sound=_try_popleft, broken=_popleft_if_any, fails=IndexError)
def popleft_is_tried(run, take):
    jobs = deque(["a"])
    run(lambda: take(jobs), lambda: take(jobs))
    assert not jobs


class _Plus:
    def __init__(self):
        self.number = 0

    def __next__(self):
        number = self.number
        self.number = number + 1
        return number


@correct("atomic step", sound=count, broken=_Plus)
def count_is_atomic(run, make):
    numbers, got = make(), []
    run(lambda: got.append(next(numbers)), lambda: got.append(next(numbers)))
    assert sorted(got) == [0, 1]


def _set_rebuild(names, name):
    members = {*names, name}
    names.clear()
    names.update(members)


@correct("atomic step", sound=set.add, broken=_set_rebuild)
def set_add_is_atomic(run, add):
    names = set()
    run(lambda: add(names, "ann"), lambda: add(names, "bob"))
    assert names == {"ann", "bob"}


def _deque_append(row, item):
    row.append(item)


def _deque_rebuild(row, item):
    items = [*row, item]
    row.clear()
    row.extend(items)


@correct("atomic step", sound=_deque_append, broken=_deque_rebuild)
def deque_append_is_atomic(run, append):
    row = deque()
    run(lambda: append(row, 1), lambda: append(row, 2))
    assert sorted(row) == [1, 2]


@correct("atomic step", sound=tuple, broken=lambda members: members)
def iteration_over_a_snapshot(run, snapshot):
    members, greeted = ["ann", "bob", "cid"], []

    def greet():
        for member in snapshot(members):
            greeted.append(member)  # noqa: PERF402 - the loop is the window

    run(greet, lambda: members.remove("ann"))
    assert {"bob", "cid"} <= set(greeted)


def _whole(state):
    state["plugin"] = {"name": "sql"}


def _halves(state):
    state["plugin"] = {}
    state["plugin"]["name"] = "sql"


@correct("publication", sound=_whole, broken=_halves, fails=KeyError)
def published_when_filled(run, publish):
    state = {}

    def use():
        plugin = state.get("plugin")
        if plugin is not None:
            plugin["name"].upper()

    run(lambda: publish(state), use)


class _Shared:
    """Looks like `threading.local`, and is shared."""


@correct("thread-local", sound=local, broken=_Shared)
def each_worker_has_its_own(run, make):
    scratch, sums = make(), []

    def work(numbers):
        scratch.sum = 0
        for number in numbers:
            scratch.sum += number
        sums.append(scratch.sum)

    run(lambda: work([1, 2]), lambda: work([3, 4]))
    assert sorted(sums) == [3, 7]


@correct("thread-local")
def thread_local_starts_empty(run):
    """A worker is a new thread in each schedule."""
    seen = []

    def work():
        seen.append(hasattr(_scratch, "used"))
        _scratch.used = True

    run(work, work)
    assert seen == [False, False]


@correct("thread-local")
def context_starts_empty(run):
    seen = []

    def work():
        seen.append(_user.get())
        _user.set("ann")

    run(work, work)
    assert seen == [None, None]


@correct("lock order", sound=sorted, broken=list, fails=Deadlock)
def locks_taken_in_one_order(run, order):
    locks = {"a": Lock(), "b": Lock()}

    def transfer(giver, taker):
        first, second = order([giver, taker])
        with locks[first], locks[second]:
            pass

    run(lambda: transfer("a", "b"), lambda: transfer("b", "a"))


@correct("lock order", sound=sorted, broken=list, fails=Deadlock)
def three_locks_taken_in_one_order(run, order):
    locks = {name: Lock() for name in "abc"}

    def both(*names):
        first, second = order(names)
        with locks[first], locks[second]:
            pass

    run(lambda: both("a", "b"), lambda: both("b", "c"), lambda: both("c", "a"))


def _try_lock(guard):
    return guard.acquire(blocking=False)


def _look_first(guard):
    return not guard.locked()


@correct("try-lock", sound=_try_lock, broken=_look_first)
def only_one_gets_the_try_lock(run, attempt):
    guard, winners = Lock(), []

    def work(name):
        if attempt(guard):
            winners.append(name)

    run(lambda: work("ann"), lambda: work("bob"))
    assert len(winners) == 1


@correct("try-lock", sound=True, broken=False, fails=Deadlock)
def backs_off_when_the_second_lock_is_taken(run, polite):
    left, right = Lock(), Lock()
    done = []

    def work(first, second):
        with first:
            if second.acquire(blocking=not polite):
                second.release()
                done.append(1)

    run(lambda: work(left, right), lambda: work(right, left))
    assert len(done) <= 2


@correct("time-out", sound=1.0, broken=-1, fails=Deadlock)
def backs_off_after_a_while(run, patience):
    left, right = Lock(), Lock()
    tries = []

    def work(first, second):
        with first:
            if second.acquire(timeout=patience):
                second.release()
            tries.append(1)

    run(lambda: work(left, right), lambda: work(right, left))
    assert len(tries) == 2
