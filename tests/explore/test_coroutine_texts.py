"""What failures of coroutines say, in full: who is cancelled, who waits, and what is outside.

A line of this file is written as what stands in it: ``[await save()]``.
"""

# ruff: noqa: E501 - texts are as wide as they are shown

import asyncio
import contextlib
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.outside import Uncontrolled

HERE = Path(__file__).read_text(encoding="utf-8").splitlines()


def said(body, error):
    """Return all that a failure says, its places as the lines that stand there."""
    with pytest.raises(error) as caught:
        interleave(body)
    text = "\n".join([str(caught.value), *caught.value.__notes__])
    text = re.sub(r"\(?schedule \d+, [\d,.]+ m?s\)?", "(...)", text)
    return re.sub(
        r"test_coroutine_texts\.py:(\d+)", lambda at: f"[{HERE[int(at[1]) - 1].strip()}]", text
    ).strip("\n")


def expected(text):
    return dedent(text).strip("\n")


async def pause():
    await asyncio.sleep(0)


# ---- cancellation -----------------------------------------------------------------------------


def test_cancelled_worker_is_shown_where_it_stood():
    """Who is cancelled at which line, and what it had changed before, tell what is not undone."""

    def body(run):
        connections = []

        async def use():
            connections.append("open")
            await asyncio.sleep(1)
            connections.pop()

        run(use, cancel=0)
        assert not connections

    assert said(body, AssertionError).partition("\n\n")[2] == expected("""
        This order breaks it, without preemption (...):

          worker 0
        1 [connections.append("open")]  connections.append("open")
                                      connections: [] -> ['open']
        2 [await asyncio.sleep(1)]  await asyncio.sleep(1)
                                      is cancelled here

        Replay: interleave(replay='T0x*')
    """)


def test_worker_that_cancels_another_is_named():
    """A worker that cancels another is told at the other's line."""

    async def body(run):
        saved = []

        async def save():
            saved.append("begun")
            await pause()
            saved.append("done")

        async def impatient():
            task = asyncio.create_task(save())
            await pause()
            task.cancel()
            await asyncio.wait([task])

        await run(impatient(), pause())
        assert saved in ([], ["begun", "done"])

    assert "is cancelled here, by worker 0 (impatient)" in said(body, AssertionError)


def test_time_out_is_told_as_what_cancels():
    """A time-out cancels what it is around, and the task that this awaits."""

    async def body(run):
        flights = {}

        async def load():
            await asyncio.sleep(2)

        async def get():
            if "page" not in flights:
                flights["page"] = asyncio.ensure_future(load())
            await flights["page"]

        async def impatient():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await get()

        await run(impatient(), get())

    text = said(body, asyncio.CancelledError)

    assert re.search(r"await flights\[\"page\"\]\s+is cancelled here: time is up", text)
    assert re.search(r"await asyncio.sleep\(2\)\s+is cancelled here: time is up", text)


# ---- deadlocks --------------------------------------------------------------------------------


def kept_by_one_that_ended(run):
    places = asyncio.Semaphore(1)

    async def use():
        await places.acquire()

    run(use, use)


def kept_by_one_that_was_cancelled(run):
    lock = asyncio.Lock()

    async def use():
        await lock.acquire()
        await pause()
        lock.release()

    async def parent():
        task = asyncio.ensure_future(use())
        await pause()
        task.cancel()
        await asyncio.wait([task])
        await use()

    run(parent)


class Pool:
    def __init__(self):
        self.changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def connection(self):
        async with self.changed:
            await self.changed.wait()
        yield


def within_a_context_manager(run):
    pool = Pool()

    async def use():
        async with pool.connection():
            pass

    run(use)


def in_foreign_code_alone(run):
    start = asyncio.Barrier(3)

    run(start.wait, start.wait)


def for_the_whole_of_a_queue(run):
    jobs = asyncio.Queue()

    async def work():
        await jobs.put("a")
        await jobs.join()

    run(work)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            kept_by_one_that_ended,
            """
            Deadlock: 1 worker waits for what nobody will ever do.

              worker 1  wants  places  at       [await places.acquire()]  await places.acquire()
              worker 0  holds  places  taken at [await places.acquire()]  and has ended
            """,
        ),
        (
            kept_by_one_that_was_cancelled,
            """
            Deadlock: 1 worker waits for what nobody will ever do.

              worker 0  wants  lock  at       [await lock.acquire()]  await lock.acquire()
              worker 1  holds  lock  taken at [await lock.acquire()]  and was cancelled
            """,
        ),
        (
            within_a_context_manager,
            """
            Deadlock: 1 worker waits for what nobody will ever do.

              worker 0  wants  pool.changed  at       [await self.changed.wait()]  await self.changed.wait()
            """,
        ),
        (
            in_foreign_code_alone,
            """
            Deadlock: 2 workers wait for what nobody will ever do.

              worker 0  wants  start
              worker 1  wants  start
            """,
        ),
        (
            for_the_whole_of_a_queue,
            """
            Deadlock: 1 worker waits for what nobody will ever do.

              worker 0  wants  jobs  at       [await jobs.join()]  await jobs.join()
            """,
        ),
    ],
)
def test_deadlock_tells_what_is_waited_for(body, text):
    """What is waited for has the name that the code gives it, and whoever keeps it is told."""
    assert said(body, Deadlock).partition("\n\nFound by")[0] == expected(text)


# ---- threads ----------------------------------------------------------------------------------

OUTSIDE = (
    " is outside the event loop.\n"
    "Its order cannot be controlled: await points are explored in coroutines alone.\n"
    "Replace it by a coroutine of the test, or use concurrent_runner."
)


def goes_on_after_its_step(run):
    async def save():
        threading.Thread(target=time.sleep, args=(0,), daemon=True).start()
        helper = threading.Thread(target=lambda: None)
        helper.start()
        await pause()
        helper.join()

    run(save, pause)


def calls_the_loop(run):
    async def wait():
        loop = asyncio.get_running_loop()
        reply = loop.create_future()
        caller = threading.Thread(target=lambda: loop.call_soon_threadsafe(reply.set_result, 1))
        caller.start()
        try:
            await reply
        finally:
            caller.join()

    run(wait, pause)


@pytest.mark.parametrize(
    ("body", "line"),
    [(goes_on_after_its_step, "helper.start()"), (calls_the_loop, "caller.start()")],
)
def test_thread_that_outlives_its_step_is_refused(body, line):
    """A thread of the code under test that goes on beside other workers is in no order of ours."""
    text = said(body, Uncontrolled).partition("\n\n")[0]

    assert text == f"[{line}]: a thread{OUTSIDE}"


def test_wait_for_a_thread_of_a_library_is_no_deadlock():
    """Who waits for a pool of threads waits for what is outside, and that is said."""

    def body(run):
        async def count():
            with ThreadPoolExecutor(1, "counting") as pool:
                return await asyncio.wrap_future(pool.submit(len, "abc"))

        run(count, pause)

    text = said(body, Uncontrolled).partition("\n\n")[0]

    assert (
        text
        == f"[return await asyncio.wrap_future(pool.submit(len, \"abc\"))]: the thread 'counting_0'{OUTSIDE}"
    )


def test_threads_that_end_within_a_step_are_let_be():
    """A step may use threads, as long as they end with it."""

    def body(run):
        found = []

        async def count():
            with ThreadPoolExecutor(2) as pool:
                found.extend(pool.map(len, ["a", "bc"]))
            helper = threading.Thread(target=found.append, args=(3,))
            helper.start()
            helper.join()
            await pause()

        run(count, count)
        assert found == [1, 2, 3, 1, 2, 3]

    assert interleave(body).complete == 2


def test_play_that_waits_for_a_thread_leaves_none():
    """Threads that call the loop of a play that is over are let go."""
    before = threading.active_count()

    def body(run):
        async def call():
            loop = asyncio.get_running_loop()

            def ask():
                asked = pause()
                with contextlib.suppress(BaseException):
                    asyncio.run_coroutine_threadsafe(asked, loop).result()
                asked.close()  # a loop that is over takes none

            caller = threading.Thread(target=ask)
            callers.append(caller)
            caller.start()
            await loop.create_future()

        run(call, pause)

    callers = []
    said(body, Uncontrolled)
    for caller in callers:
        caller.join(10)

    assert threading.active_count() == before


# ---- locks of threads -------------------------------------------------------------------------


def test_lock_of_threads_is_no_obstacle_to_a_timeline():
    """A schedule that enters a lock of threads is explained as any other."""

    def body(run):
        lock, account = threading.Lock(), {"balance": 0}

        async def deposit():
            with lock:
                balance = account["balance"]
            await pause()
            account["balance"] = balance + 10

        run(deposit, deposit)
        assert account["balance"] == 20

    text = said(body, AssertionError)

    assert "['balance']: 10 -> 10" in text
    assert "<- worker 1's write is lost" in text
