"""Programs that share, take no lock, and are right all the same: none of them may be accused."""

from types import MappingProxyType

from . import correct


@correct("read only")
def reads_of_three_workers(run):
    prices, sums = {"tea": 2, "cake": 3}, [0, 0, 0]

    def total(place):
        for _ in range(5):
            sums[place] += prices["tea"] + prices["cake"]

    run(lambda: total(0), lambda: total(1), lambda: total(2))
    assert sums == [25, 25, 25]


@correct("read only")
def reads_through_a_proxy(run):
    settings = MappingProxyType({"debug": False, "size": 3})
    seen = []

    def read():
        seen.append(settings["size"] if not settings["debug"] else 0)

    run(read, read)
    assert seen == [3, 3]


@correct("disjoint")
def each_worker_its_own_object(run):
    rows = {name: {"value": 0} for name in ("ann", "bob")}

    def work(name):
        row = rows[name]
        for _ in range(3):
            row["value"] += 1

    run(lambda: work("ann"), lambda: work("bob"))
    assert [row["value"] for row in rows.values()] == [3, 3]


@correct("disjoint")
def each_worker_its_own_key(run):
    totals = {"ann": 0, "bob": 0}

    def work(name):
        totals[name] += 1
        totals[name] += 1

    run(lambda: work("ann"), lambda: work("bob"))
    assert totals == {"ann": 2, "bob": 2}


@correct("benign race")
def all_write_the_same_value(run):
    state = {"stopped": False}

    def stop():
        state["stopped"] = True

    run(stop, stop, stop)
    assert state["stopped"]


@correct("benign race")
def last_writer_wins(run):
    state = {"colour": None}

    def paint(colour):
        state["colour"] = colour

    run(lambda: paint("red"), lambda: paint("blue"))
    assert state["colour"] in ("red", "blue")


@correct("benign race")
def idempotent_cache(run):
    """Both may compute; both compute the same."""
    cache, got = {}, []

    def square(number):
        if number not in cache:
            cache[number] = number * number
        got.append(cache[number])

    run(lambda: square(3), lambda: square(3))
    assert got == [9, 9]


@correct("benign race", budget=20_000)
def racy_but_benign_accesses(run):
    state = {"seen": 0}

    def work(mark):
        for _ in range(5):
            state["seen"] = mark

    run(lambda: work(1), lambda: work(2))
    assert state["seen"] in (1, 2)


@correct("copy on write")
def readers_of_a_replaced_snapshot(run):
    class Routes:
        table = (("/", "home"),)

    sizes = []

    def read():
        table = Routes.table
        sizes.append((len(table), len(list(table))))

    def write():
        Routes.table = (*Routes.table, ("/about", "about"))

    run(read, write)
    assert all(first == second for first, second in sizes)


@correct("single writer")
def one_writes_all_read(run):
    progress, seen = {"done": 0}, []

    def work():
        progress["done"] = 1
        progress["done"] = 2

    def watch():
        seen.append(progress["done"])
        seen.append(progress["done"])

    run(work, watch)
    assert seen == sorted(seen)


@correct("flag after value")
def value_written_before_its_flag(run):
    state, seen = {"ready": False}, []

    def publish():
        state["value"] = 42
        state["ready"] = True

    def read():
        if state["ready"]:
            seen.append(state["value"])

    run(publish, read)
    assert seen in ([], [42])


@correct("mutual exclusion")
def two_flags_raised_before_looking(run):
    """Whoever sees the other's flag gives up, so both may give up and never both enter."""
    flags, inside = [False, False], []

    def enter(me, other):
        flags[me] = True
        if not flags[other]:
            inside.append(me)

    run(lambda: enter(0, 1), lambda: enter(1, 0))
    assert len(inside) <= 1


@correct("exception kept inside")
def errors_handled_where_they_happen(run):
    jobs, lost = ["a"], []

    def work():
        try:
            jobs.pop()
        except IndexError:
            lost.append(1)

    run(work, work)
    assert len(lost) == 1
