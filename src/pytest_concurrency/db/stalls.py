"""A worker that waits for itself: for a transaction that it left open in another session."""

from __future__ import annotations

import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from pytest_concurrency.db.connection import WatchedConnection
    from pytest_concurrency.db.scope import Scope
    from pytest_concurrency.db.waits import Wait

LOOK_SECONDS = 0.25
"""How long a statement is left alone before it is asked whom it waits for."""

PATIENCE_NS = 2_000_000_000
"""How long such a wait may last: a time-out of the database's own is the better end of it."""


@final
class Stalls:
    """Watches the sessions of a scope from a thread of its own, and ends what cannot go on."""

    def __init__(self, scope: Scope) -> None:
        """Watch a scope's sessions.

        Args:
            scope: The scope.
        """
        self._scope = scope
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._found: dict[str, str] = {}

    def start(self) -> None:
        """Begin, once there are two sessions."""
        if self._thread is None and len(self._scope.sessions) > 1:
            self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def explain(self, error: BaseException, name: str) -> None:
        """Add to the error that ended a session's wait that nobody could have ended it."""
        text = self._found.pop(name, None)
        if text is not None:
            error.add_note(f"\n{text}")

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for name in list(self._scope.sessions):
                self._look(name)

    def _look(self, name: str) -> None:
        found = self._scope.found(name)
        statement = None if found is None else found.current
        if found is None or statement is None or self._steps(name):
            return
        lasted = perf_counter_ns() - statement.started_ns
        if lasted < LOOK_SECONDS * 1e9:
            return
        wait = self._scope.look(name, statement.started_ns)
        if wait is None or found.current is not statement:
            return
        if self._stuck(wait, found.worker, frozenset({name})):
            self._found[name] = _own_text(name, wait)
            if lasted > PATIENCE_NS and found.patience is None:
                self._scope.cancel(name)
        elif wait.blocked_by and all(map(self._left_open, wait.blocked_by)):
            self._found[name] = _left_text(name, wait)  # its opener may still end it

    def _steps(self, name: str) -> bool:
        return self._scope.sessions[name]._active_step() is not None  # noqa: SLF001

    def _stuck(self, wait: Wait, worker: object, asking: frozenset[str]) -> bool:
        """Whether all that block it wait for the same worker to go on."""
        return bool(wait.blocked_by) and all(
            self._waits_for(name, worker, asking) for name in wait.blocked_by
        )

    def _waits_for(self, name: str, worker: object, asking: frozenset[str]) -> bool:
        if name in asking:
            return True
        found = self._scope.found(name) if name in self._scope.sessions else None
        if found is None:
            return False
        if not self._steps(name):
            return found.current is None and self._drives(worker, name, found)
        wait = self._scope.look(name, 0)
        return wait is not None and self._stuck(wait, worker, asking | {name})

    def _left_open(self, name: str) -> bool:
        """Whether a session is in a transaction of a worker that has ended."""
        found = self._scope.found(name) if name in self._scope.sessions else None
        if found is None or self._steps(name) or found.current is not None:
            return False
        is_alive = getattr(found.worker, "is_alive", None)
        done = getattr(found.worker, "done", None)
        return (is_alive is not None and not is_alive()) or (done is not None and bool(done()))

    def _drives(self, worker: object, name: str, found: WatchedConnection) -> bool:
        """Whether an idle session goes on only when this worker says so."""
        thread = getattr(self._scope.sessions[name], "_thread", None)
        by_steps = thread is not None and found.worker is thread.thread
        return found.worker is worker or (by_steps and worker is self._scope.opener)


def _left_text(name: str, wait: Wait) -> str:
    holders = " and ".join(wait.blocked_by)
    ended = "the worker has ended" if len(wait.blocked_by) == 1 else "their workers have ended"
    return (
        f"{name} waited for {holders} ({wait.lock}), left in a transaction: {ended}.\n"
        "Commit or roll back before the worker ends; an attribute read after a commit begins anew."
    )


def _own_text(name: str, wait: Wait) -> str:
    holders = " and ".join(wait.blocked_by)
    return (
        f"{name} waited for {holders} ({wait.lock}), whose transaction only the same worker can "
        f"end.\nCommit or roll back {holders} first, or write `waiting = {name}.start(...)`."
    )
