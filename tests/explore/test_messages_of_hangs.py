"""What is said of workers that do not end, in full."""

# ruff: noqa: E501 - texts are as wide as they are shown

import re
import socket
import threading

import pytest

from pytest_concurrency.explore.failures import Hang
from pytest_concurrency.explore.interleave import interleave


def told(body, **options):
    """Return a hang's text and note, without what differs from run to run."""
    with pytest.raises(Hang) as caught:
        interleave(**options)(body)
    text = f"{caught.value}\n{caught.value.__notes__[-1]}"
    text = re.sub(r"_hangs\.py:\d+ ", "_hangs.py:N ", text)
    return re.sub(r"(schedule 1), [\d,.]+ m?s", r"\1, N s", text)


def test_a_thread_of_a_library_that_waits_outside_is_shown():
    """The one that makes no progress is among those that are listed, though it runs no own code."""
    one, other = socket.socketpair()

    def body(run):
        rows = []
        thread = threading.Thread(target=one.recv, args=(1,), daemon=True)
        thread.start()
        run(lambda: rows.append(1), lambda: rows.append(2))

    with one, other:
        text = told(body, hang=0.05)
        other.send(b"x")

    shown = text.splitlines()
    assert shown[0] == "Hang: worker 0 made no progress for 0.05 s."
    assert [re.sub(r":\d+$", ":N", line) for line in shown if line.startswith("  worker 0")] == [
        "  worker 0  in run              threading.py:N"
    ]


def test_a_worker_that_waits_outside_is_told_at_once():
    """Where everybody stands, why it cannot go on, and what to do; it is not played again."""
    one, other = socket.socketpair()
    plays = []

    def body(run):
        rows = plays
        rows.append(1)

        def wait():
            rows.append(2)
            one.recv(1)

        run(wait, lambda: rows.append(3))

    with one, other:
        text = told(body, hang=0.05)
        other.send(b"x")

    assert plays.count(1) == 1
    assert text == (
        "Hang: worker 0 made no progress for 0.05 s.\n"
        "\n"
        "  the body  in body             test_messages_of_hangs.py:N run(wait, lambda: rows.append(3))\n"
        "  worker 0  in wait             test_messages_of_hangs.py:N one.recv(1)\n"
        "  worker 1  in <lambda>         test_messages_of_hangs.py:N run(wait, lambda: rows.append(3))\n"
        "\n"
        "It waits for something outside of the schedule, which nobody can order. Let the test give it\n"
        "something that does not wait, or use concurrent_runner.\n"
        "\n"
        "Found by schedule 1, N s.\n"
        "Replay: interleave(replay='T0x*')"
    )
