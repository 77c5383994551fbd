"""Who holds which lock of asyncio: known only while a play is explained."""

from __future__ import annotations

import asyncio
from asyncio import Lock, Semaphore
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, Literal

from pytest_concurrency.explore.awaits import Await, here
from pytest_concurrency.explore.loop import Loop

_UNKNOWN = Await(place="an unknown line", source="")


@contextmanager
def watched(loop: Loop, explores: Callable[[CodeType], bool]) -> Iterator[None]:
    """Note who takes and releases locks and semaphores on this loop, until the end of the block."""
    kinds: tuple[Any, ...] = (Lock, Semaphore)
    originals = [(kind, kind.acquire, kind.release) for kind in kinds]
    for kind, acquire, release in originals:
        kind.acquire = _acquire(acquire, loop, explores)
        kind.release = _release(release, loop)
    try:
        yield
    finally:
        for kind, acquire, release in originals:
            kind.acquire = acquire
            kind.release = release


def _acquire(original: Any, loop: Loop, explores: Callable[[CodeType], bool]) -> Any:
    async def acquire(self: Any) -> Literal[True]:
        await original(self)
        worker = _worker(loop)
        if worker is not None:
            loop.holders.setdefault(self, {})[worker] = here(explores) or _UNKNOWN
        return True

    return acquire


def _release(original: Any, loop: Loop) -> Any:
    def release(self: Any) -> None:
        original(self)
        holders = loop.holders.get(self, {})
        worker = _worker(loop)
        if worker in holders:
            del holders[worker]
        elif holders:
            del holders[next(iter(holders))]

    return release


def _worker(loop: Loop) -> int | None:
    if not loop.is_running():
        return None
    task = asyncio.current_task(loop)
    return None if task is None else loop.worker(task)
