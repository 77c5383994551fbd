"""Waiting for what happens elsewhere: a call repeated until it shows what is expected."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar, final, overload

from pytest_concurrency.errors import BrokenPromise, UsageError, is_on_purpose
from pytest_concurrency.run.plan import describe
from pytest_concurrency.run.tally import count
from pytest_concurrency.slo.figures import format_duration
from pytest_concurrency.slo.quantities import seconds

__tracebackhide__ = is_on_purpose

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
_MOST_SHOWN: Final = 200


@overload
def eventually(
    call: Callable[[], Coroutine[Any, Any, T]],
    *,
    until: Callable[[T], object] = bool,
    timeout: float | str = "5s",
) -> Awaitable[T]: ...


@overload
def eventually(
    call: Callable[[], T], *, until: Callable[[T], object] = bool, timeout: float | str = "5s"
) -> T: ...


def eventually(
    call: Callable[[], Any], *, until: Callable[[Any], object] = bool, timeout: float | str = "5s"
) -> Any:
    """Call again and again until the value is as expected, and return it.

    >>> seen = iter([0, 0, 3])
    >>> eventually(lambda: next(seen), until=lambda number: number > 2)
    3

    A call that raises an ``Exception`` has not shown it yet. The time is looked at between calls:
    one that does not return is not interrupted.

    Args:
        call: What to call, without arguments; a coroutine function is awaited in the caller's
            loop: ``await eventually(fetch)``.
        until: Tells whether a value is the one waited for; any true value if left out.
        timeout: Seconds, or ``"10s"``, after which there is a last look.

    Returns:
        The first value that is as expected; for a coroutine function an awaitable of it.

    Raises:
        BrokenPromise: It did not come in time; the text shows what was seen last.
        UsageError: The arguments mean nothing.
    """
    look = _Look(call, until, timeout)
    if inspect.iscoroutinefunction(call):
        return _awaited(look, call)
    for pause in look.pauses():
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 - it may be gone at the next call
            look.note_error(error)
        else:
            look.refuse_coroutine(value)
            if look.is_over(value):
                return value
        time.sleep(pause())
    raise look.failure() from look.error


async def _awaited(look: _Look, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    trio = sys.modules.get("trio")
    is_trio = trio is not None and trio.lowlevel.in_trio_run()
    sleep: Callable[[float], Awaitable[None]] = trio.sleep if trio and is_trio else asyncio.sleep
    for pause in look.pauses():
        try:
            value = await call()
        except Exception as error:  # noqa: BLE001 - it may be gone at the next call
            look.note_error(error)
        else:
            if look.is_over(value):
                return value
        await sleep(pause())
    raise look.failure() from look.error


@final
class _Look:
    """What was seen so far, and how long to look on."""

    def __init__(
        self, call: Callable[[], Any], until: Callable[[Any], object], timeout: float | str
    ) -> None:
        for name, given in (("call", call), ("until", until)):
            if not callable(given):
                msg = f"eventually({name}={given!r}): it cannot be called. Give a function."
                raise UsageError(msg)
        self._name = describe(call)
        self._until = until
        self._limit = seconds(timeout, where=f"eventually(timeout={timeout!r})")
        if self._limit <= 0:
            msg = f"eventually(timeout={timeout!r}): waiting needs time. Write timeout='5s'."
            raise UsageError(msg)
        self._calls = 0
        self._seen: str = ""
        self._since = self._begun = time.monotonic()
        self.error: Exception | None = None

    def pauses(self) -> Iterator[Callable[[], float]]:
        """Yield for each call what tells how long to pause after it, to the last look."""
        length, is_last = _FIRST_PAUSE, False
        while not is_last:
            is_last = self._rest() <= 0
            self._calls += 1
            yield lambda length=length: max(0.0, min(length, self._rest()))  # type: ignore[misc]
            length = min(2 * length, _LONGEST_PAUSE)

    def _rest(self) -> float:
        return self._begun + self._limit - time.monotonic()

    def is_over(self, value: object) -> bool:
        """Note a value, and say whether it is the one waited for."""
        if self._until(value):
            return True
        self.error = None
        self._note(f"last saw     {_shortened(repr(value))}")
        return False

    def note_error(self, error: Exception) -> None:
        """Note what a call raised."""
        self.error = error
        self._note(f"last raised  {_shortened(repr(error))}")

    def _note(self, text: str) -> None:
        if text != self._seen:
            self._seen, self._since = text, time.monotonic()

    def failure(self) -> BrokenPromise:
        """Return what to say when the time is over."""
        now = time.monotonic()
        took, unchanged = (format_duration(1e9 * (now - at)) for at in (self._begun, self._since))
        return BrokenPromise(
            f"Not within {format_duration(1e9 * self._limit)}: {self._name}\n"
            f"  {self._seen}\n"
            f"  unchanged    for {unchanged}\n"
            f"  looked       {count(self._calls, 'time')} in {took}"
        )

    def refuse_coroutine(self, value: object) -> None:
        """Refuse what nobody awaits."""
        if not inspect.iscoroutine(value):
            return
        value.close()
        msg = (
            f"eventually({self._name}): it returned a coroutine, which nobody awaits. "
            "Pass the coroutine function itself: await eventually(fetch)."
        )
        raise UsageError(msg)


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
