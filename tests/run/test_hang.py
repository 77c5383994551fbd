# ruff: noqa: PLW0108 - whose frame a call is in matters here
"""A run that does not end: its text, in full."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

from pytest_concurrency import HangError, concurrent_runner
from pytest_concurrency.run import threads
from pytest_concurrency.run.hang import AT_THE_GATE, Hanging, hang_text, left_text
from pytest_concurrency.run.stack import Place


class Swaps:
    """Swaps in two steps, each under a lock."""

    def __init__(self, forever):
        self._lock = threading.Lock()
        self._forever = forever

    def execute(self):
        with self._lock:
            self.load()

    def load(self):
        self._forever.wait()


@pytest.fixture
def forever():
    """Return an event that is set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def little_grace(monkeypatch):
    """Do not wait long for workers of which it is known that they cannot be stopped."""
    monkeypatch.setattr(threads, "GRACE", 0.05)


def text_of(*calls, **arguments):
    """Return the text of a run that hangs, with line numbers put aside."""
    with pytest.raises(HangError) as hung:
        concurrent_runner(*calls, **{"timeout": "80ms"} | arguments)
    return re.sub(r"(?:tests/run/)?(test_hang\.py):\d+", r"\1:N", str(hung.value))


def test_who_waits_for_whom(forever):
    """The whole text: where each is, what it waits for, who holds it, who had ended."""
    swaps = Swaps(forever)

    def work(worker):
        if worker.index in (0, 2):
            return worker.index
        return swaps.execute()

    text = text_of(work, workers=4)
    holder = re.search(r"worker (\d)  in load", text)[1]
    waiter = {"1": "3", "3": "1"}[holder]

    blocks = {
        waiter: (
            f"  worker {waiter}  in execute  test_hang.py:N  with self._lock:\n"
            "            <- work     test_hang.py:N\n"
            f"            waits for Swaps._lock, held by worker {holder}\n"
        ),
        holder: (
            f"  worker {holder}  in load     test_hang.py:N  self._forever.wait()\n"
            "            <- execute  test_hang.py:N\n"
            "            <- work     test_hang.py:N\n"
            "            waits for Swaps._forever\n"
        ),
    }
    assert text == (
        "2 of 4 workers did not end within 80 ms:\n\n"
        + "\n".join(blocks[index] for index in sorted(blocks))
        + "\n2 workers had ended: 2 values, no error. "
        "Their results are in the outcome attached to this failure.\n"
        'The limit is timeout="80ms" at test_hang.py:N.\n'
        "Cannot be stopped and go on in the background: workers 1, 3."
    )


def test_workers_that_hang_alike_are_told_once(forever):
    """A hundred workers at one place are one block."""
    text = text_of(forever.wait, workers=100, timeout=0.3)

    assert text.startswith(
        "100 of 100 workers did not end within 300 ms:\n\n  workers 0-99  in wait  threading.py:"
    )
    assert "\nNo call had ended.\nThe limit is timeout=0.3 at test_hang.py:N.\n" in text


def test_a_lock_that_the_test_itself_holds():
    """The caller of the run is a suspect like any other."""
    lock = threading.Lock()

    def book():
        with lock:
            """Nobody gets here."""

    with lock:
        text = text_of(book, workers=2)

    assert "  waits for lock, held by the test itself\n" in text


def test_a_lock_that_another_thread_holds(forever):
    """A thread that is no worker is named."""
    lock, taken = threading.Lock(), threading.Event()

    def hold():
        with lock:
            taken.set()
            forever.wait()

    thread = threading.Thread(target=hold, name="cleaner", daemon=True)
    thread.start()
    taken.wait(5)

    def book():
        with lock:
            """Nobody gets here."""

    text = text_of(book, workers=1)

    assert "  waits for lock, held by thread 'cleaner'\n" in text


def test_a_lock_that_nobody_gives_back():
    """Taken by a worker that has ended."""
    lock = threading.Lock()

    text = text_of(lambda: lock.acquire(), workers=2)
    lock.release()

    assert "  waits for lock, held by no worker that still runs\n" in text
    assert "1 worker had ended: 1 value, no error. Its results are in the outcome" in text


def in_one_statement(lock):
    with lock, lock:
        """Nobody gets here."""


def in_two_statements(lock):
    with lock:  # noqa: SIM117 - as the mistake is made
        with lock:
            """Nobody gets here."""


def once(lock):
    with lock:
        """Nobody gets here."""


def in_two_functions(lock):
    with lock:
        once(lock)


@pytest.mark.parametrize("take", [in_one_statement, in_two_statements, in_two_functions])
def test_a_lock_that_a_worker_takes_twice(take):
    """A plain lock is not re-entrant."""
    lock = threading.Lock()

    text = text_of(lambda: take(lock), workers=1)
    lock.release()

    assert "  waits for lock, which it holds itself\n" in text


def test_a_cycle_of_locks():
    """Two workers that wait for each other name each other."""
    first, second, both = threading.RLock(), threading.RLock(), threading.Barrier(2)
    give_up = threading.Event()

    def take(one, other):
        with one:
            both.wait(5)
            while not other.acquire(timeout=0.05) and not give_up.is_set():
                """Try again."""

    text = text_of(lambda: take(first, second), lambda: take(second, first), timeout=0.3)
    give_up.set()

    assert "  waits for other, held by worker 1\n" in text
    assert "  waits for other, held by worker 0\n" in text


def test_tasks_that_wait_for_each_other():
    """Tasks are examined as threads are: the lock, its holder, the lines."""
    lock = None

    async def book(worker):
        nonlocal lock
        lock = lock or asyncio.Lock()
        async with lock:
            await asyncio.Event().wait()
        return worker

    text = text_of(book, workers=2)

    assert text == (
        "2 of 2 workers did not end within 80 ms:\n\n"
        "  worker 0  in book  test_hang.py:N  async with lock:\n"
        "            waits for lock, held by worker 1\n\n"
        "  worker 1  in book  test_hang.py:N  await asyncio.Event().wait()\n\n"
        "No call had ended.\n"
        'The limit is timeout="80ms" at test_hang.py:N.'
    )


@pytest.fixture
def hanging(make_outcome):
    """Return what writes the text of a made-up hang."""

    def write(*stuck, ended=(), left=(), workers=8):
        return hang_text(
            make_outcome(*ended, workers=workers),
            stuck,
            seconds=10,
            source="the default",
            left_running=left,
        )

    return write


def place(line, function="wait"):
    return Place(function=function, path="/nowhere/app.py", line=line)


def test_deep_stacks_and_many_places_are_cut(hanging):
    """Six frames, six groups, and how many more there are."""
    deep = tuple(place(line) for line in range(9))
    text = hanging(
        *(
            Hanging(worker=n, places=(place(n), *deep)[: 1 + 9 * (n == 0)], reason="")
            for n in range(8)
        )
    )

    assert text == (
        "8 of 8 workers did not end within 10 s:\n\n"
        "  worker 0  in wait  /nowhere/app.py:0\n"
        + "".join(f"            <- wait  /nowhere/app.py:{n}\n" for n in range(5))
        + "            <- 4 more\n\n"
        + "".join(f"  worker {n}  in wait  /nowhere/app.py:{n}\n\n" for n in range(1, 6))
        + "  and 2 workers elsewhere\n\n"
        "No call had ended.\n"
        "The limit is the default."
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_those_who_wait_at_the_gate_are_told(is_async, forever):
    """Who has ended its round waits for who has not."""

    def work(worker):
        if worker.round == 1 and worker.index == 0:
            forever.wait()

    async def work_async(worker):
        if worker.round == 1 and worker.index == 0:
            await asyncio.Event().wait()

    text = text_of(work_async if is_async else work, workers=3, rounds=3)

    assert "\n\n  workers 1, 2  waits for the others, before its next round\n\n" in text


def test_a_worker_without_a_stack_is_told(hanging):
    """Without a stack, the reason stands alone."""
    text = hanging(
        Hanging(worker=0, places=(), reason="was still starting"),
        Hanging(worker=1, places=(), reason=AT_THE_GATE),
        ended=((2, 0, 0, 1, "a"), (3, 0, 0, 1, KeyError()), (4, 0, 0, 1, KeyError())),
        workers=5,
    )

    assert text == (
        "2 of 5 workers did not end within 10 s:\n\n"
        "  worker 0  was still starting\n\n"
        "  worker 1  waits for the others, before its next round\n\n"
        "3 workers had ended: 1 value, 2 errors. "
        "Their results are in the outcome attached to this failure.\n"
        "The limit is the default."
    )


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["worker 3"], "goes on in the background: worker 3."),
        (
            [f"a.py::test worker {n}" for n in (0, 1, 2, 5)],
            "go on in the background: workers 0-2, 5 of a.py::test.",
        ),
        (["a.py::test event loop"], "goes on in the background: 'a.py::test event loop'."),
        (["a worker 1", "b worker 1"], "go on in the background: 'a worker 1', 'b worker 1'."),
    ],
)
def test_who_cannot_be_stopped_is_named(names, text):
    """By numbers where they are workers of one test, else by the threads' names."""
    assert left_text(names) == f"Cannot be stopped and {text}"
