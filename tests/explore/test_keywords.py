"""Arguments with names are told by their names, and are not taken for others."""

import queue
import threading

import pytest

from pytest_concurrency.explore.interleave import interleave

CALLS = {
    "self.names.sort(key=len, reverse=False)": (
        "sort(key=<built-in function len>, reverse=False): Names.names = ['ann', 'bob']"
    ),
    "self.names.sort(**{'reverse': False})": "sort(reverse=False): Names.names = ['ann', 'bob']",
    "self.names.extend(*[()])": "extend(()): Names.names = ['ann', 'bob']",
    "self.names.sort()": "sort(): Names.names = ['ann', 'bob']",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_told_with_the_names_of_its_arguments(call, tmp_path):
    """What is given by name is shown by name, in the timeline."""
    source = (
        "class Names:\n"
        "    def __init__(self):\n"
        "        self.names = ['ann', 'bob']\n"
        "    def order(self):\n"
        f"        {call}\n"
        "        self.length = len(self.names)\n"
        "    def add(self):\n"
        "        self.names.append('a')\n"
    )
    made = tmp_path / "desk.py"
    made.write_text(source, encoding="utf-8")
    space = {"__name__": "desk"}
    exec(compile(source, str(made), "exec"), space)  # noqa: S102 - a module of the test's own

    def body(run):
        names = space["Names"]()
        run(names.order, names.add)
        assert names.length == 3

    with pytest.raises(AssertionError) as caught:
        interleave(body)

    assert CALLS[call] in " ".join(caught.value.__notes__[-1].split())


@pytest.mark.parametrize("limit", [{"timeout": 0.01}, {"blocking": True, "timeout": 0.01}])
def test_a_lock_made_before_is_waited_for_with_its_limit(limit):
    """A wait with a limit ends when nobody can go on: it is no deadlock."""
    gate = threading.Lock()
    got = []

    @interleave
    def body(run):
        box = []

        def hold():
            with gate:
                box.append(1)

        def wait():
            with gate:
                box.append(2)
                got.append(gate.acquire(**limit))

        run(hold, wait)

    assert body.schedules > 1
    assert set(got) == {False}


def test_a_lock_made_before_is_only_looked_at_when_asked():
    """``blocking=False`` by name never waits."""
    gate = threading.Lock()
    seen = set()

    @interleave
    def body(run):
        box = []

        def hold():
            with gate:
                box.append(1)
                box.append(2)

        def look():
            box.append(3)
            seen.add(has := gate.acquire(blocking=False))
            if has:
                gate.release()

        run(hold, look)

    assert body.schedules > 1
    assert seen == {False, True}


@pytest.mark.parametrize("limit", [{"timeout": 0.01}, {"block": True, "timeout": 0.01}])
def test_a_queue_made_before_is_waited_for_with_its_limit(limit):
    """``get(timeout=)`` of a real queue ends when nobody is left to put anything."""
    line = queue.SimpleQueue()
    ends = set()

    @interleave
    def body(run):
        box = []

        def take():
            box.append(1)
            try:
                line.get(**limit)
                ends.add("got")
            except queue.Empty:
                ends.add("empty")

        def other():
            box.append(2)

        run(take, other)

    assert body.schedules > 1
    assert ends == {"empty"}


def test_what_is_spread_over_a_call_is_still_there():
    """A generator that a call is given by ``*`` is advanced by the call alone."""

    @interleave
    def body(run):
        rows, numbers = [], []

        def add():
            rows.append([*zip(*(pair for pair in [(1, 2), (3, 4)]), strict=True)])
            numbers.append(max(*(n for n in (1, 2, 3))))

        run(add, add)
        assert rows == [[(1, 3), (2, 4)]] * 2
        assert numbers == [3, 3]

    assert body.schedules > 1


def test_a_call_with_spread_arguments_is_a_point():
    """A race around it is found."""

    def body(run):
        rows = []

        def add():
            count = len(rows)
            rows.extend(*[[count]])

        run(add, add)
        assert rows == [0, 1]

    with pytest.raises(AssertionError):
        interleave(body)
