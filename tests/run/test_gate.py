"""The gate: all are let through together, or all are sent home."""

from __future__ import annotations

import threading

import pytest

from pytest_concurrency.run.gate import Gate, GateAborted


@pytest.fixture
def start():
    """Return what starts a thread for each function; they are joined at the end."""
    threads = []

    def start_all(*functions):
        for function in functions:
            thread = threading.Thread(target=function, daemon=True)
            thread.start()
            threads.append(thread)
        return threads

    yield start_all
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def waiters(gate):
    """Return how many have arrived."""
    return gate._arrived


def until(condition):
    """Wait for what other threads bring about."""
    step = threading.Event()
    for _ in range(5000):
        if condition():
            return
        step.wait(0.001)
    pytest.fail("the condition never came true")


def test_one_passes_at_once():
    """A gate for one lets it through, again and again."""
    gate = Gate(1)

    for _ in range(3):
        gate.wait(0)


def test_nobody_passes_before_the_last_has_come(start):
    """All but the last wait; then all go on."""
    gate, passed = Gate(3), []

    def pass_through(index):
        gate.wait(index)
        passed.append(index)

    start(lambda: pass_through(0), lambda: pass_through(1))
    until(lambda: waiters(gate) == 2)

    assert passed == []

    pass_through(2)
    until(lambda: len(passed) == 3)
    assert sorted(passed) == [0, 1, 2]


def test_nobody_overtakes_in_the_next_round(start):
    """In every round nobody starts the next call before all have made this one."""
    gate, log, rounds = Gate(4), [], 50

    def work(index):
        for round_ in range(rounds):
            gate.wait(index)
            log.append(round_)

    for thread in start(*[lambda index=index: work(index) for index in range(4)]):
        thread.join(10)

    assert sorted(log) == [round_ for round_ in range(rounds) for _ in range(4)]
    for position, round_ in enumerate(log):
        assert position // 4 - 1 <= round_ <= position // 4 + 1


def test_the_gate_closes_behind_those_it_let_through(start):
    """A release is for one round: in the next, all have to wait again."""
    gate, passed = Gate(2), []

    def work():
        gate.wait(0)
        gate.wait(0)
        passed.append("second round")

    start(work)
    gate.wait(1)
    until(lambda: waiters(gate) == 1)

    assert passed == []
    gate.wait(1)
    until(lambda: passed == ["second round"])


def test_abort_sends_those_who_wait_home(start):
    """Whoever waits when the gate is shut is told."""
    gate, sent_home = Gate(3), []

    def work(index):
        try:
            gate.wait(index)
        except GateAborted:
            sent_home.append(index)

    start(lambda: work(0), lambda: work(1))
    until(lambda: waiters(gate) == 2)
    gate.abort()
    until(lambda: len(sent_home) == 2)

    assert sorted(sent_home) == [0, 1]


def test_abort_sends_those_who_come_home():
    """A gate that is shut stays shut, and shutting it twice does no harm."""
    gate = Gate(2)
    gate.abort()
    gate.abort()

    for _ in range(3):
        with pytest.raises(GateAborted):
            gate.wait(0)


def test_an_abort_that_meets_a_release_is_heard():
    """A worker that was released in the moment the gate was shut is sent home by its next wait."""
    gate = Gate(2)
    gate._locks[0].release()  # as the last to come does
    gate.abort()

    with pytest.raises(GateAborted):
        gate.wait(0)


def test_patience_lets_through_who_is_there():
    """Where fewer can run at a time, those who came go on after a while, and that is known."""
    gate = Gate(3, patience=0.001)

    gate.wait(0)

    assert gate.late


def test_patience_is_lost_once():
    """After it, nobody waits any more: the others come one by one."""
    gate = Gate(3, patience=0.001)
    gate.wait(0)
    gate._patience = 1000

    for index in (0, 0, 0, 1, 1, 2):
        gate.wait(index)

    assert gate.late


def test_patience_is_kept_when_all_come(start):
    """With all there in time, the gate is a plain one."""
    gate = Gate(2, patience=30)
    start(lambda: gate.wait(0))
    gate.wait(1)

    assert not gate.late


def test_an_abort_ends_patience(start):
    """Who waits with patience is sent home too."""
    gate, sent_home = Gate(2, patience=30), []

    def work():
        try:
            gate.wait(0)
        except GateAborted:
            sent_home.append(0)

    (thread,) = start(work)
    until(lambda: waiters(gate) == 1)
    gate.abort()
    thread.join(5)

    assert sent_home == [0]


def test_a_lock_that_another_released_first_is_let_be():
    """Two that release the same worker in the same moment do not trip over each other."""

    class Raced:
        def __init__(self):
            self.lock = threading.Lock()

        def locked(self):
            return True

        def release(self):
            self.lock.release()

    gate = Gate(2)
    gate._locks[0] = Raced()

    gate.abort()

    assert gate._aborted
