"""Which worker a session belongs to, and the refusal of a second one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final

from pytest_concurrency.db.connection import current_worker
from pytest_concurrency.db.place import Place, calling_place
from pytest_concurrency.errors import BrokenPromise, UsageError


@final
class Ownership:
    """Lets one worker at a time, and one worker only, into a session.

    The worker that opened the session (the test) may use it before and after the worker it
    handed it to, never at the same time.
    """

    def __init__(
        self,
        name: str,
        *,
        opener: object,
        step: Callable[[], str | None],
        share: Callable[[str, Place | None, Place | None], None],
    ) -> None:
        """Guard a session.

        Args:
            name: The session's name.
            opener: The worker that opened it.
            step: Returns the text of the step that still waits, if there is one.
            share: Told where a second worker was refused.
        """
        self.name = name
        self._share = share
        self._opener = opener
        self._step = step
        self._deputy: object = None
        self._owner: object = None
        self._owned_at: Place | None = None
        self._inside: object = None
        self._depth = 0
        self._lock = threading.Lock()

    def appoint(self, deputy: object) -> None:
        """Let a worker of our own act for the one that opened the session."""
        self._deputy = deputy

    def __enter__(self) -> None:
        """Let the current worker in, or refuse it."""
        me = current_worker()
        if me is not self._deputy and self._inside is not me and (text := self._step()) is not None:
            raise UsageError(self.still_in(text))
        with self._lock:
            if self._inside is me:
                self._depth += 1
                return
            if self._inside is not None or not self._may(me):
                self._refuse(me)
            self._inside, self._depth = me, 1
            if self._owner is not me:
                self._owner, self._owned_at = me, calling_place()

    def __exit__(self, *_: object) -> None:
        """Let the next call in."""
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._inside = None

    def is_free(self) -> bool:
        """Tell whether no worker is inside."""
        return self._inside is None

    def still_in(self, text: str) -> str:
        """Return the refusal of a call while a step has not ended."""
        return (
            f"session {self.name!r}: its step has not ended:\n"
            f"  {text}\n"
            "Take its result first, step.result(), once the session that it waits for has ended "
            "its transaction."
        )

    def _may(self, me: object) -> bool:
        test = (None, self._opener, self._deputy)
        return me in test or self._owner in (*test, me)

    def _refuse(self, me: object) -> None:
        here = calling_place()
        self._share(self.name, self._owned_at, here)
        overlap = "at the same time" if self._inside is not None else "one after the other"
        raise BrokenPromise(_refusal(self.name, overlap, self._line(self._owner, self._owned_at),
                                     self._line(me, here)))  # fmt: skip

    def _line(self, worker: object, place: Place | None) -> str:
        name = _worker_name(worker)
        return f"{name}  at {place}  in {place.function}" if place else name


def _refusal(name: str, overlap: str, first: str, second: str) -> str:
    return (
        f"session {name!r} is touched by two workers {overlap}:\n"
        f"  first  {first}\n"
        f"  now    {second}\n"
        "A session belongs to one worker. Give each its own:\n"
        "  with separate_sessions() as sessions:  ...  sessions.own() in each worker"
    )


def _worker_name(worker: object) -> str:
    name = getattr(worker, "get_name", None)
    return str(name()) if callable(name) else str(getattr(worker, "name", worker))
