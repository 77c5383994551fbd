"""Bugs that need several preemptions, one at a far place, or an order of three workers."""

from threading import Lock

from . import buggy


class Stack:
    """A linked stack whose compare-and-swap is atomic, and whose pop suffers from ABA."""

    class Node:
        """One link."""

        def __init__(self, name, below):
            self.name = name
            self.below = below

    def __init__(self, *names):
        self.swap_lock = Lock()
        self.top = None
        for name in names:
            self.top = self.Node(name, self.top)

    def swap(self, expected, new):
        with self.swap_lock:
            if self.top is not expected:
                return False
            self.top = new
            return True

    def pop(self):
        while True:
            top = self.top
            if top is None:
                return None
            below = top.below
            if self.swap(top, below):
                return top

    def push(self, node):
        while True:
            node.below = self.top
            if self.swap(node.below, node):
                return


@buggy("ABA")
def aba_stack(run):
    stack = Stack("c", "b", "a")
    taken = []

    def pop_one():
        taken.append(stack.pop().name)

    def pop_two_push_one():
        first, second = stack.pop(), stack.pop()
        taken.append(second.name)
        stack.push(first)

    run(pop_one, pop_two_push_one)
    left = []
    while (node := stack.pop()) is not None:
        left.append(node.name)
    assert sorted(taken + left) == ["a", "b", "c"]


@buggy("ABA")
def aba_version_of_a_value(run):
    state = {"price": 10, "edits": 0}
    lock, stale = Lock(), []

    def edit_if_unchanged():
        price, edits = state["price"], state["edits"]
        with lock:
            if state["price"] == price:
                stale.append(state["edits"] - edits)
                state["price"] = price + 1

    def raise_and_lower():
        with lock:
            state["price"] = 20
            state["edits"] += 1
        with lock:
            state["price"] = 10
            state["edits"] += 1

    run(edit_if_unchanged, raise_and_lower)
    assert stale in ([], [0])


class Steps:
    """Cells for order bugs."""

    def __init__(self):
        self.a = self.b = self.c = 0
        self.bad = False


@buggy("order")
def order_of_three_workers(run):
    """Each of three workers must be stopped once, in the middle."""
    steps = Steps()

    def first():
        steps.a = 1
        if steps.c == 1:
            steps.a = 2

    def second():
        if steps.a == 1:
            steps.b = 1
            if steps.c == 2:
                steps.bad = True

    def third():
        if steps.b == 1:
            steps.c = 1
            if steps.a == 2:
                steps.c = 2

    run(first, second, third)
    assert not steps.bad


@buggy("order")
def handshake_of_three_preemptions(run):
    steps = Steps()

    def left():
        steps.a = 1
        if steps.b == 1:
            steps.a = 2
            if steps.b == 2:
                steps.bad = True

    def right():
        if steps.a == 1:
            steps.b = 1
            if steps.a == 2:
                steps.b = 2

    run(left, right)
    assert not steps.bad


@buggy("order")
def handshake_of_four_preemptions(run):
    steps = Steps()

    def left():
        steps.a = 1
        if steps.b == 1:
            steps.a = 2
            if steps.b == 2:
                steps.a = 3

    def right():
        if steps.a == 1:
            steps.b = 1
            if steps.a == 2:
                steps.b = 2
                if steps.a == 3:
                    steps.bad = True

    run(left, right)
    assert not steps.bad


@buggy("order")
def use_between_close_and_reopen(run):
    connection = {"open": True, "generation": 1}
    used = []

    def use():
        before = connection["generation"]
        if connection["open"]:
            used.append((before, connection["generation"], connection["open"]))

    def restart():
        connection["open"] = False
        connection["generation"] += 1
        connection["open"] = True

    run(use, restart)
    assert all(opened and before == now for before, now, opened in used)


@buggy("window behind a loop", preemptions=1)
def window_behind_a_loop_of_private_work(run):
    state = {"value": 0}

    def work():
        rows = []
        for number in range(200):
            rows.append(number * number)  # noqa: PERF401 - a loop of many points is the point
        value = state["value"]
        state["value"] = value + len(rows)

    run(work, work)
    assert state["value"] == 400


@buggy("window behind a loop", preemptions=1)
def window_behind_a_loop_of_shared_reads(run):
    state = {"value": 0, "rate": 1}

    def work():
        for _ in range(50):
            state["rate"]
        state["value"] += state["rate"]

    run(work, work)
    assert state["value"] == 2


@buggy("window behind a loop", preemptions=1)
def window_behind_a_loop_under_a_lock(run):
    lock = Lock()
    state = {"safe": 0, "value": 0}

    def work():
        for _ in range(10):
            with lock:
                state["safe"] += 1
        state["value"] += 1

    run(work, work)
    assert state["safe"] == 20
    assert state["value"] == 2


@buggy("order")
def mutual_exclusion_by_two_flags(run):
    """Each worker looks at the other's flag before it raises its own."""
    flags, inside = [False, False], []

    def enter(me, other):
        if not flags[other]:
            flags[me] = True
            inside.append(me)
            both = len(inside) == 2
            inside.remove(me)
            flags[me] = False
            assert not both

    run(lambda: enter(0, 1), lambda: enter(1, 0))


@buggy("order", preemptions=1)
def read_of_a_retired_version(run):
    versions, current = {1: "one"}, {"number": 1}
    shown = []

    def show():
        number = current["number"]
        shown.append(versions.get(number))

    def publish():
        versions[2] = "two"
        current["number"] = 2
        del versions[1]

    run(show, publish)
    assert shown != [None]
