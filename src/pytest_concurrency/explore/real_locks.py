"""Points that are more than a touch: real locks and queues, and values kept when a call returns.

A lock that was made before the schedule began cannot be replaced. Its operations in code under
test are points, and a worker comes to one only when the real thing will not wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from types import FrameType
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.explore.special import Special
from pytest_concurrency.explore.untold import untold

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage


def _free_to(touches: Special, ident: int) -> Callable[[], bool] | None:
    if touches.ready is not None or touches.lock is None or touches.op in {"try", "release"}:
        return touches.ready
    return lambda: is_free(touches.lock, ident)


@final
class HeldLock:
    """A real lock as a key, equal only to itself.

    Whoever took one is written down; that it was given back is seen by the lock alone, as one that
    was taken twice is not free yet.
    """

    __slots__ = ("lock",)

    def __init__(self, lock: Any) -> None:
        """Stand for a lock."""
        self.lock: Any = lock

    def __eq__(self, other: object) -> bool:
        """Be equal to what stands for the same lock."""
        return isinstance(other, HeldLock) and other.lock is self.lock

    def __hash__(self) -> int:
        """Hash the lock's identity."""
        return id(self.lock)

    @property
    def is_taken(self) -> bool:
        """Whether somebody has it now."""
        return not is_free(self.lock, _NOBODY)


def is_free(lock: Any, ident: int) -> bool:
    """Whether a real lock can be taken by a thread now."""
    owner = _OWNER.search(repr(lock))
    if owner is not None:
        return owner[1] in {"0", str(ident)}
    return not lock.locked()


_OWNER = re.compile(r"owner=(\d+)")
_NOBODY = 0


def before_return(stage: Stage, place: Hashable, frame: FrameType) -> None:
    """Pause where a function is about to return what a call keeps that is open."""
    opened, caller = stage.current.open, frame.f_back
    if opened is None or caller is None:
        return
    if opened[0] is caller or opened[0] is caller.f_back:
        stage.point(("return", place), ())


def _open(stage: Stage, point: Hashable, touches: Special, frame: FrameType) -> None:
    """Pause before a call whose touches come again when it returns."""
    if touches.lock is None:
        stage.point(point, touches)
    else:
        stage.polling = True
        stage.operate(point, tuple(touches), _free_to(touches, stage.ident), wants=touches.lock)
    outer = stage.current.open
    both = tuple(touches) if outer is None else (*touches, *outer[1])
    stage.current.open = (frame, both, outer)


def special(stage: Stage, point: Hashable, touches: Special, frame: FrameType) -> None:
    """Pause at a point that is more than a touch."""
    if stage.telling:
        untold(_free_to(touches, stage.ident))
        return
    if touches.opens:
        _open(stage, point, touches, frame)
        return
    if touches.ready is not None:
        stage.polling = True
        stage.operate(
            point, tuple(touches), touches.ready, seconds=touches.seconds, wants=touches.lock
        )
        return
    lock = touches.lock
    key = ("lock", id(lock))
    if touches.op == "release":
        stage.operate(("release", point), ((key, True),), op="release", key=key)
        return
    stage.polling = True
    has_it = stage.operate(
        (touches.op, point),
        ((key, True),),
        _free_to(touches, stage.ident),
        seconds=touches.seconds,
        wants=lock,
        op=touches.op,
        key=key,
    )
    if touches.op == "acquire" and has_it:
        _note(stage, HeldLock(lock), frame)


def _note(stage: Stage, lock: HeldLock, frame: FrameType) -> None:
    """Write down who is about to take a lock, for the first time if it has it already."""
    if not lock.is_taken:
        for worker in stage.workers:
            worker.held.pop(lock, None)
    stage.current.held.setdefault(lock, (frame, frame.f_lineno))
