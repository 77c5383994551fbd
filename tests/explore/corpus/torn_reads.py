"""A worker sees half of what another does, or walks over what another changes."""

from itertools import count

from . import buggy


class Point:
    """Two numbers that belong together."""

    def __init__(self):
        self.x = 0
        self.y = 0

    def move(self, step):
        self.x += step
        self.y += step


@buggy("torn read", preemptions=1)
def pair_read_halfway(run):
    point, seen = Point(), []
    run(lambda: point.move(1), lambda: seen.append((point.x, point.y)))
    assert seen in ([(0, 0)], [(1, 1)])


@buggy("torn read", preemptions=1)
def transfer_seen_halfway(run):
    accounts = {"ann": 100, "bob": 0}
    sums = []

    def transfer():
        accounts["ann"] -= 30
        accounts["bob"] += 30

    run(transfer, lambda: sums.append(accounts["ann"] + accounts["bob"]))
    assert sums == [100]


@buggy("torn read", preemptions=1)
def two_locks_for_one_invariant(run):
    from threading import Lock

    left, right = Lock(), Lock()
    state = {"left": 1, "right": 0}
    seen = []

    def shift():
        with left:
            state["left"] = 0
        with right:
            state["right"] = 1

    def total():
        with left:
            first = state["left"]
        with right:
            seen.append(first + state["right"])

    run(shift, total)
    assert seen == [1]


@buggy("changed while iterated", fails=RuntimeError, preemptions=1)
def dict_grows_while_iterated(run):
    members = {"ann": 1, "bob": 2}

    def total():
        return sum(members[name] for name in members)

    def join():
        members["cid"] = 3

    run(total, join)


@buggy("changed while iterated", fails=RuntimeError, preemptions=1)
def set_shrinks_while_iterated(run):
    members = {1, 2, 3}

    def walk():
        for member in members:
            hash(member)

    run(walk, lambda: members.discard(3))


@buggy("changed while iterated", preemptions=1)
def list_shifts_while_iterated(run):
    members, greeted = ["ann", "bob", "cid"], []

    def greet():
        for member in members:
            greeted.append(member)  # noqa: PERF402 - the loop is the window

    run(greet, lambda: members.remove("ann"))
    assert {"bob", "cid"} <= set(greeted)


@buggy("shared iterator", fails=ValueError, says="generator already executing", preemptions=1)
def generator_shared(run):
    ticket = {"next": 0}

    def tickets():
        while True:
            ticket["next"] += 1
            yield ticket["next"]

    shared = tickets()
    run(lambda: next(shared), lambda: next(shared))


@buggy("shared iterator", preemptions=1)
def iterator_shared(run):
    numbers, pairs = count(), []

    def take_two():
        pairs.append((next(numbers), next(numbers)))

    run(take_two, take_two)
    assert all(second == first + 1 for first, second in pairs)


@buggy("shared iterator", preemptions=1)
def iterator_shared_by_loops(run):
    pages, sizes = iter(range(4)), []

    def read():
        taken = []
        for page in pages:
            taken.append(page)
            if len(taken) == 2:
                break
        sizes.append(taken)

    run(read, read)
    assert sorted(sizes) == [[0, 1], [2, 3]]


@buggy("torn read", preemptions=1)
def cleared_and_refilled(run):
    prices, seen = {"tea": 2}, []

    def refresh():
        prices.clear()
        prices.update(tea=3)

    run(refresh, lambda: seen.append(prices.get("tea")))
    assert seen in ([2], [3])


@buggy("torn read", preemptions=1)
def list_sorted_in_place_by_hand(run):
    row, seen = [2, 1], []

    def sort():
        if row[0] > row[1]:
            row[0], row[1] = row[1], row[0]

    run(sort, lambda: seen.append(sorted([row[0], row[1]])))
    assert seen == [[1, 2]]
