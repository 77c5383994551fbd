"""One worker's process, seen from here: what it is told, what it prints, how it is ended."""

from __future__ import annotations

import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, final

from pytest_concurrency.run.hang import Hanging
from pytest_concurrency.run.plan import Step
from pytest_concurrency.run.stack import dumped_places
from pytest_concurrency.run.threads import GRACE
from pytest_concurrency.run.worker import Worker

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pytest_concurrency.run.child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


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
        self._rest = b""

    def write(self, part: bytes) -> None:
        """Write the lines that are complete, or what is left when there is no more."""
        lines, newline, self._rest = (self._rest + part).rpartition(b"\n")
        if not part:
            lines, self._rest = lines + newline + self._rest, b""
        stream = getattr(sys, self._stream)
        stream.write((lines + newline).decode(errors="replace"))
        stream.flush()  # a pipe would keep it until the run is over
