"""Workers as processes: fresh interpreters, started together, none left behind."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import warnings
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, monotonic_ns
from typing import Any, final

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.run.executors import Row, check_sendable
from pytest_concurrency.run.hang import AT_THE_GATE, Hanging
from pytest_concurrency.run.outcome import Outcome
from pytest_concurrency.run.process import Child, Echo
from pytest_concurrency.run.recording import Ending, Recording, is_fatal
from pytest_concurrency.run.tally import count, workers_text
from pytest_concurrency.run.threads import GRACE

START_LIMIT = 30.0
"""Seconds that interpreters and their imports may take at least; the deadline is the calls'."""
HEAD_START_NS = 2_000_000
"""How long before the start the word is given, so that it has reached every process."""


class WorkerDied(BrokenPromise):
    """A worker's process ended before its calls did.

    Attributes:
        outcome: The calls that had ended.
    """

    __module__ = "pytest_concurrency"

    outcome: Outcome[Any]


@final
class ProcessCrew:
    """The processes of one run."""

    def __init__(self, recording: Recording) -> None:
        """Prepare the crew; no process runs yet."""
        self.recording = recording
        self.children: list[Child] = []
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()

    def run(self, timeout: float | None) -> Ending:
        """Run all workers to their end, or to the deadline."""
        plan = self.recording.plan
        try:
            self._check()
            self._start()
            limit = None if timeout is None else monotonic() + max(timeout, START_LIMIT)
            for stage in range(plan.rounds + 1):
                if stage == 1 and timeout is not None:
                    limit = monotonic() + timeout
                late = self._stage(stage, limit)
                if late:
                    return Ending(hanging=self._examine(late, is_last=stage == plan.rounds))
                if self.recording.fatal is not None:
                    break
            self.recording.has_ended = [True] * plan.workers
        finally:
            self._stop()
        return Ending()

    def _check(self) -> None:
        if os.name != "posix":
            msg = "concurrent_runner(on='processes') needs POSIX. Use on='threads' here."
            raise UsageError(msg)
        check_sendable(self.recording.plan.steps, "another process")

    def _start(self) -> None:
        for worker in self.recording.workers:
            try:
                child = Child(worker, self.recording.plan.steps[worker.index])
            except OSError as error:
                msg = (
                    f"concurrent_runner(workers={self.recording.plan.workers}): the system does "
                    f"not start the process of {worker.name} ({error}). "
                    f"Use workers={max(1, worker.index // 2)}, or rounds=."
                )
                raise UsageError(msg) from None
            self.children.append(child)
            self._selector.register(child.connection, selectors.EVENT_READ, child)
            for stream, sink in (
                (child.process.stdout, Echo("stdout")),
                (child.process.stderr, Echo("stderr")),
            ):
                if stream is not None:
                    self._selector.register(stream, selectors.EVENT_READ, sink)

    def _stage(self, stage: int, limit: float | None) -> list[int]:
        """Give the word for a round, and wait for all to tell; return who is late."""
        if stage > 0:
            start_ns = monotonic_ns() + HEAD_START_NS + 50_000 * len(self.children)
            for child in self.children:
                with suppress(OSError):  # it has died, which it will be asked about next
                    child.connection.send(start_ns)
        waiting = {child.worker.index for child in self.children}
        while waiting:
            rest = None if limit is None else limit - monotonic()
            if rest is not None and rest <= 0:
                return sorted(waiting)
            for key, _ in self._selector.select(rest):
                if isinstance(key.data, Child):
                    self._hear(key.data)
                    waiting.discard(key.data.worker.index)
                else:
                    self._pass_on(key)
        return []

    def _examine(self, late: list[int], *, is_last: bool) -> tuple[Hanging, ...]:
        """Ask those who are late where they are; the others have ended, or wait for them."""
        return tuple(
            child.stack()
            if child.worker.index in late
            else Hanging(worker=child.worker.index, places=(), reason=AT_THE_GATE)
            for child in self.children
            if child.worker.index in late or not is_last
        )

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        """Write what a worker printed where the test's own output goes."""
        part = os.read(key.fd, 65536)
        key.data.write(part)
        if not part:
            self._selector.unregister(key.fileobj)

    def _hear(self, child: Child) -> None:
        try:
            kind, told = child.connection.recv()
        except (EOFError, OSError):
            raise self._obituary(child) from None
        if kind == "broken":
            msg = f"{child.worker.name} cannot load its calls in a fresh process:\n{told}"
            raise UsageError(msg)
        if kind == "round":
            rows, notes, records, seen, has_drawn = told
            _restore_notes(rows, notes)
            self.recording.rows[child.worker.index] += rows
            if has_drawn:
                _ = child.worker.random
            _replay_logs(records)
            _replay_warnings(seen)
            fatal = [row[5] for row in rows if row[5] is not None and is_fatal(row[5])]
            self.recording.fatal = self.recording.fatal or next(iter(fatal), None)

    def _obituary(self, child: Child) -> WorkerDied:
        try:
            code = child.process.wait(GRACE)
        except subprocess.TimeoutExpired:  # it lives, but has closed what we hear it by
            code = child.kill()
        peers = [one.worker.index for one in self.children if one.process.poll() is None]
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        after = count(len(self.recording.rows[child.worker.index]), "finished call")
        stopped = f"\nThe others were stopped: {workers_text(peers)}." if peers else ""
        hint = (
            "\nThe system does that to processes that take too much memory."
            if code == -signal.SIGKILL
            else ""
        )
        return WorkerDied(
            f"The process of {child.worker.name} (pid {child.process.pid}) {how} after {after}."
            f"{hint}{stopped}"
        )

    def _stop(self) -> None:
        for child in self.children:
            with suppress(OSError):
                child.connection.send(None)
            if self.recording.has_ended[child.worker.index]:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(GRACE)
        for child in self.children:
            child.kill()
        self._drain()
        self._selector.close()
        for child in self.children:
            child.close()

    def _drain(self) -> None:
        """Pass on what is left, but wait for no grandchild that keeps a stream open."""
        limit = monotonic() + GRACE
        while monotonic() < limit:
            ready = [key for key, _ in self._selector.select(0) if isinstance(key.data, Echo)]
            if not ready:
                break
            for key in ready:
                self._pass_on(key)
        for key in self._selector.get_map().values():
            if isinstance(key.data, Echo):
                key.data.write(b"")


def _restore_notes(rows: Sequence[Row], notes: Sequence[Sequence[str]]) -> None:
    """Give errors the notes back that they lost on their way."""
    for row, mine in zip(rows, notes, strict=True):
        for note in mine:
            if row[5] is not None and note not in getattr(row[5], "__notes__", ()):
                row[5].add_note(note)


def _replay_logs(records: Sequence[dict[str, Any]]) -> None:
    """Handle a worker's log records here, where handlers and levels are the user's."""
    for fields in records:
        logger = logging.getLogger(fields["name"])
        if logger.isEnabledFor(fields["levelno"]):
            logger.handle(logging.makeLogRecord(fields))


def _replay_warnings(seen: Sequence[tuple[Warning, str, int]]) -> None:
    for warning, path, line in seen:
        warnings.warn_explicit(warning, type(warning), path, line)
