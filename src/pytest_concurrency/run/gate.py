"""The gate: many workers wait before it, all are let through at once."""

from __future__ import annotations

import threading
from typing import final


class GateAborted(Exception):
    """The gate was shut for good: a peer could not start, or the run is ending."""


@final
class Gate:
    """A barrier that lets through without a queue and can be shut for good.

    ``threading.Barrier`` wakes its waiters into a second queue, for the lock of its condition; here
    each waiter sleeps on a lock of its own and is free as soon as that is released.
    """

    __slots__ = ("_aborted", "_arrived", "_guard", "_locks", "_patience", "late")

    def __init__(self, parties: int, *, patience: float | None = None) -> None:
        """Make a gate.

        Args:
            parties: How many workers it waits for.
            patience: Seconds to wait for all of them before letting through who is there;
                for executors, which may run fewer at a time.
        """
        self._locks = [threading.Lock() for _ in range(parties)]
        for lock in self._locks:
            lock.acquire()
        self._guard = threading.Lock()
        self._arrived = 0
        self._aborted = False
        self._patience = patience
        self.late: bool = False
        """Whether patience ran out before all had arrived."""

    def wait(self, index: int) -> None:
        """Wait as worker ``index`` until all have arrived.

        Raises:
            GateAborted: The gate was shut.
        """
        if self._aborted:
            raise GateAborted
        with self._guard:
            self._arrived += 1
            last = self._arrived == len(self._locks)
            if last:
                self._arrived = 0
        if last:
            self._release(but=index)
        elif self.late:
            pass
        elif self._patience is None:
            self._locks[index].acquire()
        elif not self._locks[index].acquire(timeout=self._patience):
            self.late = True
            self._release(but=index)
        if self._aborted:
            raise GateAborted

    def abort(self) -> None:
        """Shut the gate: whoever waits, and whoever comes, is sent home."""
        self._aborted = True
        self._release(but=None)

    def _release(self, *, but: int | None) -> None:
        for index, lock in enumerate(self._locks):
            if index != but and lock.locked():
                try:
                    lock.release()
                except RuntimeError:  # its waiter ran out of patience in the same moment
                    continue
