"""Each worker of each schedule finds thread-local objects as a new thread does."""

import threading
import weakref

import pytest

from pytest_concurrency.explore.interleave import interleave


class Plain(threading.local):
    """Keeps what it is given."""


class Session(threading.local):
    """Makes its part for each thread."""

    made = 0

    def __init__(self, limit, *, start=()):
        self.limit = limit
        self.seen = [*start]
        Session.made += 1


class Younger(Session):
    """A class below another."""


class Slotted(threading.local):
    """Has a slot beside what it keeps, which is the same for all threads."""

    __slots__ = ("__dict__", "shared")


PLAIN = Plain()
BARE = threading.local()
SESSION = Session(3, start=[0])
YOUNGER = Younger(4)
SLOTTED = Slotted()
SLOTTED.shared = {}


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def add(self):
        with self.lock:
            self.value += 1


@pytest.mark.parametrize("kept", [BARE, PLAIN, SLOTTED], ids=["bare", "subclass", "slots"])
def test_what_a_worker_keeps_is_gone_for_the_next(kept):
    """Nothing that one schedule wrote is read by another."""
    kept.outside = True
    found = []

    @interleave
    def body(run):
        counter = Counter()

        def work():
            found.append(dict(vars(kept)))
            kept.seen = counter.add()

        run(work, work)

    assert body.exhausted
    assert found == [{}] * len(found)
    assert vars(kept).pop("outside")


@pytest.mark.parametrize("kept", [SESSION, YOUNGER], ids=["class", "below"])
def test_what_init_makes_is_made_for_each_worker(kept):
    """A subclass with ``__init__`` runs it for each worker, with the arguments it was given."""
    before, found = list(kept.seen), []

    @interleave
    def body(run):
        counter = Counter()

        def work():
            found.append((kept.limit, list(kept.seen)))
            kept.seen.append("worker")
            kept.limit = 0
            counter.add()

        run(work, work)

    assert body.exhausted
    assert found == [(kept.limit, before)] * len(found)
    assert kept.seen == before


def test_each_body_is_searched_for_objects_of_its_own():
    """What was made between two explorations is emptied for the workers of the second."""
    seen = []

    def body(run):
        counter = Counter()
        run(counter.add, lambda: (counter.add(), seen.append(list(kept.seen)), kept.seen.pop()))

    def another(run):
        counter = Counter()
        run(counter.add, lambda: (counter.add(), seen.append(list(kept.seen)), kept.seen.pop()))

    for explored in (body, another):
        kept = Session(1, start=[1])
        assert interleave(explored).exhausted

    assert seen == [[1]] * len(seen)


def test_init_runs_only_where_the_object_is_used():
    """Emptying runs no code of the program."""
    before = Session.made

    @interleave
    def body(run):
        counter = Counter()
        run(counter.add, counter.add)

    assert body.exhausted
    assert Session.made == before


def test_objects_are_not_kept_alive():
    """An object that nobody uses any more goes."""
    kept = [Session(1)]

    @interleave
    def body(run):
        counter = Counter()
        run(counter.add, lambda: (counter.add(), kept[0].seen))

    gone = weakref.ref(kept.pop())

    assert body.exhausted
    assert gone() is None
