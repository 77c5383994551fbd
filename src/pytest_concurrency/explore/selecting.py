"""Event loops of asyncio that the code under test runs on its threads.

A loop sleeps in its selector. With nothing open but its own wake-up socket only other workers or
its timers can wake it, so it waits like any worker, in virtual time. With sockets open it really
waits for them first, for as long as it would have.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pytest_concurrency.explore.numbers import Replacement
from pytest_concurrency.explore.region import caller, entered, here
from pytest_concurrency.explore.workers import Abandoned

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage

_LONGEST: Final = 5.0
"""Seconds that are really waited for what comes from outside, before time is moved."""
_WAKES: Final = "_read_from_self"
"""The method of a loop that reads its wake-up socket."""

SELECTOR: Final = selectors.DefaultSelector
_select = SELECTOR.select


def select(self: Any, timeout: float | None = None) -> Any:
    """Stand in for the ``select`` of a selector."""
    if _is_left():
        return _last_events(self, timeout)
    stage = here()
    if stage is None or not _is_of_loop(self):
        return _select(self, timeout)
    found = _select(self, 0)
    if found or (timeout is not None and timeout <= 0):
        return found
    if len(self.get_map()) > 1:
        found = _select(self, None if timeout is None else min(timeout, _LONGEST))
        if found:
            return found
    return _wait(stage, self, timeout)


def _is_left() -> bool:
    """Whether a worker that is being unwound still has its loop tidy up."""
    stage = entered()
    return stage is not None and stage.aborting and stage.current.number > 0


def _last_events(selector: Any, timeout: float | None) -> Any:
    found = _select(selector, 0)
    if found or (timeout is not None and timeout <= 0):
        return found
    raise Abandoned  # nobody else runs any more: nothing will come


def _wait(stage: Stage, selector: Any, timeout: float | None) -> Any:
    stage.polling = True
    stage.operate(
        ("select", *caller(3)),
        (_touch(selector),),
        lambda: bool(_select(selector, 0)),
        seconds=timeout,
        wants="select",
    )
    return _select(selector, 0)


def of_loops(module: Any) -> Iterator[Replacement]:
    """Replace ``call_soon_threadsafe``: who wakes a loop meets it.

    Args:
        module: ``asyncio.base_events``.
    """
    real = module.BaseEventLoop.call_soon_threadsafe

    def call_soon_threadsafe(self: Any, *arguments: Any, **given: Any) -> Any:
        stage = None if _is_left() else here()
        selector = getattr(self, "_selector", None)
        if stage is not None and selector is not None:
            stage.operate(("wake", *caller(2)), (_touch(selector),))
        return real(self, *arguments, **given)

    yield module.BaseEventLoop, "call_soon_threadsafe", call_soon_threadsafe


def _touch(selector: Any) -> tuple[tuple[str, int], bool]:
    return ("loop", id(selector)), True


def _is_of_loop(selector: Any) -> bool:
    return any(
        getattr(getattr(handle, "_callback", None), "__name__", "") == _WAKES
        for key in selector.get_map().values()
        if isinstance(key.data, tuple)
        for handle in key.data
    )
