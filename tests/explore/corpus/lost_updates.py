"""Two workers read, then both write: one write is lost. Each program hides it in another place."""

# ruff: noqa: PLW0603 - a shared global is what some of these programs are about

import operator
from array import array
from collections import Counter, defaultdict

from . import buggy

_total = 0
_text = ""


class Tally:
    """A counter whose increment is written out."""

    shared = 0

    def __init__(self):
        self.value = 0

    def increment(self):
        value = self.value
        self.value = value + 1

    def add(self):
        self.value += 1


@buggy("lost update", preemptions=1)
def attribute(run):
    tally = Tally()
    run(tally.increment, tally.increment)
    assert tally.value == 2


@buggy("lost update", preemptions=1)
def augmented_assignment(run):
    tally = Tally()
    run(tally.add, tally.add)
    assert tally.value == 2


@buggy("lost update", preemptions=1)
def augmented_three_workers(run):
    tally = Tally()
    run(tally.add, tally.add, tally.add)
    assert tally.value == 3


@buggy("lost update", preemptions=1)
def global_name(run):
    global _total
    _total = 0

    def add():
        global _total
        _total += 1

    run(add, add)
    assert _total == 2


@buggy("lost update", preemptions=1)
def global_text(run):
    global _text
    _text = ""

    def write(letter):
        global _text
        _text = _text + letter

    run(lambda: write("a"), lambda: write("b"))
    assert sorted(_text) == ["a", "b"]


@buggy("lost update", preemptions=1)
def closure_cell(run):
    total = 0

    def add():
        nonlocal total
        total += 1

    run(add, add)
    assert total == 2


@buggy("lost update", preemptions=1)
def dict_item(run):
    seats = {"A": 0}

    def book():
        seats["A"] += 1

    run(book, book)
    assert seats["A"] == 2


@buggy("lost update", preemptions=1)
def defaultdict_item(run):
    seats = defaultdict(int)

    def book():
        seats["A"] += 1

    run(book, book)
    assert seats["A"] == 2


@buggy("lost update", preemptions=1)
def collections_counter(run):
    votes = Counter()

    def vote():
        votes["ann"] += 1

    run(vote, vote)
    assert votes["ann"] == 2


@buggy("lost update", preemptions=1)
def list_item(run):
    row = [0]

    def add():
        row[0] = row[0] + 1

    run(add, add)
    assert row == [2]


@buggy("lost update", preemptions=1)
def list_rebuilt(run):
    box = Tally()
    box.value = []

    def append(item):
        box.value = [*box.value, item]

    run(lambda: append(1), lambda: append(2))
    assert sorted(box.value) == [1, 2]


@buggy("lost update", preemptions=1)
def array_item(run):
    cells = array("q", [0])

    def add():
        cells[0] += 1

    run(add, add)
    assert cells[0] == 2


@buggy("lost update", preemptions=1)
def bytearray_item(run):
    cells = bytearray(1)

    def add():
        cells[0] += 1

    run(add, add)
    assert cells[0] == 2


@buggy("lost update", preemptions=1)
def class_attribute(run):
    Tally.shared = 0

    def add():
        Tally.shared += 1

    run(add, add)
    assert Tally.shared == 2


@buggy("lost update", preemptions=1)
def instance_shadowing_class_attribute(run):
    tally = Tally()

    def add():
        tally.shared = tally.shared + 1

    Tally.shared = 0
    run(add, add)
    assert tally.shared == 2


class Account:
    """Its balance is a property, its limit goes through a descriptor written in Python."""

    class Limit:
        """Keeps the limit in a dict of the account."""

        def __get__(self, account, _owner=None):
            return account.kept["limit"]

        def __set__(self, account, limit):
            account.kept["limit"] = limit

    limit = Limit()

    def __init__(self):
        self.kept = {"limit": 0}
        self._balance = 0

    @property
    def balance(self):
        return self._balance

    @balance.setter
    def balance(self, amount):
        self._balance = amount


@buggy("lost update", preemptions=1)
def through_a_property(run):
    account = Account()

    def deposit():
        account.balance += 10

    run(deposit, deposit)
    assert account.balance == 20


@buggy("lost update", preemptions=1)
def through_a_descriptor(run):
    account = Account()

    def raise_limit():
        account.limit += 10

    run(raise_limit, raise_limit)
    assert account.limit == 20


class Slotted:
    """A base with slots."""

    __slots__ = ("value",)


class SlottedChild(Slotted):
    """A sub-class that adds one."""

    __slots__ = ("more",)

    def __init__(self):
        self.value = 0
        self.more = 0

    def add(self):
        self.value += 1
        self.more += 1


@buggy("lost update", preemptions=1)
def slots_of_a_base_class(run):
    child = SlottedChild()
    run(child.add, child.add)
    assert child.value == 2


@buggy("lost update", preemptions=1)
def slots_of_a_subclass(run):
    child = SlottedChild()
    run(child.add, child.add)
    assert child.more == 2


@buggy("lost update", preemptions=1)
def instance_dict(run):
    tally = Tally()

    def add():
        tally.__dict__["value"] = tally.__dict__["value"] + 1

    run(add, add)
    assert tally.value == 2


@buggy("lost update", preemptions=1)
def instance_vars(run):
    tally = Tally()

    def add():
        fields = vars(tally)
        fields["value"] += 1

    run(add, add)
    assert tally.value == 2


@buggy("lost update", preemptions=1)
def getattr_and_setattr(run):
    tally = Tally()

    def add():
        setattr(tally, "value", getattr(tally, "value") + 1)  # noqa: B009, B010 - the point of it

    run(add, add)
    assert tally.value == 2


@buggy("lost update", preemptions=1)
def operator_module(run):
    row = {"n": 0}

    def add():
        operator.setitem(row, "n", operator.getitem(row, "n") + 1)

    run(add, add)
    assert row["n"] == 2


@buggy("lost update", preemptions=1)
def flag_toggled(run):
    tally = Tally()
    tally.value = False

    def toggle():
        tally.value = not tally.value

    run(toggle, toggle)
    assert tally.value is False


@buggy("lost update", preemptions=1)
def locals_swapped(run):
    pair = Tally()
    pair.left, pair.right = "a", "b"

    def swap():
        pair.left, pair.right = pair.right, pair.left

    run(swap, swap)
    assert {pair.left, pair.right} == {"a", "b"}
