"""What stands in for what while a schedule is played, and its putting back."""

from __future__ import annotations

import _thread
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, final

from pytest_concurrency.explore import clock, processes, threads
from pytest_concurrency.explore.bindings import Change, bindings
from pytest_concurrency.explore.locks import Lock, RLock, early, event_class
from pytest_concurrency.explore.numbers import Numbers, Replacement
from pytest_concurrency.explore.queues import SimpleQueue
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.selecting import SELECTOR, of_loops, select

_CLOCKS = (("monotonic", 1), ("time", 1), ("perf_counter", 1))
_NANO_CLOCKS = ("monotonic_ns", "time_ns", "perf_counter_ns")

_INHERITED: Final = object()
"""Stands for what a class does not have itself."""


@final
class StandIns:
    """Replaces names of the standard library, and the same where code imported them."""

    def __init__(self, scope: Scope) -> None:
        """Find what to replace.

        Args:
            scope: Whose modules may have imported the names before.
        """
        self._changes: list[tuple[Any, str, Any, Any]] = []
        self._stand_in: dict[int, Any] = {}
        self._joined: set[str] = set()
        self._numbers = Numbers()
        self._bound: list[Change] = []
        self._plan()
        self._own(scope)

    def _plan(self) -> None:
        event = event_class(threading.Event)
        self._replace(threading.Lock, Lock, (threading, "Lock"), (threading, "_allocate_lock"))
        self._replace(threading.RLock, RLock, (threading, "RLock"))
        self._replace(threading.Event, event, (threading, "Event"))
        self._replace(queue.SimpleQueue, SimpleQueue, (queue, "SimpleQueue"))
        self._replace(time.sleep, clock.sleep, (time, "sleep"))
        for name, unit in (*_CLOCKS, *((name, 1_000_000_000) for name in _NANO_CLOCKS)):
            real = getattr(time, name)
            self._replace(real, clock.shifted(real, unit), (time, name))
        self._change(threading, "_time", self._stand_in[id(time.monotonic)])
        self._change(queue, "time", self._stand_in[id(time.monotonic)])
        self._replace(
            _thread.start_new_thread,
            threads.start_new_thread,
            *((_thread, name) for name in ("start_new_thread", "start_new")),
        )
        for name in ("start", "join", "is_alive"):
            self._change(threading.Thread, name, getattr(threads, name))
        self._change(SELECTOR, "select", select)
        for change in self._numbers.of_class(threading.Thread):
            self._change(*change)

    def _replace(self, real: Any, stand_in: Any, *places: tuple[Any, str]) -> None:
        self._stand_in[id(real)] = stand_in
        for owner, name in places:
            self._change(owner, name, stand_in)

    def _change(self, owner: Any, name: str, new: Any) -> None:
        self._changes.append((owner, name, vars(owner).get(name, _INHERITED), new))

    def _own(self, scope: Scope) -> None:
        for module in scope.own_modules():
            for name, value in list(vars(module).items()):
                new = self._stand_in.get(id(value))
                if new is not None:
                    self._changes.append((module, name, value, new))
            self._bound.extend(bindings(module, self._stand_in))

    def enter(self) -> None:
        """Put the stand-ins in place."""
        self._join_late()
        self._numbers.restart()
        for owner, name, _, new in self._changes:
            setattr(owner, name, new)
        for bind, _, bound in self._bound:
            bind(bound)

    def _join_late(self) -> None:
        """Replace what is in modules that were loaded since the last play."""
        for name, changes in (
            ("concurrent.futures.thread", _of_pools),
            ("concurrent.futures._base", self._numbers.of_futures),
            ("asyncio.base_events", of_loops),
            ("concurrent.futures.process", processes.of_executors),
            ("multiprocessing.pool", processes.of_pools),
            ("multiprocessing.process", processes.of_processes),
        ):
            module = sys.modules.get(name)
            if module is not None and name not in self._joined:
                self._joined.add(name)
                for change in changes(module):
                    self._change(*change)

    def leave(self) -> None:
        """Put everything back that is in place; this can be done twice."""
        futures = sys.modules.get("concurrent.futures.thread")
        if futures is not None:
            for thread in list(futures._threads_queues):  # noqa: SLF001
                if hasattr(thread, "_explored_worker"):
                    del futures._threads_queues[thread]  # noqa: SLF001
        for bind, was, _ in reversed(self._bound):
            bind(was)
        for owner, name, old, _ in reversed(self._changes):
            if old is not _INHERITED:
                setattr(owner, name, old)
            elif name in vars(owner):
                delattr(owner, name)


def _of_pools(module: Any) -> Iterator[Replacement]:
    yield module, "_global_shutdown_lock", early()
