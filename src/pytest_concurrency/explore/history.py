"""What workers asked of one object and were answered, in the order it happened."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.snapshot import fingerprint, kept, same

_ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call gave back: a value, or the exception that it raised.

    >>> print(Answer(value=3), Answer(error=KeyError("a")))
    -> 3 raises KeyError('a')
    """

    value: Any = None
    error: BaseException | None = None
    waits: bool = False
    """It gave nothing back and never will: it waits for what only another call could do."""

    def __str__(self) -> str:
        """Show the answer as the end of a call."""
        if self.waits:
            return "waits for ever"
        return f"-> {shown(self.value)}" if self.error is None else f"raises {shown(self.error)}"

    def matches(self, other: Answer, *, strictly: bool = True) -> bool:
        """Tell whether both answers are the same.

        Args:
            other: The answer to compare with.
            strictly: Compare what exceptions carry, not only their types.
        """
        if self.waits or other.waits:
            return self.waits and other.waits
        if self.error is None or other.error is None:
            return self.error is other.error and same(self.value, other.value)
        if type(self.error) is not type(other.error):
            return False
        return not strictly or same(_carried(self.error), _carried(other.error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation asked for by one worker.

    ``invoked`` and ``returned`` are moments on one clock, of any unit. A call that never came
    back has neither a moment of return nor an answer; it may have taken effect or not.
    """

    worker: int
    operation: str
    arguments: tuple[Any, ...] = ()
    invoked: int
    returned: int | None = None
    answer: Answer | None = None

    def __post_init__(self) -> None:
        """Refuse a call that returns before it was made, or returns without an answer."""
        if (self.returned is None) != (self.answer is None):
            msg = f"{self}: a call that has returned has an answer, one that has not has none."
            raise UsageError(msg)
        if self.returned is not None and self.returned < self.invoked:
            msg = f"{self}: it returned at {self.returned}, before it was made at {self.invoked}."
            raise UsageError(msg)

    def __str__(self) -> str:
        """Show the call as it would be typed."""
        return f"{self.operation}({', '.join(shown(each) for each in self.arguments)})"


Key: TypeAlias = Callable[[Call], Hashable]
"""Names the part of the object that a call is about; calls on different parts never interact."""


@dataclass(frozen=True, slots=True)
class History:
    """The calls that several workers made of one object, each with its two moments."""

    calls: tuple[Call, ...]

    def __len__(self) -> int:
        """Return how many calls were made."""
        return len(self.calls)

    def __iter__(self) -> Iterator[Call]:
        """Go through the calls in the order in which they were made."""
        return iter(sorted(self.calls, key=lambda call: call.invoked))

    def partition(self, key: Key) -> dict[Hashable, History]:
        """Split the history into one per key, in order of first appearance."""
        parts: dict[Hashable, list[Call]] = {}
        for call in self:
            parts.setdefault(key(call), []).append(call)
        return {name: History(tuple(calls)) for name, calls in parts.items()}


class Recording:
    """Collects a history while it happens: every invocation and every answer, in order.

    Its clock counts events, so two moments are never equal.

    >>> recording = Recording()
    >>> first = recording.invoke(0, "put", (1,))
    >>> recording.answer(first, Answer())
    >>> [str(call) for call in recording.history()]
    ['put(1)']
    """

    __slots__ = ("_answers", "_calls", "_clock", "_events")

    def __init__(self) -> None:
        """Start with no calls."""
        self._clock = 0
        self._events: list[int] = []
        self._calls: list[tuple[int, str, tuple[Any, ...], int]] = []
        self._answers: dict[int, tuple[int, Answer]] = {}

    def invoke(self, worker: int, operation: str, arguments: Iterable[Any] = ()) -> int:
        """Note that a worker makes a call; return the number to answer it by."""
        self._clock += 1
        self._events.append(len(self._calls))
        self._calls.append((worker, operation, kept(tuple(arguments)), self._clock))
        return len(self._calls) - 1

    def answer(self, number: int, answer: Answer) -> None:
        """Note what the call gave back, as it is now."""
        self._clock += 1
        self._events.append(~number)
        if answer.error is None:
            answer = Answer(value=kept(answer.value))
        self._answers[number] = (self._clock, answer)

    def key(self) -> Hashable:
        """Return what tells this recording from others of the same calls."""
        answers = sorted(self._answers.items())
        told = tuple((number, _told(answer)) for number, (_, answer) in answers)
        return tuple(self._events), told

    def history(self) -> History:
        """Return what was recorded so far; calls without an answer are pending."""
        return History(tuple(self._call(number) for number in range(len(self._calls))))

    def _call(self, number: int) -> Call:
        worker, operation, arguments, invoked = self._calls[number]
        returned, answer = self._answers.get(number, (None, None))
        return Call(
            worker=worker,
            operation=operation,
            arguments=arguments,
            invoked=invoked,
            returned=returned,
            answer=answer,
        )


def shown(value: object) -> str:
    """Return the value as typed, without addresses that differ from run to run."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign __repr__ may raise anything
        text = f"<{type(value).__name__}>"
    return _ADDRESS.sub("", text)


def _told(answer: Answer) -> Hashable:
    if answer.error is None:
        return fingerprint(answer.value)
    return type(answer.error), fingerprint(_carried(answer.error))


def _carried(error: BaseException) -> tuple[Any, ...]:
    return tuple(_ADDRESS.sub("", each) if isinstance(each, str) else each for each in error.args)
