"""Threads that no schedule controls are left alone."""

import os
import queue
import threading

from pytest_concurrency.explore.interleave import interleave


def kinds():
    made = threading.Lock(), threading.RLock(), threading.Event(), queue.SimpleQueue()
    return [*map(type, made), type(threading.Condition()._lock)]


def test_thread_that_is_not_controlled_makes_the_real_things():
    """While a schedule is played its workers make stand-ins, and a live server does not."""
    real, foreign, own = kinds(), [], []
    asked, ask = os.pipe()
    answered, answer = os.pipe()

    def serve():
        while os.read(asked, 1) == b"?":
            foreign.append(kinds())
            os.write(answer, b"!")

    server = threading.Thread(target=serve)
    server.start()

    def body(run):
        state = {"value": 0}

        def work():
            os.write(ask, b"?")
            os.read(answered, 1)
            own.append(kinds())
            state["value"] = 1

        run(work, lambda: state.update(value=2))

    try:
        interleave(body)
    finally:
        os.write(ask, b".")
        server.join()
        for end in (asked, ask, answered, answer):
            os.close(end)

    assert foreign == [real] * len(own)
    assert all(kind not in real for made in own for kind in made)
    assert len(own) > 1
