"""Stacks of workers, and places as a reader finds them."""

from __future__ import annotations

import asyncio
import faulthandler
import sysconfig
import tempfile
import threading
from pathlib import Path

from pytest_concurrency.run import place, runner
from pytest_concurrency.run.stack import (
    Place,
    all_frames,
    dumped_places,
    places,
    task_frames,
    thread_frames,
)

HERE = str(Path(__file__))


def names(frames):
    return [frame.f_code.co_name for frame in frames]


def test_frames_of_a_thread_are_innermost_first():
    """The own thread's innermost frame is the one that asks."""
    assert names(all_frames(threading.get_ident()))[:2] == [
        "all_frames",
        "test_frames_of_a_thread_are_innermost_first",
    ]


def test_a_thread_that_has_ended_has_no_frames():
    """Neither has one that never started."""
    thread = threading.Thread(target=int)
    assert thread_frames(thread.ident) == []
    thread.start()
    thread.join()
    assert thread_frames(thread.ident) == []


async def inner(frames_of):
    return await frames_of()


async def outer(gate):
    async def wait():
        await gate.wait()

    await inner(wait)


def test_frames_of_a_task_go_down_to_what_it_awaits():
    """All suspended coroutines of a chain, innermost first."""

    async def look():
        coroutine = outer(gate := asyncio.Event())
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        found = names(task_frames(coroutine))
        gate.set()
        await task
        return found, task_frames(coroutine)

    found, after = asyncio.run(look())

    assert found[:2] == ["wait", "wait"]
    assert found[-2:] == ["inner", "outer"]
    assert after == []


def test_frames_of_async_generators_are_found():
    """A worker that iterates over an async generator hangs inside of it."""

    async def rows(gate):
        await gate.wait()
        yield 1

    async def read(gate):
        async for _ in rows(gate):
            pass

    async def look():
        coroutine = read(gate := asyncio.Event())
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        found = names(task_frames(coroutine))
        gate.set()
        await task
        return found

    assert asyncio.run(look())[-1] == "read"


def test_library_frames_are_shown_only_alone():
    """Frames of the user's code tell more; if there are none, those of libraries have to do."""
    frames = all_frames(threading.get_ident())
    shown = places(frames)

    assert {one.path for one in shown} == {HERE}
    stdlib = [frame for frame in frames if "runpy" in frame.f_code.co_filename]
    assert len(places(stdlib)) == len(stdlib)


def test_a_place_reads_as_an_editor_opens_it(monkeypatch):
    """A path from here, the line, and what stands there."""
    monkeypatch.chdir(Path(__file__).parent)
    spot = Place(function="f", path=HERE, line=1)

    assert spot.where == "test_stack.py:1"
    assert spot.source == '"""Stacks of workers, and places as a reader finds them."""'


def test_paths_of_libraries_are_short():
    """Installed packages and Python's own are named from their root."""
    stdlib = sysconfig.get_path("stdlib")

    assert place.short_path("/x/lib/site-packages/sqlalchemy/pool.py") == "sqlalchemy/pool.py"
    assert place.short_path(f"{stdlib}/threading.py") == "threading.py"
    assert place.short_path("/elsewhere/code.py") == "/elsewhere/code.py"


def test_whose_code_it_is():
    """Ours, Python's own, an installed package's, the project's."""
    mine = test_whose_code_it_is.__code__
    ours = runner.concurrent_runner.__code__
    library = threading.Thread.join.__code__
    frozen = compile("", "<frozen importlib._bootstrap>", "exec")
    package = compile("", f"{sysconfig.get_path('stdlib')}/site-packages/x.py", "exec")

    assert [place.is_ours(code) for code in (mine, ours, library)] == [False, True, False]
    assert [place.is_stdlib(code) for code in (mine, ours, library, frozen, package)] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert [place.is_project(code) for code in (mine, ours, library, frozen, package)] == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_a_dump_is_read_back():
    """What faulthandler writes in another process becomes places, the user's first."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=False)
        file.seek(0)
        found = dumped_places(file.read().decode())

    assert found[0].function == "test_a_dump_is_read_back"
    assert {one.path for one in found} == {HERE}


def test_a_dump_ends_at_our_own_frames():
    """What called the worker's call is no news."""
    ours = str(Path(place.__file__).with_name("child.py"))
    text = (
        'Current thread 0x1 (most recent call first):\n  File "/app/booking.py", line 7 in book\n'
        f'  File "{ours}", line 9 in _make\n  File "/app/later.py", line 3 in main\n'
    )

    assert dumped_places(text) == [Place(function="book", path="/app/booking.py", line=7)]
    assert dumped_places("") == []


def test_a_dump_of_library_frames_only_is_kept():
    """Somebody stuck in a library is shown there."""
    path = f"{sysconfig.get_path('stdlib')}/socket.py"
    text = f'  File "{path}", line 5 in accept\n'

    assert dumped_places(text) == [Place(function="accept", path=path, line=5)]


def test_an_error_was_raised_where_the_users_code_was_last(raised):
    """The innermost frame that is neither ours nor Python's."""
    error = raised(KeyError("x"))

    assert place.raised_at(error.__traceback__).startswith("tests/run/conftest.py:")
    assert place.raised_at(None) == ""
