"""Stand-ins for locks and events; threads of no schedule get the real thing inside."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Hashable
from types import CodeType, TracebackType
from typing import Any, final

from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.record import took
from pytest_concurrency.explore.region import caller, entered, here, unwinding
from pytest_concurrency.explore.stage import Stage

_allocate = _thread.allocate_lock
_RealRLock: Any = threading.RLock
_get_ident = _thread.get_ident
_get_frame = sys._getframe  # noqa: SLF001
_THREADING = vars(threading)


def _origin(depth: int) -> tuple[CodeType, int]:
    frame = _get_frame(depth)
    return frame.f_code, frame.f_lineno


@final
class Lock:
    """Stands in for ``threading.Lock``."""

    __slots__ = ("__weakref__", "_real", "holder", "made", "number", "play", "taken", "touched")

    def __new__(cls) -> Any:
        """Make a stand-in for threads that are controlled, and the real thing for all others."""
        return _allocate() if entered() is None else object.__new__(cls)

    def __init__(self) -> None:
        """Make an open lock."""
        self._real = _allocate()
        self.number = 0
        self.play: object = None
        self.touched: tuple[Touch, ...] = ()
        stage = entered()
        if stage is not None:
            self._enlist(stage)
        self.holder: int | None = None
        self.taken: Any = None
        self.made: tuple[CodeType, int] = _origin(2)

    def acquire(
        self,
        blocking: bool = True,  # noqa: FBT001, FBT002
        timeout: float = -1,
        *,
        _depth: int = 1,
    ) -> bool:
        """Take the lock, as ``threading.Lock.acquire`` does."""
        stage = here()
        if stage is None:
            return self._real.acquire(blocking, timeout)
        frame = _get_frame(_depth)
        touched = self.touched if self.play is stage.serials else self._enlist(stage)
        label = ("acquire" if blocking else "try", id(frame.f_code), frame.f_lasti)
        if not (
            (blocking and not self._real.locked() and stage.passes(label, touched, "acquire"))
            or self._wait(stage, label, blocking, timeout)
        ):
            return False
        if not self._real.acquire(False):
            return False
        if not blocking and stage.started:
            took(stage.trace, touched[0][0])
        worker = stage.current
        self.holder = worker.number
        while frame.f_globals is _THREADING and frame.f_back is not None:
            frame = frame.f_back  # now: later, it will be elsewhere
        self.taken = worker.held[self] = frame, frame.f_lineno
        stage.refresh(self)
        return True

    def _wait(self, stage: Stage, label: Hashable, blocking: bool, timeout: float) -> bool:  # noqa: FBT001
        """Pause before the lock is taken; tell whether it can be, or may be tried."""
        touched, key = self.touched, self.touched[0][0]
        if not blocking:
            if timeout != -1:
                msg = "can't specify a timeout for a non-blocking call"
                raise ValueError(msg)
            stage.operate(label, touched, op="try", key=key)
            return True
        return stage.operate(
            label,
            touched,
            self._free,
            seconds=None if timeout == -1 else timeout,
            wants=self,
            op="acquire",
            key=key,
        )

    def _enlist(self, stage: Stage) -> tuple[Touch, ...]:
        self.touched = ((("lock", stage.serials.of(self)), True),)
        return self.touched

    def _free(self) -> bool:
        return not self._real.locked()

    def release(self, *_raised: object) -> None:
        """Open the lock, whoever holds it."""
        stage = entered()
        if stage is None or stage.aborting:
            if stage is None or self._real.locked():
                self._real.release()
            return
        if not self._real.locked():
            msg = "release unlocked lock"
            raise RuntimeError(msg)
        frame = _get_frame(1)
        touched = self.touched if self.play is stage.serials else self._enlist(stage)
        label = ("release", id(frame.f_code), frame.f_lasti)
        if not stage.passes(label, touched, "release"):
            stage.operate(label, touched, op="release", key=touched[0][0])
        if self.holder is not None:
            stage.workers[self.holder].held.pop(self, None)
        self.holder = self.taken = None
        self._real.release()
        stage.refresh(self)

    def locked(self) -> bool:
        """Whether somebody holds it."""
        stage = here()
        if stage is not None:
            touched = self.touched if self.play is stage.serials else self._enlist(stage)
            key = touched[0][0]
            stage.operate(("locked", *caller(2)), ((key, False),), op="try", key=key)
        return self._real.locked()

    def _is_owned(self) -> bool:
        return self._real.locked()

    def _at_fork_reinit(self) -> None:
        self._real = _allocate()

    __enter__ = acquire
    __exit__ = release
    acquire_lock = acquire
    release_lock = release
    locked_lock = locked


def early() -> Lock:
    """Make a stand-in before a schedule begins, for the threads that it will control."""
    made: Lock = object.__new__(Lock)
    Lock.__init__(made)
    return made


@final
class RLock:
    """Stands in for ``threading.RLock``."""

    __slots__ = ("__weakref__", "_count", "_owner", "_under")

    def __new__(cls) -> Any:
        """Make a stand-in for threads that are controlled, and the real thing for all others."""
        return _RealRLock() if entered() is None else object.__new__(cls)

    def __init__(self) -> None:
        """Make an open lock."""
        self._under = Lock()
        self._under.made = _origin(2)
        self._owner: object = None
        self._count = 0

    def _me(self) -> object:
        return _get_ident()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002
        """Take the lock, or take it once more."""
        if self._owner == self._me():
            self._count += 1
            return True
        taken = self._under.acquire(blocking, timeout, _depth=2)
        if taken:
            self._owner = self._me()
            self._count = 1
        return taken

    def release(self) -> None:
        """Release it once."""
        if self._owner != self._me():
            if unwinding():
                return
            msg = "cannot release un-acquired lock"
            raise RuntimeError(msg)
        self._count -= 1
        if not self._count:
            self._owner = None
            self._under.release()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._under.locked()

    def _is_owned(self) -> bool:
        return self._owner == self._me()

    def _release_save(self) -> tuple[int, object]:
        state = self._count, self._owner
        self._count, self._owner = 0, None
        self._under.release()
        return state

    def _acquire_restore(self, state: tuple[int, object]) -> None:
        self._under.acquire()
        self._count, self._owner = state

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _at_fork_reinit(self) -> None:
        self._under._at_fork_reinit()  # noqa: SLF001
        self._count, self._owner = 0, None

    __enter__ = acquire

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release it."""
        self.release()


def event_class(real: type[Any]) -> type[Any]:
    """Make the stand-in for ``threading.Event``, whose flag is a resource of its own.

    Args:
        real: The real class; what the stand-in makes is an instance of it too.
    """

    class Event(real):  # type: ignore[misc]
        """Stands in for ``threading.Event``."""

        play: object = None
        number = 0

        def __new__(cls, *_given: Any, **_named: Any) -> Any:
            return real() if cls is Event and entered() is None else object.__new__(cls)

        def is_set(self) -> bool:
            return bool(_event_step(self, lambda: self._flag, write=False))

        isSet = is_set  # noqa: N815

        def set(self) -> None:
            _event_step(self, lambda: _raise_flag(self), write=True)

        def clear(self) -> None:
            _event_step(self, lambda: setattr(self, "_flag", False), write=True)

        def wait(self, timeout: float | None = None) -> bool:
            stage = here()
            if stage is None:
                return bool(real.wait(self, timeout))
            touch: Touch = (("event", stage.serials.of(self)), False)
            stage.operate(
                ("wait", *caller(2)), (touch,), lambda: self._flag, seconds=timeout, wants=self
            )
            return bool(self._flag)

    Event.__module__ = "pytest_concurrency.explore.locks"
    Event.__qualname__ = Event.__name__ = "Event"
    return Event


def _event_step(event: Any, act: Callable[[], Any], *, write: bool) -> Any:
    """Look at an event's flag, or change it, as one step; its caller is the event's method."""
    stage = None if unwinding() else here()
    if stage is None:
        return act()
    touch: Touch = (("event", stage.serials.of(event)), write)
    stage.operate(("event", write, *caller(3)), (touch,))
    result = act()
    if write:
        stage.refresh(event)
    return result


def _raise_flag(event: Any) -> None:
    event._flag = True  # noqa: SLF001
    if here() is None:
        with event._cond:  # noqa: SLF001
            event._cond.notify_all()  # noqa: SLF001
