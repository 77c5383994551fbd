"""What a deadlock says, in full: who holds what, who waits for what, and what would help.

A line of this file is written as what stands in it: ``at [with left:]``.
"""

# ruff: noqa: E501 - texts are as wide as they are shown

import queue
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.interleave import interleave

HERE = Path(__file__).read_text(encoding="utf-8").splitlines()


def said(body):
    """Return the text of a deadlock, its places as the lines that stand there."""
    with pytest.raises(Deadlock) as caught:
        interleave(body)
    return re.sub(
        r"test_deadlock_texts\.py:(\d+)",
        lambda at: f"[{HERE[int(at[1]) - 1].strip()}]",
        str(caught.value),
    )


def expected(text):
    return dedent(text).strip("\n")


ORDER = "Taking both locks in one order removes it."
left, right = threading.Lock(), threading.RLock()


class Pair:
    shared, common = threading.Lock(), threading.Lock()
    __slots__ = ("first", "locks", "rows", "second")

    def __init__(self):
        self.first, self.second = threading.Lock(), threading.RLock()
        self.locks = {"a": threading.Lock(), "b": threading.Lock()}
        self.rows = [threading.Lock(), threading.Lock()]

    def forth(self):
        self.begin()
        with self.second:
            pass
        self.first.release()

    def back(self):
        with self.second:
            self.begin()
            self.first.release()

    def begin(self):
        self.first.acquire()

    def move(self, source, target):
        with self.locks[source], self.locks[target]:
            pass

    def swap(self, source, target):
        with self.rows[source], self.rows[target]:
            pass

    def ours(self):
        with self.shared, self.common:
            pass

    def theirs(self):
        with Pair.common, Pair.shared:
            pass


class Account:
    def __init__(self):
        self.lock = threading.Lock()


def transfer(source, target):
    with source.lock, target.lock:
        pass


class Transfer:
    def __init__(self, source, target):
        self.source, self.target = source, target

    def __call__(self):
        with self.source.lock, self.target.lock:
            pass


BOOKS = Pair()


def names(text):
    """Return what a deadlock calls the two locks, in order."""
    return re.findall(r"holds  (\S+)", text)


def of_globals(run):
    def forth():
        with left, right:
            pass

    def back():
        with right, left:
            pass

    run(forth, back)


def of_closures(run):
    one, two = threading.Lock(), threading.Lock()

    def forth():
        one.acquire()
        two.acquire()
        two.release()
        one.release()

    def back():
        with two, one:
            pass

    run(forth, back)


def of_attributes(run):
    pair = Pair()
    run(pair.forth, pair.back)


def of_a_global_object(run):
    def forth():
        with BOOKS.rows[0], BOOKS.first:
            pass

    def back():
        with BOOKS.first, BOOKS.rows[0]:
            pass

    run(forth, back)


def of_a_class(run):
    pair = Pair()
    run(pair.ours, pair.theirs)


def of_a_dictionary(run):
    locks = {"a": threading.Lock(), "b": threading.Lock()}

    def move(source, target):
        with locks[source], locks[target]:
            pass

    run(lambda: move("a", "b"), lambda: move("b", "a"))


def of_a_dictionary_in_an_attribute(run):
    pair = Pair()
    run(lambda: pair.move("a", "b"), lambda: pair.move("b", "a"))


def of_a_list_in_an_attribute(run):
    pair = Pair()
    run(lambda: pair.swap(0, 1), lambda: pair.swap(1, 0))


def of_two_objects(run):
    ann, bob = Account(), Account()
    run(lambda: transfer(ann, bob), lambda: transfer(bob, ann))


def of_objects_in_objects(run):
    ann, bob = Account(), Account()
    run(Transfer(ann, bob), Transfer(bob, ann))


def of_a_condition(run):
    lock, other = threading.Lock(), threading.Lock()
    changed = threading.Condition(lock)

    def forth():
        with changed, other:
            pass

    def back():
        with other, lock:
            pass

    run(forth, back)


@pytest.mark.parametrize(
    ("body", "called"),
    [
        (of_globals, ["test_deadlock_texts.left", "test_deadlock_texts.right"]),
        (of_closures, ["one", "two"]),
        (of_attributes, ["Pair.first", "Pair.second"]),
        (
            of_a_global_object,
            ["test_deadlock_texts.BOOKS.rows[0]", "test_deadlock_texts.BOOKS.first"],
        ),
        (of_a_class, ["Pair.shared", "Pair.common"]),
        (of_a_dictionary, ["locks['a']", "locks['b']"]),
        (of_a_dictionary_in_an_attribute, ["Pair.locks['a']", "Pair.locks['b']"]),
        (of_a_list_in_an_attribute, ["Pair.rows[0]", "Pair.rows[1]"]),
        (of_two_objects, ["ann.lock", "bob.lock"]),
        (of_objects_in_objects, ["ann.lock", "bob.lock"]),
        (of_a_condition, ["lock", "other"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_locks_are_called_what_the_code_calls_them(body, called):
    """Whatever they are held by: a variable, an attribute, an item, or one within the other."""
    text = said(body)

    assert names(text) == called
    assert re.findall(r"wants  (\S+)", text) == called[::-1]
    assert text.endswith(ORDER)


def test_lock_that_no_variable_leads_to_is_told_by_its_making():
    """The line that made it."""

    def body(run):
        def made():
            hidden = {id(lock): lock for lock in (threading.Lock(), threading.Lock())}
            return iter([*hidden.values()] * 2)

        locks = made()
        steps = iter(range(2))

        def take():
            if next(steps) == 0:
                next(locks).acquire()
                next(locks)
                next(locks).acquire()

        run(take, lambda: next(steps))

    assert said(body) == expected("""
        Deadlock of worker 0 with itself:

          worker 0  holds  a lock made at [hidden = {id(lock): lock for lock in (threading.Lock(), threading.Lock())}]  taken at [next(locks).acquire()]
                    wants  a lock made at [hidden = {id(lock): lock for lock in (threading.Lock(), threading.Lock())}]  at       [next(locks).acquire()]

        The lock is taken twice by one worker: use an RLock, or take it once.
    """)


def test_three_workers_and_three_locks():
    """Each with what it holds and wants, round the circle."""

    def body(run):
        locks = [threading.Lock() for _ in range(3)]

        def take(one, two):
            with locks[one], locks[two]:
                pass

        run(lambda: take(0, 1), lambda: take(1, 2), lambda: take(2, 0))

    assert said(body) == expected("""
        Deadlock among 3 workers:

          worker 0  holds  locks[0]  taken at [with locks[one], locks[two]:]
                    wants  locks[1]  at       [with locks[one], locks[two]:]
          worker 1  holds  locks[1]  taken at [with locks[one], locks[two]:]
                    wants  locks[2]  at       [with locks[one], locks[two]:]
          worker 2  holds  locks[2]  taken at [with locks[one], locks[two]:]
                    wants  locks[0]  at       [with locks[one], locks[two]:]

        Taking the locks in one order removes it.
    """)


def test_those_who_only_wait_behind_a_circle_are_told_apart():
    """One wants a lock of it, one an event that nobody sets; nobody accuses them."""

    def body(run):
        one, two, done = threading.Lock(), threading.Lock(), threading.Event()

        def forth():
            with one, two:
                pass
            done.set()

        def back():
            with two, one:
                pass

        def more():
            with one:
                pass

        run(forth, back, more, done.wait)

    assert said(body) == expected("""
        Deadlock among 2 workers:

          worker 0  holds  one  taken at [with one, two:]
                    wants  two  at       [with one, two:]
          worker 1  holds  two  taken at [with two, one:]
                    wants  one  at       [with two, one:]

        2 others wait too:

          worker 2  wants  one             at [with one:]
          worker 3  waits  in done.wait()

        Taking both locks in one order removes it.
    """)


def test_lock_that_is_taken_twice():
    """One worker waits for itself; who comes later is told apart."""

    def body(run):
        lock = threading.Lock()

        def inner():
            with lock:
                pass

        def outer():
            with lock:
                inner()

        run(outer, inner)

    assert said(body) == expected("""
        Deadlock of worker 0 with itself:

          worker 0  holds  lock  taken at [with lock:]
                    wants  lock  at       [with lock:]

        1 other waits too:

          worker 1  wants  lock  at [with lock:]

        The lock is taken twice by one worker: use an RLock, or take it once.
    """)


def test_lock_of_one_that_has_ended():
    """Who took it, where, and that it is gone."""

    def body(run):
        lock = threading.Lock()

        def keep():
            lock.acquire()

        def take():
            with lock:
                pass

        run(keep, take)

    assert said(body) == expected("""
        Deadlock: 1 worker waits for ever:

          worker 0  holds  lock  taken at [lock.acquire()], and has ended
          worker 1  wants  lock  at       [with lock:]

        Release it on every way out: a with statement does.
    """)


kept = threading.Lock()


def test_lock_of_one_outside():
    """Nobody of the schedule has it."""

    def take():
        with kept:
            pass

    with kept:
        text = said(lambda run: run(take, take))

    assert text == expected("""
        Deadlock: 2 workers wait for ever:

          worker 0  wants  test_deadlock_texts.kept  at [with kept:]
          worker 1  wants  test_deadlock_texts.kept  at [with kept:]

        It was taken before the schedule began, or by a thread outside of it.
    """)


monitor, twice = threading.Lock(), threading.RLock()


def test_lock_made_before_is_held_until_it_is_given_back():
    """One that both had, or that one of them still has since it was taken twice."""

    def body(run):
        one, two = threading.Lock(), threading.Lock()

        def forth():
            with monitor, twice:
                pass
            with one, two:
                pass

        def back():
            monitor.acquire()
            monitor.release()
            with twice:
                with twice:
                    pass
                with two, one:
                    pass

        run(forth, back)

    assert said(body) == expected("""
        Deadlock among 2 workers:

          worker 0  holds  one                        taken at [with one, two:]
                    wants  two                        at       [with one, two:]
          worker 1  holds  test_deadlock_texts.twice  taken at [with twice:]
                    holds  two                        taken at [with two, one:]
                    wants  one                        at       [with two, one:]

        Taking both locks in one order removes it.
    """)


def test_waiting_with_a_lock_that_the_other_needs():
    """A monitor in another: the wait gives back its own lock, and not the one around it."""

    def body(run):
        outer, full = threading.Lock(), threading.Condition()

        def get():
            with outer, full:
                full.wait()

        def put():
            with outer, full:
                full.notify()

        run(get, put)

    assert said(body) == expected("""
        Deadlock: 2 workers wait for ever:

          worker 0  holds  outer           taken at [with outer, full:]
                    waits  in full.wait()  at       [full.wait()]  full.wait()
          worker 1  wants  outer           at       [with outer, full:]

        Worker 0 keeps outer while it waits, and worker 1 needs it to go on. Release it first.
    """)


def test_joining_a_thread_that_needs_the_lock():
    """A circle of a lock and a join."""

    def body(run):
        lock, rows = threading.Lock(), []

        def work():
            with lock:
                rows.append(1)

        def stop():
            thread = threading.Thread(target=work)
            with lock:
                thread.start()
                thread.join()

        run(stop, lambda: rows.append(2))

    assert said(body) == expected("""
        Deadlock among 2 workers:

          worker 0  holds  lock                 taken at [with lock:]
                    waits  for worker 2 to end  at       [thread.join()]  thread.join()
          worker 2  wants  lock                 at       [with lock:]

        Worker 0 keeps lock while it waits, and worker 2 needs it to go on. Release it first.
    """)


def test_body_that_keeps_what_its_workers_need():
    """The body is one of them."""

    def body(run):
        lock = threading.Lock()

        def work():
            with lock:
                pass

        with lock:
            run(work, work)

    assert said(body) == expected("""
        Deadlock among 3 workers:

          the body  holds  lock                              taken at [with lock:]
                    waits  for worker 0 and worker 1 to end  at       [run(work, work)]  run(work, work)
          worker 0  wants  lock                              at       [with lock:]
          worker 1  wants  lock                              at       [with lock:]

        The body keeps lock while it waits, and worker 0 and worker 1 need it to go on. Release it first.
    """)


def test_result_of_a_call_that_needs_the_lock():
    """The worker of a pool is shown, where it stands in the code under test."""

    def body(_):
        lock = threading.Lock()

        def work():
            with lock:
                pass

        with ThreadPoolExecutor(1) as pool, lock:
            pool.submit(work).result()

    assert said(body) == expected("""
        Deadlock: 2 workers wait for ever:

          the body  holds  lock                taken at [with ThreadPoolExecutor(1) as pool, lock:]
                    waits  in Future.result()  at       [pool.submit(work).result()]  pool.submit(work).result()
          worker 0  wants  lock                at       [with lock:]

        The body keeps lock while it waits, and worker 0 needs it to go on. Release it first.
    """)


def test_pool_whose_workers_wait_for_each_other():
    """A call that waits for one which nobody is left to make."""

    def body(_):
        with ThreadPoolExecutor(1) as pool:

            def outer():
                return pool.submit(len, "ab").result()

            pool.submit(outer).result()

    assert said(body) == expected("""
        Deadlock: 2 workers wait for ever:

          the body  waits  in Future.result()  at [pool.submit(outer).result()]  pool.submit(outer).result()
          worker 0  waits  in Future.result()  at [return pool.submit(len, "ab").result()]  return pool.submit(len, "ab").result()

        Nobody is left to complete it: its call waits too, or was never begun.
    """)


def test_joining_before_the_thread_is_told_to_end():
    """Who waits for whom, and what that one waits for."""

    def body(run):
        stop, rows = threading.Event(), []
        thread = threading.Thread(target=stop.wait)

        def close():
            rows.append(1)
            thread.start()
            thread.join()
            stop.set()

        run(close, lambda: rows.append(2))

    assert said(body) == expected("""
        Deadlock: 2 workers wait for ever:

          worker 0  waits  for worker 2 to end  at [thread.join()]  thread.join()
          worker 2  waits  in stop.wait()

        Nobody is left to set it: those who could wait too, or have ended.
    """)


def waiting_for_an_event(run):
    ready, go = threading.Event(), threading.Event()

    def one():
        ready.wait()
        go.set()

    def other():
        go.wait()
        ready.set()

    run(one, other)


def waiting_at_a_barrier(run):
    line = threading.Barrier(3)
    run(lambda: line.wait(), line.wait)  # noqa: PLW0108 - one of them is called in this file


def waiting_alone_at_a_barrier(run):
    line, rows = threading.Barrier(2), []

    def come():
        rows.append(1)
        line.wait()

    run(come, lambda: rows and line.wait())


def waiting_for_a_place(run):
    places, tables = threading.Semaphore(1), threading.Semaphore(1)

    def one():
        with places, tables:
            pass

    def other():
        with tables, places:
            pass

    run(one, other)


def waiting_for_work(run):
    jobs = queue.Queue()

    def work():
        if not jobs.empty():
            jobs.get()
            jobs.get()

    run(work, lambda: jobs.put(1))


def waiting_for_room(run):
    jobs = queue.Queue(maxsize=1)

    def add():
        jobs.put(1)

    run(add, add)


def waiting_for_work_to_be_done(run):
    jobs = queue.Queue()

    def add():
        jobs.put(1)
        jobs.join()

    run(add, jobs.get)


def waiting_for_an_item(run):
    items = queue.SimpleQueue()

    def take():
        items.get()

    run(take, items.qsize)


def waiting_for_results(run):
    answer = Future()

    def one():
        wait([answer])

    def other():
        list(as_completed([answer]))

    run(one, other)


def waiting_for_a_condition(run):
    full, rows = threading.Condition(), []

    def get():
        with full:
            full.wait_for(lambda: len(rows) > 1)

    def put():
        with full:
            rows.append(1)
            full.notify()

    run(get, put)


LONELY = {
    waiting_for_an_event: """
        Deadlock: 2 workers wait for ever:

          worker 0  waits  in ready.wait()  at [ready.wait()]  ready.wait()
          worker 1  waits  in go.wait()     at [go.wait()]  go.wait()

        Nobody is left to set it: those who could wait too, or have ended.
    """,
    waiting_at_a_barrier: """
        Deadlock: 2 workers wait for ever:

          worker 0  waits  in line.wait()  at [run(lambda: line.wait(), line.wait)  # noqa: PLW0108 - one of them is called in this file]  run(lambda: line.wait(), line.wait)  # noqa: PLW0108 - one of them is called in this file
          worker 1  waits  in line.wait()

        The barrier opens when 3 have come. 2 have, and nobody is left to come.
    """,
    waiting_alone_at_a_barrier: """
        Deadlock: 1 worker waits for ever:

          worker 0  waits  in line.wait()  at [line.wait()]  line.wait()

        The barrier opens when 2 have come. 1 has, and nobody is left to come.
    """,
    waiting_for_a_place: """
        Deadlock: 2 workers wait for ever:

          worker 0  waits  in tables.acquire()  at [with places, tables:]  with places, tables:
          worker 1  waits  in places.acquire()  at [with tables, places:]  with tables, places:

        Nobody is left to release it: those who have a place wait too, or have ended and keep
        it. Release it on every way out: a with statement does.
    """,
    waiting_for_work: """
        Deadlock: 1 worker waits for ever:

          worker 0  waits  in jobs.get()  at [jobs.get()]  jobs.get()

        Nobody is left to put anything more.
    """,
    waiting_for_room: """
        Deadlock: 1 worker waits for ever:

          worker 1  waits  in jobs.put()  at [jobs.put(1)]  jobs.put(1)

        It is full, and nobody is left to take anything out.
    """,
    waiting_for_work_to_be_done: """
        Deadlock: 1 worker waits for ever:

          worker 0  waits  in jobs.join()  at [jobs.join()]  jobs.join()

        Nobody is left to say task_done() for what was put in.
    """,
    waiting_for_an_item: """
        Deadlock: 1 worker waits for ever:

          worker 0  waits  in items.get()  at [items.get()]  items.get()

        Nobody is left to put anything more.
    """,
    waiting_for_results: """
        Deadlock: 2 workers wait for ever:

          worker 0  waits  in wait()          at [wait([answer])]  wait([answer])
          worker 1  waits  in as_completed()  at [list(as_completed([answer]))]  list(as_completed([answer]))

        Nobody is left to complete it: its call waits too, or was never begun.
    """,
    waiting_for_a_condition: """
        Deadlock: 1 worker waits for ever:

          worker 0  waits  in full.wait_for()  at [full.wait_for(lambda: len(rows) > 1)]  full.wait_for(lambda: len(rows) > 1)

        Nobody is left to wake it: a notification came before the wait, or never. Wait in a loop that
        checks the condition under the lock, and change the condition under the same lock.
    """,
}
"""What is waited for, and all that is said of it."""


@pytest.mark.parametrize("body", LONELY, ids=lambda body: body.__name__)
def test_waiting_for_what_nobody_will_do(body):
    """Where each waits, by the name that the code has for it, and who is missing."""
    assert said(body) == expected(LONELY[body])


opened, items, slots = threading.Event(), queue.SimpleQueue(), threading.Semaphore(0)
full = threading.Condition()


def waiting_for_one_made_before(run):
    def take():
        items.get()

    def pass_by():
        with slots:
            pass

    def be_told():
        with full:
            full.wait()

    run(opened.wait, take, pass_by, be_told)


def test_waiting_for_what_was_made_before():
    """Events, queues, semaphores and conditions that no schedule has made are named likewise."""
    assert said(waiting_for_one_made_before) == expected("""
        Deadlock: 4 workers wait for ever:

          worker 0  waits  in test_deadlock_texts.opened.wait()
          worker 1  waits  in test_deadlock_texts.items.get()      at [items.get()]  items.get()
          worker 2  waits  in test_deadlock_texts.slots.acquire()  at [with slots:]  with slots:
          worker 3  waits  in test_deadlock_texts.full.wait()      at [full.wait()]  full.wait()

        Nobody is left to set it: those who could wait too, or have ended.
        Nobody is left to put anything more.
        Nobody is left to release it: those who have a place wait too, or have ended and keep
        it. Release it on every way out: a with statement does.
        Nobody is left to wake it: a notification came before the wait, or never. Wait in a loop that
        checks the condition under the lock, and change the condition under the same lock.
    """)
