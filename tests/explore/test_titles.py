"""The workers of ``run`` are 0, 1, … whatever else the code under test started before."""

import re
import threading
from queue import Queue

import pytest

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.interleave import interleave


class Store:
    """Keeps a number, and starts a timer that forgets it."""

    def __init__(self):
        self.value = 0
        self.timer = threading.Timer(3600, self.forget)
        self.timer.daemon = True
        self.timer.start()

    def add(self):
        value = self.value
        self.value = value + 1

    def forget(self):
        self.value = 0


class Service:
    """Has a thread of its own, which takes what it is given."""

    def __init__(self):
        self.left, self.right = threading.Lock(), threading.Lock()
        self.done = []
        self.inbox = Queue()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while (item := self.inbox.get()) is not None:
            self.done.append(item)

    def forth(self):
        with self.left, self.right:
            pass

    def back(self):
        with self.right, self.left:
            pass


def lost_update(run):
    store = Store()
    run(store.add, store.add)
    assert store.value == 2


def two_locks(run):
    service = Service()
    run(service.forth, service.back)


class Swept:
    """Has a thread of its own that counts along."""

    def __init__(self):
        self.value = 0
        self.thread = threading.Thread(target=self.add, name="sweeper")
        self.thread.start()

    def add(self):
        value = self.value
        self.value = value + 1


def swept(run):
    store = Swept()
    run(store.add, lambda: None)
    store.thread.join()
    assert store.value == 2


def failure(body, raised=AssertionError, **options):
    """Return the text of a failure, and the token with which it was found."""
    tokens = []
    with pytest.raises(raised) as caught:
        interleave(record=tokens.append, **options)(body)
    return re.sub(
        r"[\d,.]+ m?s\b", "N ms", "\n".join([str(caught.value), *caught.value.__notes__])
    ), tokens


def test_a_timer_made_before_takes_no_number():
    """The timeline and the token call the workers of ``run`` 0 and 1."""
    text, tokens = failure(lost_update)

    heads = [line.split() for line in text.splitlines() if line.startswith("  worker 0")]
    assert heads == [["worker", "0", "worker", "1"]]
    assert tokens == ["T0x1 T1x*"]
    assert "Timer" not in text


def test_a_thread_made_before_waits_in_no_deadlock():
    """A thread in the background that waits for work is no part of the cycle."""
    text, tokens = failure(two_locks, Deadlock)

    assert text.startswith(
        "Deadlock among 2 workers:\n\n  worker 0  holds  Service.left   taken at "
    )
    assert "\n  worker 1  holds  Service.right  taken at " in text
    assert tokens == ["T0x2 T1x*"]


def test_a_thread_made_before_is_called_by_its_name():
    """Where it matters it is told by the name that its maker gave it, and has legs of its own."""
    text, tokens = failure(swept)

    assert [line.split() for line in text.splitlines() if "sweeper " in line] == [
        ["sweeper", "worker", "0"]
    ]
    assert tokens == ["S0x1 T0x*"]
    assert failure(swept, replay=tokens[0])[1] == tokens


@pytest.mark.parametrize("token", ["T0x1 T1x*", "S0x1 T0x1 T1x*", "Bx1 T0x1 T1x*"])
def test_a_token_means_the_workers_of_run(token):
    """Pinned by hand, it is played as it reads."""
    text, tokens = failure(lost_update, replay=token)

    assert tokens == [token]
    assert "worker 0" in text


def test_a_program_of_threads_alone_keeps_its_numbers():
    """Where ``run`` is not called, the threads are the workers, in the order of their start."""

    def body(_run):
        store = Store()
        store.timer.cancel()
        threads = [threading.Thread(target=store.add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.value == 2

    text, tokens = failure(body)

    assert tokens == ["Bx* T1x1 T2x*"]
    assert "worker 1" in text


def test_threads_of_the_same_name_are_told_apart():
    """Two of a kind are the first and the second; what counts them in the process is left out."""

    def body(run):
        total = []
        for _ in range(2):
            threading.Timer(1, lambda: total.append(len(total))).start()
        run(lambda: total.append(len(total)), lambda: total.append(len(total)))
        run(lambda: total.append(len(total)), lambda: total.append(len(total)))
        threads = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
        for one in threads:
            one.join()
        assert sorted(total) == list(range(6))

    text, _ = failure(body)

    assert "Timer-" not in text
    assert "worker" in text
