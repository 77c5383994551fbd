"""Event loops that the code under test runs on threads of its own are ordered like the rest."""

import asyncio
import selectors
import socketserver
import sys
import threading
import time

import pytest

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.interleave import interleave

_LONG = 300  # seconds: a slow machine looks as far as any


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def increment(self):
        value = self.value
        self.value = value + 1

    def increment_locked(self):
        with self.lock:
            self.increment()

    async def increment_slowly(self, seconds):
        value = self.value
        await asyncio.sleep(seconds)
        self.value = value + 1


def test_a_loop_that_sleeps_lets_other_workers_run():
    """An hour in ``asyncio.run`` takes no time, and whoever comes meanwhile is seen."""

    def body(run):
        counter = Counter()
        run(lambda: asyncio.run(counter.increment_slowly(3600)), counter.increment)
        assert counter.value == 2

    with pytest.raises(AssertionError):
        interleave(seconds=_LONG)(body)


def test_a_loop_sees_the_time_that_passed():
    """Its clock is that of the workers."""
    seen = []

    def body(run):
        counter = Counter()

        def sleep():
            began = time.monotonic()
            asyncio.run(counter.increment_slowly(3600))
            seen.append(time.monotonic() - began)

        run(sleep, lambda: counter.value)

    assert interleave(seconds=_LONG)(body).exhausted
    assert all(3600 <= seconds < 3601 for seconds in seen)


@pytest.mark.parametrize("method", ["increment", "increment_locked"])
def test_functions_that_a_loop_gives_to_threads_are_ordered(method):
    """A race between two of them is found, and a lock removes it."""

    def body(_run):
        counter = Counter()
        call = getattr(counter, method)

        async def both():
            await asyncio.gather(asyncio.to_thread(call), asyncio.to_thread(call))

        asyncio.run(both())
        assert counter.value == 2

    if method == "increment":
        with pytest.raises(AssertionError):
            interleave(seconds=_LONG)(body)
    else:
        interleave(schedules=50, seconds=_LONG)(body)


def test_calls_to_the_loop_of_another_thread_are_ordered():
    """Two workers hand coroutines to one loop, which both wait for."""

    def body(run):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        counter = Counter()

        def call():
            asyncio.run_coroutine_threadsafe(counter.increment_slowly(1), loop).result()

        try:
            run(call, call)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        assert counter.value == 2

    with pytest.raises(AssertionError):
        interleave(seconds=_LONG)(body)


def test_a_loop_that_nobody_stops_is_a_deadlock():
    """It is told at once, and not after a time limit."""
    line = sys._getframe().f_lineno + 7

    def body(run):
        loop = asyncio.new_event_loop()

        def serve():
            try:
                loop.run_forever()
            finally:
                loop.close()

        thread = threading.Thread(target=serve)
        thread.start()
        run(*[lambda: loop.call_soon_threadsafe(int)] * 2)
        thread.join()

    with pytest.raises(Deadlock) as caught:
        interleave(body)

    assert str(caught.value) == (
        "Deadlock: 1 worker waits for ever:\n"
        "\n"
        "  Thread (serve)  waits  in loop.run_forever()"
        f"  at test_selecting.py:{line}  loop.run_forever()\n"
        "\n"
        "Nobody is left who could let it go on."
    )


def test_a_loop_in_the_background_ends_with_the_body():
    """A daemon that goes on for ever, once a minute, is left behind."""

    def body(run):
        counter = Counter()

        async def forever():
            while True:  # noqa: ASYNC110
                await asyncio.sleep(60)

        threading.Thread(target=lambda: asyncio.run(forever()), daemon=True).start()
        run(counter.increment_locked, counter.increment_locked)

    interleave(schedules=20, seconds=_LONG)(body)


class Echo(socketserver.StreamRequestHandler):
    """Sends a line back."""

    def handle(self):
        self.wfile.write(self.rfile.readline())


@pytest.fixture
def server():
    """An address that nobody orders: a real server on a real thread."""
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving.server_address
        serving.shutdown()
        thread.join()


def test_what_comes_from_outside_is_really_waited_for(server):
    """A loop with a connection open gets its answer before its own timer, in any order."""
    found = []

    def body(run):
        counter = Counter()

        async def ask():
            reader, writer = await asyncio.open_connection(*server)
            writer.write(b"hello\n")
            found.append(await asyncio.wait_for(reader.readline(), 3600))
            writer.close()
            await writer.wait_closed()

        run(lambda: (counter.increment_locked(), asyncio.run(ask())), counter.increment_locked)

    interleave(schedules=5, seconds=_LONG)(body)

    assert found == [b"hello\n"] * len(found)


def test_selectors_are_put_back():
    """Nothing of ours stays behind."""
    select = selectors.DefaultSelector.select
    wake = asyncio.BaseEventLoop.call_soon_threadsafe

    def body(run):
        counter = Counter()
        run(counter.increment_locked, lambda: asyncio.run(counter.increment_slowly(1)))

    interleave(schedules=5, seconds=_LONG)(body)

    assert selectors.DefaultSelector.select is select
    assert asyncio.BaseEventLoop.call_soon_threadsafe is wake
