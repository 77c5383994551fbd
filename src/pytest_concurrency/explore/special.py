"""Touches, and those of a step that is more than a touch."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, Final, TypeAlias, final

from pytest_concurrency.explore.program import Touch

Touches: TypeAlias = tuple[Touch, ...]

ITEMS: Final = "[]"
"""The name under which a container's contents are touched."""


@final
class Special(tuple[Touch, ...]):  # noqa: SLOT001 - tuples cannot have any that hold something
    """Touches of a step that is more than a touch.

    Attributes:
        opens: The touched resource is written again when the call returns.
        runs: The code that may run in between, before whose return is a point.
        op: ``acquire``, ``try`` or ``release``, of a real lock.
        lock: The lock, or what else is waited for.
        ready: Whether a real queue has something to give.
        seconds: How long it is waited for at most.
    """

    opens = False
    runs: CodeType | None = None
    op = ""
    lock: Any = None
    ready: Callable[[], bool] | None = None
    seconds: float | None = None

    @classmethod
    def opening(cls, *touched: Touch, runs: object) -> Special:
        """Mark touches that come again when the call returns."""
        made = cls(touched)
        made.opens = True
        made.runs = getattr(runs, "__code__", None)
        return made

    @classmethod
    def locking(cls, op: str, lock: Any, seconds: float | None = None) -> Special:
        """Mark an operation of a real lock."""
        made = cls(((("lock", id(lock)), True),))
        made.op, made.lock, made.seconds = op, lock, seconds
        return made

    @classmethod
    def waiting(cls, touched: Touches, queue: Any, seconds: float | None) -> Special:
        """Mark a wait for a real queue to have something to give."""
        made = cls(touched)
        made.lock, made.seconds = queue, seconds
        made.ready = lambda: not queue.empty()
        return made
