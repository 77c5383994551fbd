"""`linearizable` on threads: classes that it must catch, and classes that it must pass."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.case import Case
from pytest_concurrency.explore.failures import NothingExplored
from pytest_concurrency.explore.linearizable import Linearizable, linearizable
from pytest_concurrency.explore.trial import NotLinearizable

FEW = st.integers(0, 2)


class LRUCache:
    """Keeps the one entry used last; not locked."""

    def __init__(self):
        self.entries = OrderedDict()

    def put(self, key, value):
        if key not in self.entries and len(self.entries) >= 1:
            oldest = next(iter(self.entries))
            del self.entries[oldest]
        self.entries[key] = value
        self.entries.move_to_end(key)

    def get(self, key):
        if key in self.entries:
            self.entries.move_to_end(key)
            return self.entries[key]
        return None


class LockedLRUCache(LRUCache):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def put(self, key, value):
        with self.lock:
            super().put(key, value)

    def get(self, key):
        with self.lock:
            return super().get(key)


class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        self.value += 1
        return self.value

    def read(self):
        return self.value


class LockedCounter(Counter):
    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()

    def increment(self):
        with self.lock:
            return super().increment()


class Box:
    def __init__(self, value=0):
        self.value = value

    def read(self):
        return self.value

    def write(self, value):
        self.value = value


class StaleCounter(LockedCounter):
    """Reads from a copy that is refreshed after the lock is given back."""

    def __init__(self):
        super().__init__()
        self.copy = 0

    def increment(self):
        value = super().increment()
        self.copy = value
        return value

    def read(self):
        return self.copy


class Queue:
    """Loses an item when two are put at once."""

    def __init__(self):
        self.items = []

    def put(self, item):
        self.items = [*self.items, item]

    def take(self):
        if not self.items:
            return None
        item, *self.items = self.items
        return item


class LockedQueue(Queue):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def put(self, item):
        with self.lock:
            super().put(item)

    def take(self):
        with self.lock:
            return super().take()


class Deque:
    """Needs no lock: each operation is one call of a deque."""

    def __init__(self):
        self.items = deque()

    def put(self, item):
        self.items.append(item)

    def take(self):
        try:
            return self.items.popleft()
        except IndexError:
            return None


class CheckedDeque(Deque):
    """Looks before it takes."""

    def take(self):
        if len(self.items) == 0:
            return None
        return self.items.popleft()


class Names:
    """Checks, then acts."""

    def __init__(self):
        self.names = {}

    def claim(self, name, owner):
        if name in self.names:
            return False
        self.names[name] = owner
        return True


class AtomicNames(Names):
    def claim(self, name, owner):
        return self.names.setdefault(name, owner) == owner


class Register:
    """Writes two fields one after the other."""

    def __init__(self):
        self.low = self.high = 0

    def write(self, value):
        self.low = value
        self.high = value

    def read(self):
        return self.low, self.high


class AtomicRegister(Register):
    """Writes both fields at once."""

    def __init__(self):
        self.both = (0, 0)

    def write(self, value):
        self.both = (value, value)

    def read(self):
        return self.both


class Node:
    def __init__(self, item):
        self.item = item
        self.next = None


class Stack:
    """Compares and swaps the top; nodes are used again, so the comparison says too little."""

    def __init__(self):
        self.lock = threading.Lock()
        self.top = None
        self.free = []

    def swap(self, expected, new):
        with self.lock:
            if self.top is not expected:
                return False
            self.top = new
            return True

    def push(self, item):
        node = self.new(item)
        while True:
            node.next = self.top
            if self.swap(node.next, node):
                return

    def pop(self):
        while True:
            top = self.top
            if top is None:
                return None
            below, item = top.next, top.item
            if self.swap(top, below):
                self.retire(top)
                return item

    def new(self, item):
        try:
            node = self.free.pop()
        except IndexError:
            return Node(item)
        node.item = item
        return node

    def retire(self, node):
        self.free.append(node)


class FreshStack(Stack):
    """Never uses a node again."""

    def retire(self, node):
        pass


class Pool:
    """Hands out numbers, sometimes one twice."""

    def __init__(self):
        self.free = [1, 2, 3]

    def acquire(self):
        number = self.free[-1]
        self.free.remove(number)
        return number


class AtomicPool(Pool):
    def acquire(self):
        return self.free.pop()


class Maximum:
    def __init__(self):
        self.largest = 0

    def offer(self, value):
        if value > self.largest:  # noqa: PLR1730 - the gap is the point
            self.largest = value

    def read(self):
        return self.largest


class LockedMaximum(Maximum):
    """Reads without the lock, which one field allows."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def offer(self, value):
        with self.lock:
            super().offer(value)


class Lazy:
    """Makes its one thing twice."""

    def __init__(self):
        self.made = 0
        self.thing = None

    def get(self):
        if self.thing is None:
            self.made += 1
            self.thing = self.made
        return self.thing


class LockedLazy(Lazy):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def get(self):
        with self.lock:
            return super().get()


class Mailbox:
    """Waits for mail; the wait is entered again until there is some."""

    def __init__(self):
        self.changed = threading.Condition()
        self.items = []

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify()

    def take(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            return self.items.pop(0)


class HastyMailbox(Mailbox):
    """Waits once where it should wait until."""

    def take(self):
        with self.changed:
            if not self.items:
                self.changed.wait()
            return self.items.pop(0)


class SilentMailbox(Mailbox):
    """Forgets to notify."""

    def put(self, item):
        with self.changed:
            self.items.append(item)


class Account:
    def __init__(self):
        self.balances = {"ann": 2, "bob": 0}

    def move(self, amount):
        if self.balances["ann"] < amount:
            return False
        self.balances["ann"] -= amount
        self.balances["bob"] += amount
        return True

    def total(self):
        return self.balances["ann"] + self.balances["bob"]


class LockedAccount(Account):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def move(self, amount):
        with self.lock:
            return super().move(amount)

    def total(self):
        with self.lock:
            return super().total()


class LeakingAccount(LockedAccount):
    """Reads without the lock, while two balances are being changed."""

    def total(self):
        return Account.total(self)


LRU = {"put": (FEW, st.just("a")), "get": (FEW,)}
COUNT = {"increment": (), "read": ()}
QUEUE = {"put": (FEW,), "take": ()}
CLAIM = {"claim": (FEW, st.sampled_from("ab"))}
REGISTER = {"write": (FEW,), "read": ()}
STACK = {"push": (FEW,), "pop": ()}
MAXIMUM = {"offer": (FEW,), "read": ()}
MOVE = {"move": (FEW,), "total": ()}

BUGGY = [
    (LRUCache, LRU),
    (Counter, COUNT),
    (StaleCounter, COUNT),
    (Queue, QUEUE),
    (CheckedDeque, QUEUE),
    (Names, CLAIM),
    (Register, REGISTER),
    (Stack, STACK),
    (Pool, {"acquire": ()}),
    (Maximum, MAXIMUM),
    (Lazy, {"get": ()}),
    (SilentMailbox, QUEUE),
    (Account, MOVE),
    (LeakingAccount, MOVE),
]

CORRECT = [
    (LockedLRUCache, LRU),
    (LockedCounter, COUNT),
    (LockedQueue, QUEUE),
    (Deque, QUEUE),
    (AtomicNames, CLAIM),
    (AtomicRegister, REGISTER),
    (FreshStack, STACK),
    (AtomicPool, {"acquire": ()}),
    (LockedMaximum, MAXIMUM),
    (LockedLazy, {"get": ()}),
    (Mailbox, QUEUE),
    (LockedAccount, MOVE),
]


def _name(value):
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("kind", "operations"), BUGGY, ids=_name)
def test_linearizable_catches(kind, operations):
    """A class that answers what no order explains is caught."""
    with pytest.raises(NotLinearizable, match=f"^{kind.__name__} is not linearizable"):
        linearizable(kind, operations, seed=len(kind.__name__), examples=300, seconds=60)


@pytest.mark.parametrize(("kind", "operations"), CORRECT, ids=_name)
def test_linearizable_passes(kind, operations):
    """A class that is as if its callers took turns is never accused."""
    found = linearizable(kind, operations, examples=10, schedules=60)

    assert found.programs > 3


def test_linearizable_catches_with_three_workers():
    """A wait that is entered once needs a third worker to go wrong."""
    with pytest.raises(NotLinearizable):
        linearizable(HastyMailbox, QUEUE, workers=3, seconds=60)


def test_linearizable_failure_tells_all():
    """The failure has the history, why no order explains it, and the call that replays it."""
    with pytest.raises(NotLinearizable) as caught:
        linearizable(Register, REGISTER, schedules=300)

    text = str(caught.value)
    assert text.startswith(
        "Register is not linearizable. No order of these 2 calls gives these answers:\n"
        "\n"
        "   worker 0          worker 1\n"
    )
    assert "run by one worker alone, answers otherwise:\n" in text
    note = caught.value.__notes__[-1]
    assert "linearizable(…, replay=Case([('" in note


def test_linearizable_replays_a_case():
    """A case that failed fails again, at once; without a schedule, all are explored."""
    for schedule in ("T0x1 T1x*", None):
        case = Case([("increment",)], [("increment",)], schedule=schedule)

        with pytest.raises(NotLinearizable):
            linearizable(Counter, COUNT, replay=case)


def test_linearizable_replay_that_passes_says_so():
    """A case that passes is told as one program."""
    case = Case([("increment",)], [("increment",)])

    assert linearizable(LockedCounter, COUNT, replay=case).programs == 1


def test_linearizable_failure_shows_a_case_that_fails_again():
    """The note ends with a case that, pasted, fails again."""
    with pytest.raises(NotLinearizable) as caught:
        linearizable(Counter, COUNT)
    _, _, pasted = caught.value.__notes__[-1].partition("replay=")

    with pytest.raises(NotLinearizable):
        linearizable(Counter, COUNT, replay=eval(pasted.strip()[:-1]))  # noqa: S307


def test_linearizable_against_a_model():
    """A model says what should be answered where the class itself is wrong even alone."""

    class Zero:
        def increment(self):
            return 0

        def read(self):
            return 0

    with pytest.raises(NotLinearizable) as caught:
        linearizable(LockedCounter, {"increment": ()}, model=Zero)

    assert "Zero, run by one worker alone, answers otherwise" in str(caught.value)


def test_linearizable_takes_functions_as_operations():
    """An operation may be a function of the object."""
    with pytest.raises(NotLinearizable):
        linearizable(Counter, add=lambda counter: counter.increment())


def test_linearizable_takes_a_factory():
    """Anything without arguments that makes a fresh object will do."""
    assert linearizable(lambda: LockedLRUCache(), LRU, examples=3).programs > 0  # noqa: PLW0108


def test_linearizable_splits_by_key():
    """Calls of different keys are explained apart."""
    found = linearizable(AtomicNames, CLAIM, key=lambda call: call.arguments[0], examples=5)

    assert found.programs > 0


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 2))
def test_linearizable_within_given(size):
    """Under Hypothesis' own `given` each example draws one program, and leaves no thread."""
    before = threading.active_count()

    found = linearizable(Deque, QUEUE, operations_each=size)

    assert found.programs == 1
    assert threading.active_count() == before


def _examples_within_given(count):
    """Explore one program for each of many examples; return how often, and the threads left."""
    before = threading.active_count()
    programs = []

    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate])
    @given(size=st.integers(1, 2), start=st.integers())
    def outer(size, start):
        found = linearizable(lambda: Box(start), {"read": (), "write": FEW}, operations_each=size)
        programs.append(found.programs)

    outer()
    return sum(programs), threading.active_count() - before


def test_linearizable_within_given_keeps_no_thread_in_a_thousand_examples():
    """Each example gives back its threads, however many there are."""
    assert _examples_within_given(1_000) == (1_000, 0)


def test_linearizable_within_given_fails():
    """Under Hypothesis' own `given` a failure is explained once, when it is shown."""

    @settings(max_examples=20, deadline=None, database=None, phases=[Phase.generate])
    @given(size=st.integers(2, 3))
    def outer(size):
        linearizable(Counter, COUNT, operations_each=size)

    with pytest.raises(NotLinearizable) as caught:
        outer()

    assert "No order of" in str(caught.value)
    assert "replay=Case(" in "".join(caught.value.__notes__)


def test_linearizable_leaves_no_thread_after_a_failure():
    """Threads are given back when it raises."""
    before = threading.active_count()
    with pytest.raises(NotLinearizable):
        linearizable(SilentMailbox, QUEUE)

    assert threading.active_count() == before


def test_linearizable_says_how_far_it_got():
    """The result says how much was tried."""
    assert str(Linearizable(programs=1, schedules=1, complete=1, preemptions=1)) == (
        "1 program, 1 schedule; 1 complete up to 1 preemption"
    )


def test_linearizable_refuses_to_explore_nothing():
    """A class whose calls touch nothing that can be seen is no pass."""

    class Constant:
        def read(self):
            return 1

    with pytest.raises(NothingExplored) as caught:
        linearizable(Constant, read=(), examples=3)

    assert str(caught.value) == (
        "linearizable: nothing was explored: no call of Constant touches what another can see. "
        "Name its package: packages=['…'], or use concurrent_runner if it is not written in Python."
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: linearizable(Counter),
            (
                "linearizable: there is no operation of Counter to call. Name its methods with "
                "strategies for their arguments: put=(st.integers(),), get=()."
            ),
        ),
        (
            lambda: linearizable(Counter, incrment=()),
            "linearizable: Counter has no method 'incrment'. Did you mean 'increment'?",
        ),
        (
            lambda: linearizable(Counter, zap=()),
            "linearizable: Counter has no method 'zap'. It has increment, read.",
        ),
        (
            lambda: linearizable(LRUCache, get=(1,)),
            (
                "linearizable: get=(1,): 1 is not a strategy. "
                "Write get=(st.just(1),), or get=() for no arguments."
            ),
        ),
        (
            lambda: linearizable(type("Tall", (), {"height": 3}), height=()),
            (
                "linearizable: Tall.height is not a method. "
                "Write a function that takes the object: height=lambda it: it.height."
            ),
        ),
        (
            lambda: linearizable(3),
            (
                "linearizable: 3 is not a class and not a function. "
                "Pass what makes a fresh object: linearizable(int, …)."
            ),
        ),
        (
            lambda: linearizable(Counter, COUNT, workers=5),
            "linearizable: workers=5 is out of range. Write workers=2, 3 or 4.",
        ),
        (
            lambda: linearizable(Counter, COUNT, examples=0),
            "linearizable: examples=0 is not a whole number of at least 1.",
        ),
        (
            lambda: linearizable(Counter, COUNT, operations_each=1.5),
            "linearizable: operations_each=1.5 is not a whole number of at least 1.",
        ),
        (
            lambda: linearizable(Counter, COUNT, schedules=0),
            "linearizable: schedules=0 is not a whole number of at least 1.",
        ),
        (
            lambda: linearizable(Counter, COUNT, preemptions=-1),
            "linearizable: preemptions=-1 is not a whole number of at least 0.",
        ),
        (
            lambda: linearizable(Counter, COUNT, seconds=0),
            ("interleave: seconds=0 is not a number of seconds above 0. Write seconds=10."),
        ),
        (
            lambda: linearizable(Counter, COUNT, seed="x"),
            "interleave: seed='x' is not a whole number. Write seed=1.",
        ),
        (
            lambda: linearizable(Counter, COUNT, packages=3),
            ("interleave: packages=3 is not a list of import names. Write packages=['thelib']."),
        ),
        (
            lambda: linearizable(Counter, COUNT, model=3),
            (
                "linearizable: model=3 is not a class with the same methods. "
                "Write model=SlowButSure."
            ),
        ),
        (
            lambda: linearizable(Counter, COUNT, key="name"),
            (
                "linearizable: key='name' is not a function of a call. "
                "Write key=lambda call: call.arguments[0]."
            ),
        ),
        (
            lambda: linearizable(Counter, COUNT, replay="T0x1"),
            (
                "linearizable: replay='T0x1' is not a case. "
                "Paste the one that a failure shows: replay=Case([('put', 1)], [('get',)])."
            ),
        ),
        (
            lambda: Case(3),
            (
                "Case: 3 is not a list of calls. Each worker has one. "
                "Write for example Case([('put', 1)], [('get',)])."
            ),
        ),
        (
            lambda: linearizable(Counter, COUNT, replay=Case([("zap",)])),
            (
                "linearizable: replay calls 'zap', which is not among the operations increment, "
                "read. Add it, or correct the case."
            ),
        ),
        (
            lambda: Case(["put"]),
            (
                "Case: 'put' is not a call. A call is a tuple of a name and its arguments. "
                "Write for example Case([('put', 1)], [('get',)])."
            ),
        ),
    ],
)
def test_linearizable_refuses(call, text):
    """What cannot be done is refused with what to write instead."""
    with pytest.raises(UsageError) as caught:
        call()

    assert str(caught.value) == text
