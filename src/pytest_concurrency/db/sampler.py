"""Looks every millisecond who waits for a lock, while a test asks how long that takes."""

from __future__ import annotations

import threading
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING, final

from pytest_concurrency.db.waits import Probe, Wait, control_engine, inferred_waits, probe_for

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pytest_concurrency.db.connection import WatchedConnection
    from pytest_concurrency.db.watch import EngineWatch

_EVERY = 0.001
_YOUNG_NS = 500_000
_PATIENCE = 5.0
_UNNAMED = Wait(blocked_by=(), lock="a lock")


@final
class WaitSampler:
    """Tells the statements of a watch that they wait, where nobody else asks.

    A step of ``session.start`` is known to wait already. Statements that workers send by
    themselves are asked about here: those that wait for less than two milliseconds may be missed.
    """

    def __init__(self, watch: EngineWatch) -> None:
        """Begin to look.

        Args:
            watch: The watch of an engine.
        """
        self._watch = watch
        self._probe = probe_for(watch.engine)
        self._control: Connection | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lock waits", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join(_PATIENCE)

    def _work(self) -> None:
        while not self._ended.wait(_EVERY):
            old = perf_counter_ns() - _YOUNG_NS
            asked = [one for one in self._watch.connections if _runs_since(one, old)]
            if asked:
                with suppress(Exception):  # a server that was restarted is asked again
                    self._look(asked)
        if self._control is not None:
            self._control.close()
            self._control.engine.dispose()

    def _look(self, asked: list[WatchedConnection]) -> None:
        running = [(one, statement) for one in asked if (statement := one.last) is not None]
        probe = self._probe
        if probe is None:
            waits = inferred_waits(self._watch, asked)
            for one, statement in running:
                if one in waits and one.current is statement:
                    self._watch.note_wait(one, statement, waits[one])
            return
        control = self._connection()
        numbers = probe.waiting(control)
        for one, statement in running:
            # No other has been sent on this connection since, so it is this one that waits.
            if one.number in numbers and one.last is statement:
                self._watch.note_wait(one, statement, _UNNAMED)
                statement.waits[0] = self._named(probe, control, one) or _UNNAMED

    def _named(self, probe: Probe, control: Connection, one: WatchedConnection) -> Wait | None:
        """Return for whom and what a connection waits, if it still does."""
        numbers = probe.blockers(control, one.number) if probe.names_at_once else ()
        if numbers is None:
            return None
        names = tuple(map(self._watch.name_of, numbers))
        return Wait(blocked_by=names, lock=probe.lock(control, one.number))

    def _connection(self) -> Connection:
        if self._control is None or self._control.invalidated:
            self._control = control_engine(self._watch.engine).connect()
        return self._control


def _runs_since(one: WatchedConnection, moment_ns: int) -> bool:
    statement = one.current
    return statement is not None and statement.started_ns < moment_ns and not statement.waits
