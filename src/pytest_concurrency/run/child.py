"""The side of a worker process: it loads its calls, waits for the word, and tells what came."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import logging
import pickle
import signal
import sys
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic_ns, sleep
from types import ModuleType
from typing import Any

from pytest_concurrency.run.executors import Row
from pytest_concurrency.run.plan import Step
from pytest_concurrency.run.worker import Worker


class LostValue(RuntimeError):
    """A worker process returned or raised something that cannot be sent back."""


def main(connection_fd: int, dump_fd: int) -> None:
    """Serve one worker. Started by ``processes`` in a fresh interpreter."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    faulthandler.register(signal.SIGUSR1, file=dump_fd, all_threads=False)
    with Connection(connection_fd) as connection:
        try:
            job: dict[str, Any] = pickle.loads(connection.recv_bytes())  # noqa: S301 - our parent's
            warnings.filters[:] = pickle.loads(job["filters"])  # type: ignore[index]  # noqa: S301
            for name, path in job["modules"].items():
                load_module(name, path)
            steps: tuple[Step, ...] = pickle.loads(job["steps"])  # noqa: S301 - our parent's
        except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
            connection.send(("broken", "".join(traceback.format_exception(error))))
            return
        connection.send(("ready", None))
        room = job["room"] and Path(job["room"])
        _serve(connection, steps, Worker(**job["worker"], room=lambda: room))


def load_module(name: str, path: str | None) -> None:
    """Import a module by its name, or from its file if that name means another one here."""
    if name == "__main__":
        sys.modules["__main__"] = _from_file("__mp_main__", path or "")
        return
    try:
        module = importlib.import_module(name)
    except ImportError:
        if path is None:
            raise
    else:
        if path is None or getattr(module, "__file__", None) == path:
            return
    sys.modules[name] = _from_file(name, path)


def _from_file(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"{name} cannot be loaded from {path!r}"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _serve(connection: Connection, steps: tuple[Step, ...], worker: Worker) -> None:
    log = _LogBox()
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.NOTSET)
    while True:
        try:
            start_ns = connection.recv()
        except EOFError:  # the parent has gone
            return
        if start_ns is None:
            return
        with warnings.catch_warnings(record=True) as caught:
            sleep(max(0, start_ns - monotonic_ns()) / 1e9)
            rows = [_make(step, worker) for step in steps]
        sys.stdout.flush()
        sys.stderr.flush()
        seen = [(_sendable_warning(one), one.filename, one.lineno) for one in caught]
        notes = [list(getattr(row[5], "__notes__", ())) for row in rows]
        connection.send(("round", (rows, notes, log.take(), seen, worker.has_drawn)))
        worker.round += 1


def _make(step: Step, worker: Worker) -> Row:
    value, error = None, None
    begun = monotonic_ns()
    try:
        value = step.bind(worker)()
    except BaseException as raised:  # noqa: BLE001 - nothing a worker raises is lost
        error = raised
    ended = monotonic_ns()
    if error is not None:
        error = _sendable_error(error, worker)
    elif not _can_send(value):
        text = f"{worker.name} returned {value!r}, which cannot be pickled. Return plain data."
        value, error = None, LostValue(text)
    return worker.index, worker.round, begun, ended, value, error


def _sendable_error(error: BaseException, worker: Worker) -> BaseException:
    frames = traceback.extract_tb(error.__traceback__)[1:]
    lines = "".join(traceback.format_list(frames)).rstrip()
    error.add_note(f"In the process of {worker.name}:\n{lines}")
    error.__traceback__ = error.__context__ = None
    for sendable in (error, _Traveller(error)):
        if _can_send(sendable):
            return sendable
    lost = LostValue(f"{type(error).__name__}: {error}")
    for note in error.__notes__:
        lost.add_note(note)
    return lost


class _Traveller(BaseException):
    """Carries an exception whose class hides where it lives, as those of pytest do."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(*error.args)
        self._error = error
        self.__notes__ = list(error.__notes__)

    def __reduce__(self) -> tuple[Any, ...]:
        kind = type(self._error)
        home = getattr(kind.__init__, "__globals__", {}).get("__name__", kind.__module__)
        return _arrive, (home, kind.__qualname__, self._error.args, dict(self._error.__dict__))


def _arrive(home: str, name: str, args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    kind = getattr(importlib.import_module(home), name)
    error: BaseException = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _sendable_warning(one: warnings.WarningMessage) -> Warning:
    message = one.message if isinstance(one.message, Warning) else one.category(one.message)
    return message if _can_send(message) else UserWarning(f"{one.category.__name__}: {message}")


def _can_send(value: object) -> bool:
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - a __reduce__ of the user's may do anything
        return False
    return True


class _LogBox(logging.Handler):
    """Keeps log records until they are sent to the parent."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = dict(record.__dict__, msg=record.getMessage(), args=None, exc_info=None)
        except Exception:  # noqa: BLE001 - logging's own way to treat a wrong format
            self.handleError(record)
            return
        if record.exc_info:
            fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
        for name, value in fields.items():
            if not _can_send(value):
                fields[name] = repr(value)
        self._records.append(fields)

    def take(self) -> list[dict[str, Any]]:
        taken, self._records = self._records, []
        return taken
