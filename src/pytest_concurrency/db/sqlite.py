"""SQLite, set up so that concurrency is real and safe."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, final

from pytest_concurrency.db.begin import STATEMENTS, Begin, make_safe, refuse_unknown
from pytest_concurrency.db.database import Build, Database

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_PREFIX = "pytest-concurrency-sqlite-"


@final
class SqliteServer:
    """SQLite databases of one process, in a private directory or in memory.

    Attributes:
        backend: ``"sqlite"``.
        begin: How transactions begin: ``"immediate"``, ``"deferred"`` or ``"driver"``.
        memory: Whether databases live in memory (SQLite's ``memdb``), where no reader goes on
            while a writer commits, instead of in files with a write-ahead log.
    """

    backend = "sqlite"

    def __init__(
        self,
        *,
        begin: Begin = "immediate",
        memory: bool = False,
        directory: Path | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Prepare a place for databases.

        Args:
            begin: How transactions begin; see ``make_safe``.
            memory: Whether to keep the databases in memory.
            directory: Where to make a private directory for the files; by default where
                temporary files are.
            timeout: How many seconds a statement waits for a lock.
        """
        refuse_unknown(begin, "SqliteServer")
        self.begin: Begin = begin
        self.memory = memory
        self._timeout = timeout
        self._directory: Path | None = None
        if not memory:
            # One of its own everywhere: processes that share a run would overwrite each other.
            parent = directory or Path(tempfile.gettempdir())
            _sweep(parent)
            self._directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        self._templates: dict[str, _FileTemplate | _MemoryTemplate] = {}
        self._numbers = count(1)
        self._kept = False

    def template(self, name: str, build: Build) -> _FileTemplate | _MemoryTemplate:
        """Return the template of this name, built by ``build(engine)`` if it is not there yet."""
        found = self._templates.get(name)
        if found is None:
            made = self._memory_template if self.memory else self._file_template
            found = self._templates[name] = made(name, build)
        return found

    ask = None

    def describe(self) -> str:
        """Return one line for a header."""
        where = "in memory" if self.memory else "file, WAL"
        begin = {"driver": "the driver begins"}.get(self.begin, STATEMENTS.get(self.begin, ""))
        return f"SQLite {sqlite3.sqlite_version} ({where}, {begin})"

    def stop(self) -> None:
        """Delete every database that is not kept."""
        for template in self._templates.values():
            template.forget()
        self._templates.clear()
        if not self._kept and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _file_template(self, name: str, build: Build) -> _FileTemplate:
        directory = self._directory or Path(tempfile.gettempdir())
        path = directory / f"template-{next(self._numbers)}.db"
        _build(_file_url(path), build, lambda engine: self._prepare(engine, wal=True))
        return _FileTemplate(name=name, path=path, server=self)

    def _memory_template(self, name: str, build: Build) -> _MemoryTemplate:
        url, holder = _memory_url(f"/pytest-concurrency-{id(self)}-{next(self._numbers)}")
        _build(url, build, lambda engine: self._prepare(engine, wal=False))
        image = sqlite3.connect(":memory:", check_same_thread=False)
        holder.backup(image)
        holder.close()
        return _MemoryTemplate(name=name, image=image, server=self)

    def _prepare(self, engine: Engine, *, wal: bool) -> Engine:
        return make_safe(engine, begin=self.begin, timeout=self._timeout, wal=wal)

    def _next(self) -> int:
        return next(self._numbers)

    def _keep(self) -> None:
        self._kept = True
        if self._directory is not None:
            (self._directory / "kept").touch()


@final
class _FileTemplate:
    """A file in WAL mode, copied for every test: 17,000 rows in about a millisecond."""

    def __init__(self, *, name: str, path: Path, server: SqliteServer) -> None:
        self.name = name
        self._path = path
        self._server = server

    def clone(self) -> Database:
        path = self._path.with_name(f"clone-{self._server._next()}.db")  # noqa: SLF001
        shutil.copyfile(self._path, path)
        return Database(
            backend="sqlite",
            url=_file_url(path),
            connect_command=f"sqlite3 {path}",
            drop=lambda: _delete(path),
            keep=self._server._keep,  # noqa: SLF001
            # The copied file is in WAL mode already; asking again would take its lock.
            prepare=lambda engine: self._server._prepare(engine, wal=False),  # noqa: SLF001
        )

    def forget(self) -> None:
        _delete(self._path)


@final
class _MemoryTemplate:
    """A database in memory, copied page by page for every test."""

    def __init__(self, *, name: str, image: sqlite3.Connection, server: SqliteServer) -> None:
        self.name = name
        self._image = image
        self._server = server

    def clone(self) -> Database:
        number = self._server._next()  # noqa: SLF001
        url, holder = _memory_url(f"/pytest-concurrency-{id(self)}-{number}")
        self._image.backup(holder)
        return Database(
            backend="sqlite",
            url=url,
            connect_command="(in memory: it ended with the test; choose SQLite files to keep one)",
            drop=holder.close,
            keep=holder.close,
            prepare=lambda engine: self._server._prepare(engine, wal=False),  # noqa: SLF001
        )

    def forget(self) -> None:
        self._image.close()


def _sweep(parent: Path) -> None:
    """Remove the directories of processes that were killed, except those with kept databases."""
    if os.name != "posix":  # where asking whether a process lives can end it
        return
    for directory in parent.glob(f"{_PREFIX}*"):
        number = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not _lives(int(number)) and not (directory / "kept").exists():
            shutil.rmtree(directory, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _build(url: URL, build: Build, prepare: Callable[[Engine], Engine]) -> None:
    from sqlalchemy import create_engine

    engine = prepare(create_engine(url))
    try:
        with engine.connect():
            build(engine)
    finally:
        engine.dispose()


def _file_url(path: Path) -> URL:
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path))


def _memory_url(name: str) -> tuple[URL, sqlite3.Connection]:
    """Return the URL of an in-memory database and the connection that keeps it alive."""
    from sqlalchemy.engine import URL

    file = f"file:{name}"
    holder = sqlite3.connect(f"{file}?vfs=memdb", uri=True, check_same_thread=False)
    return URL.create("sqlite", database=file, query={"vfs": "memdb", "uri": "true"}), holder


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
