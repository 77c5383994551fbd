"""A private PostgreSQL: made in half a second, gone with the last process that uses it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from pytest_concurrency.db import supervisor
from pytest_concurrency.db.binaries import Binaries, find_binaries
from pytest_concurrency.db.datadir import make_data, readable, run_as, unprivileged
from pytest_concurrency.errors import InternalError, UsageError

SETTINGS = {
    "autovacuum": "off",
    "deadlock_timeout": "10ms",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm is 64 MB in most containers
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "",
    "max_connections": "400",
    "max_prepared_transactions": "20",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "timezone": "UTC",
    "wal_level": "minimal",
}
_MEMORY = Path("/dev/shm")  # noqa: S108  (only in a directory that is ours alone)
_ROOM = 2_000_000_000
_START = 30.0
_STEP = 0.002


@final
class Cluster:
    """One PostgreSQL server in a private directory, shared by the processes of a test run.

    Attributes:
        binaries: The programs it was started from.
        directory: Its directory.
    """

    def __init__(self, *, binaries: Binaries, directory: Path, lock: int, user: str | None) -> None:  # noqa: D107  (made by open_cluster)
        self.binaries = binaries
        self.directory = directory
        self._lock: int | None = lock
        self._user = user
        self._supervisor: int | None = None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its maintenance database."""
        return f"postgresql+psycopg://postgres@/postgres?host={self.directory / 'home'}&port=5432"

    def restart(self) -> None:
        """Let the supervisor stop the server and start it again; every connection is lost."""
        old = supervisor.postmaster(self.directory / "home" / "data")
        _, _, number = json.loads((self.directory / "task").read_text())
        os.kill(number, signal.SIGHUP)
        _await_ready(self.directory, besides=old)

    def keep(self) -> None:
        """Let the server go on after this run; the next run ends it."""
        (self.directory / "keep").touch()

    def close(self) -> None:
        """Leave it; the last to leave stops it and waits until it is gone."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        last = _try_lock(lock)
        os.close(lock)
        kept = (self.directory / "keep").exists()
        deadline = time.monotonic() + _START
        while last and not kept and self.directory.exists() and time.monotonic() < deadline:
            time.sleep(_STEP)
        if self._supervisor is not None and last:
            with suppress(ChildProcessError):
                os.waitpid(self._supervisor, 0)


def open_cluster(*, run: str, source: str | None = None, root: Path | None = None) -> Cluster:
    """Return the server of a test run, started if no process of that run has yet.

    Args:
        run: Names the test run; processes that give the same name share the server.
        source: ``"system"`` or ``"wheel"`` to take PostgreSQL only from there.
        root: Where servers live; by default a directory of this user in memory if there is room,
            else under the temporary one.
    """
    if os.name != "posix":
        msg = (
            "--concurrency-db=postgres: PostgreSQL cannot be started by the plugin on this system. "
            "Write --concurrency-db=postgresql+psycopg://user:password@host/database"
        )
        raise UsageError(msg)
    user = unprivileged()
    usual = _temporary(user) / f"pytest-pg-{os.geteuid()}"
    places = [root or usual] if root or not _has_room(_MEMORY) else [_MEMORY / usual.name, usual]
    for place in places:
        _private(place)
    root = places[-1]
    name = f"run-{hashlib.sha256(run.encode()).hexdigest()[:8]}"
    with _locked(root / "starting"):
        for place in places:
            _sweep(place, besides=name)
            if (found := _join(place / name, user)) is not None:
                return found
        binaries = readable(find_binaries(source=source), root, user)
        return _start(binaries, places[0] / name, user, cache=root)


def _temporary(user: str | None) -> Path:
    """Return the temporary directory, or the system's where another user could not enter it."""
    place = Path(tempfile.gettempdir()).resolve()
    if user is None or all(one.stat().st_mode & 0o001 for one in (place, *place.parents)):
        return place
    return Path("/tmp")  # noqa: S108  (only for a directory that is ours alone)


def _has_room(place: Path) -> bool:
    """Tell whether a file system in memory can hold a server: cloning there is ten times faster."""
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize >= _ROOM and os.access(place, os.W_OK)


def _join(directory: Path, user: str | None) -> Cluster | None:
    """Return the server that another process of this run has started, if it has."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR)
    except OSError:
        return None
    fcntl.flock(lock, fcntl.LOCK_SH)
    task = directory / "task"
    if not task.exists() or supervisor.postmaster(directory / "home" / "data") is None:
        os.close(lock)
        return None
    path, source, _ = json.loads(task.read_text())
    found = Binaries(directory=Path(path), source=source)
    return Cluster(binaries=found, directory=directory, lock=lock, user=user)


def _start(binaries: Binaries, directory: Path, user: str | None, *, cache: Path) -> Cluster:
    supervisor.remove(directory)
    directory.mkdir(mode=0o711)
    make_data(binaries, directory, user, cache=cache)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    task = _task(binaries, directory, user)
    argv = [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(task)]
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    number = os.posix_spawn(sys.executable, argv, os.environ, file_actions=quiet, setsid=True)
    _await_ready(directory)
    (directory / "task").write_text(json.dumps([str(binaries.directory), binaries.source, number]))
    found = Cluster(binaries=binaries, directory=directory, lock=lock, user=user)
    found._supervisor = number  # noqa: SLF001
    return found


def _task(binaries: Binaries, directory: Path, user: str | None) -> dict[str, Any]:
    settings = {**SETTINGS, "unix_socket_directories": str(directory / "home")}
    if binaries.major >= 18:  # noqa: PLR2004  (the version that starts workers for reading)
        settings["io_method"] = "sync"
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [
        str(binaries.directory / "postgres"),
        "-D",
        str(directory / "home" / "data"),
        *options,
    ]
    return {
        "command": command,
        "directory": str(directory),
        "log": str(directory / "log"),
        "user": run_as(user),
    }


def _await_ready(directory: Path, *, besides: int | None = None) -> None:
    deadline = time.monotonic() + _START
    status = directory / "home" / "data" / "postmaster.pid"
    while time.monotonic() < deadline:
        with suppress(OSError):
            told = status.read_text().split()
            if told and told[-1] == "ready" and told[0] != str(besides):
                return
        time.sleep(_STEP)
    log = (directory / "log").read_text(errors="replace").strip().splitlines()[-5:]
    msg = f"PostgreSQL is not ready within {_START:g} s. Its last words:\n" + "\n".join(log)
    raise InternalError(msg)


def _private(root: Path) -> None:
    """Make the directory of this user, and trust no one else's."""
    root.mkdir(mode=0o711, exist_ok=True)
    found = root.lstat()
    if found.st_uid != os.geteuid() or root.is_symlink() or found.st_mode & 0o022:
        msg = (
            f"{root} belongs to another user or can be written by others, so PostgreSQL cannot be "
            "kept there. Set TMPDIR to a directory of your own."
        )
        raise UsageError(msg)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sweep(root: Path, *, besides: str) -> None:
    """Remove the servers whose processes are gone together with their supervisor."""
    for directory in root.glob("run-*"):
        if directory.name == besides:
            continue
        try:
            lock = os.open(directory / "lock", os.O_RDWR)
        except OSError:
            supervisor.remove(directory)
            continue
        if _try_lock(lock):
            supervisor.stop_server(directory / "home" / "data")
            supervisor.remove(directory)
        os.close(lock)
