"""Workers as processes: fresh interpreters, started together, none left behind."""

from __future__ import annotations

import json
import logging
import os
import pickle
import selectors
import signal
import subprocess
import sys
import warnings
from codecs import getincrementaldecoder
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from time import monotonic, monotonic_ns
from typing import Any, final

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.run.executors import check_sendable
from pytest_concurrency.run.hang import Hanging
from pytest_concurrency.run.plan import Step
from pytest_concurrency.run.recording import Ending, Recording, is_fatal
from pytest_concurrency.run.stack import dumped_places
from pytest_concurrency.run.tally import count, workers_text
from pytest_concurrency.run.threads import GRACE
from pytest_concurrency.run.worker import Worker

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pytest_concurrency.run.child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
HEAD_START_NS = 2_000_000
"""How long before the start the word is given, so that it has reached every process."""


class WorkerDied(BrokenPromise):
    """A worker's process ended before its calls did."""

    __module__ = "pytest_concurrency"


@final
class Child:
    """One worker's process, seen from here."""

    def __init__(self, worker: Worker, steps: tuple[Step, ...]) -> None:
        """Start the process."""
        self.worker = worker
        ours, theirs = Pipe()
        self.connection: Connection = ours
        self._dump, their_dump = os.pipe()
        ends = (theirs.fileno(), their_dump)
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), *map(str, ends)],
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except BaseException:
            self.connection.close()
            os.close(self._dump)
            raise
        finally:
            theirs.close()
            os.close(their_dump)
        with suppress(OSError):  # it has died, which its peers will not have to wait for
            self.connection.send_bytes(pickle.dumps(_job(worker, steps)))

    def stack(self) -> Hanging:
        """Ask the process where it is."""
        text = b""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
            with selectors.DefaultSelector() as selector:
                selector.register(self._dump, selectors.EVENT_READ)
                while selector.select(GRACE if not text else 0.05):
                    part = os.read(self._dump, 65536)
                    text += part
                    if not part:
                        break
        found = dumped_places(text.decode(errors="replace"))
        reason = "" if found else "was still starting"
        return Hanging(worker=self.worker.index, places=tuple(found), reason=reason)

    def kill(self) -> int:
        """End the process now, unless it has ended; return its exit code."""
        with suppress(ProcessLookupError):
            self.process.kill()
        return self.process.wait()

    def close(self) -> None:
        """Give back all that it held."""
        self.connection.close()
        os.close(self._dump)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _job(worker: Worker, steps: tuple[Step, ...]) -> dict[str, Any]:
    room = worker.tmp_path.parent if any(step.wants_worker for step in steps) else None
    modules = {}
    for step in steps:
        name = getattr(step.function, "__module__", None)
        module = sys.modules.get(name or "")
        if name and module is not None:
            modules[name] = getattr(module, "__file__", None)
    return {
        "steps": pickle.dumps(steps),
        "modules": modules,
        "worker": {"index": worker.index, "seed": worker.seed, "title": worker.title},
        "room": str(room) if room is not None else None,
        "filters": _sendable_filters(),
    }


def _sendable_filters() -> bytes:
    kept = []
    for one in warnings.filters:
        with suppress(Exception):
            pickle.dumps(one)
            kept.append(one)
    return pickle.dumps(kept)


@final
class Echo:
    """Writes what a worker printed to the same stream here."""

    def __init__(self, stream: str) -> None:
        """Name the stream, as ``sys`` does; pytest may put another in its place at any time."""
        self._stream = stream
        self._decode = getincrementaldecoder("utf-8")("replace").decode

    def write(self, part: bytes) -> None:
        """Write a part, which may end in the middle of a character."""
        getattr(sys, self._stream).write(self._decode(part))


@final
class ProcessCrew:
    """The processes of one run."""

    def __init__(self, recording: Recording) -> None:
        """Prepare the crew; no process runs yet."""
        self.recording = recording
        self.children: list[Child] = []
        self._selector = selectors.DefaultSelector()

    def run(self, timeout: float | None) -> Ending:
        """Run all workers to their end, or to the deadline."""
        if os.name != "posix":
            msg = "concurrent_runner(on='processes') needs POSIX. Use on='threads' here."
            raise UsageError(msg)
        plan = self.recording.plan
        check_sendable(plan.steps, "another process")
        limit = None if timeout is None else monotonic() + timeout
        try:
            self._start()
            for stage in range(plan.rounds + 1):
                late = self._stage(stage, limit)
                if late:
                    return Ending(hanging=tuple(self.children[index].stack() for index in late))
                if self.recording.fatal is not None:
                    break
            self.recording.has_ended = [True] * plan.workers
        finally:
            self._stop()
        return Ending()

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

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        """Write what a worker printed where the test's own output goes."""
        part = os.read(key.fd, 65536)
        if not part:
            self._selector.unregister(key.fileobj)
            return
        key.data.write(part)

    def _hear(self, child: Child) -> None:
        try:
            kind, told = child.connection.recv()
        except (EOFError, OSError):
            raise self._obituary(child) from None
        if kind == "broken":
            msg = f"{child.worker.name} cannot load its calls in a fresh process:\n{told}"
            raise UsageError(msg)
        if kind == "round":
            rows, records, seen, has_drawn = told
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
        stopped = f"\nIts peers, {workers_text(peers)}, were stopped." if peers else ""
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
                return
            for key in ready:
                self._pass_on(key)


def _replay_logs(records: Sequence[dict[str, Any]]) -> None:
    """Handle a worker's log records here, where handlers and levels are the user's."""
    for fields in records:
        logger = logging.getLogger(fields["name"])
        if logger.isEnabledFor(fields["levelno"]):
            logger.handle(logging.makeLogRecord(fields))


def _replay_warnings(seen: Sequence[tuple[Warning, str, int]]) -> None:
    for warning, path, line in seen:
        warnings.warn_explicit(warning, type(warning), path, line)
