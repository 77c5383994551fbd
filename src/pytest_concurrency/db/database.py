"""A database of one test, the template it was cloned from, and the server that has both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, final

from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pytest_concurrency.db.spares import Spare

Build = Callable[["Engine"], object]

POOL_SIZE = 128
THREAD_SECONDS = 5


class Template(Protocol):
    """A database that was filled once and is cloned for every test."""

    @property
    def name(self) -> str:
        """The name it was declared under."""
        ...

    def clone(self) -> Database:
        """Return a fresh copy, ready to connect to."""
        ...


class Server(Protocol):
    """Something that has databases: a directory of SQLite files, or a server process."""

    @property
    def backend(self) -> str:
        """The back end's name: ``sqlite``, ``postgres``, ``mariadb``."""
        ...

    def template(self, name: str, build: Build) -> Template:
        """Return the template of this name, built by ``build(engine)`` if it is not there yet."""
        ...

    @property
    def ask(self) -> Callable[[], Connection] | None:
        """Returns a connection on which to ask about others; ``None`` if nothing can be asked."""
        ...

    def describe(self) -> str:
        """Return one line for a header: back end, version, where it runs."""
        ...

    def stop(self) -> None:
        """Drop every database that is not kept, and end what was started."""
        ...


@final
class Database:
    """One test's own database. Commits in it are real, and gone with it.

    Attributes:
        backend: The back end's name.
        connect_command: What to type in a shell to look into it.
    """

    def __init__(  # noqa: D107  (made by templates)
        self,
        *,
        backend: str,
        url: URL,
        connect_command: str,
        drop: Callable[[], None],
        keep: Callable[[], None] = lambda: None,
        prepare: Build = lambda engine: engine,
        spare: Spare | None = None,
        kill: Callable[[], None] | None = None,
        restart: Callable[[], None] | None = None,
        async_driver: str | None = None,
    ) -> None:
        self.backend = backend
        self._url = url
        self.connect_command = connect_command
        self._drop = drop
        self._keep = keep
        self._prepare = prepare
        self._spare = spare
        self._kill = kill
        self._restart = restart
        self._async_driver = async_driver
        self._read_only = False
        self._engines: list[Engine] = []
        self._async_engines: list[AsyncEngine] = []
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> URL:
        """The SQLAlchemy URL."""
        # Who connects by it finds no connection there but those of their own.
        self._give_up_spare()
        return self._url

    def engine(self, **options: Any) -> Engine:
        """Return an engine on this database, disposed of when the database is closed.

        Args:
            options: Passed to ``sqlalchemy.create_engine``. Up to 128 connections are allowed
                unless ``pool_size`` or ``poolclass`` says otherwise.
        """
        from sqlalchemy import create_engine

        engine = create_engine(self._url, **_with_pool(options))
        if self._spare is not None:
            self._spare.offer(engine, options)
        self._set_up(engine)
        self._engines.append(engine)
        return engine

    def async_engine(self, *, driver: str | None = None, **options: Any) -> AsyncEngine:
        """Return an async engine on this database.

        Args:
            driver: ``aiosqlite``, ``asyncpg``, ``psycopg``, ``aiomysql``; by default that of
                the setting, else one that fits the back end.
            options: Passed to ``sqlalchemy.ext.asyncio.create_async_engine``.
        """
        from sqlalchemy import event
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import AsyncAdaptedQueuePool

        name = self.url.get_backend_name()
        usual = {"sqlite": "aiosqlite", "postgresql": "psycopg", "mysql": "aiomysql"}
        chosen = driver or self._async_driver or usual.get("mysql" if name == "mariadb" else name)
        url = self.url.set(drivername=f"{name}+{chosen}") if chosen else self.url
        pool = {"poolclass": AsyncAdaptedQueuePool} if "poolclass" not in options else {}
        engine = create_async_engine(url, **_with_pool(options), **pool)
        self._set_up(engine.sync_engine)
        if chosen == "aiosqlite":
            event.listen(engine.sync_engine, "connect", self._remember_thread)
        self._async_engines.append(engine)
        return engine

    def make_read_only(self) -> None:
        """Let the engines that are made from now on refuse to write."""
        self._read_only = True

    def kill_connections(self) -> None:
        """Let the server end every connection to this database, as if it had failed.

        Raises:
            UsageError: There is no server.
        """
        if self._kill is None:
            msg = (
                f"database.kill_connections(): {self.backend} has no server that could end a "
                "connection. Write @pytest.mark.backends('postgres')."
            )
            raise UsageError(msg)
        self._give_up_spare()
        self._kill()

    def restart(self) -> None:
        """Crash and start again the server of this database; what was committed is still there.

        Other databases of the run, those of other processes too, lose their connections with it.

        Raises:
            UsageError: The server was not started by the plugin.
        """
        if self._restart is None:
            msg = (
                f"database.restart(): the plugin did not start a server for {self!r}. "
                "Write --concurrency-db=postgres, or call database.kill_connections()."
            )
            raise UsageError(msg)
        self._restart()

    def close(self, *, keep: bool = False) -> None:
        """Dispose of its engines and drop it.

        Async engines are disposed of on a loop of their own; where their own still runs, ``aclose``
        is kinder to drivers that are bound to it.

        Args:
            keep: Leave the database where it is, for a person to look into.
        """
        self._give_up_spare()
        if self._async_engines:
            _run_apart(self._dispose_async)
        while self._engines:
            self._engines.pop().dispose()
        if keep:
            self._keep()
        else:
            self._drop()

    async def aclose(self, *, keep: bool = False) -> None:
        """Do as ``close`` does, async engines included."""
        await self._dispose_async()
        self.close(keep=keep)

    async def _dispose_async(self) -> None:
        while self._async_engines:
            await self._async_engines.pop().dispose()
        while self._threads:
            self._threads.pop().join(THREAD_SECONDS)

    def _remember_thread(self, dbapi: Any, _: object) -> None:
        # aiosqlite's thread answers that its connection is closed a moment before it ends itself.
        # It is the connection's attribute; in older releases the connection is the thread.
        connection = dbapi.driver_connection
        thread = getattr(connection, "_thread", connection)
        if isinstance(thread, threading.Thread):
            self._threads.append(thread)

    def _give_up_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()

    def _set_up(self, engine: Engine) -> None:
        self._prepare(engine)
        if self._read_only:
            refuse_writes(engine)

    def __enter__(self) -> Database:
        """Return the database itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Return the back end and the URL, without its password."""
        return f"<Database {self._url.render_as_string()}>"


def _run_apart(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Await something on a loop and a thread of its own: this one's loop may run, or have ended."""
    import asyncio

    thread = threading.Thread(target=lambda: asyncio.run(what()), name="dispose of async engines")
    thread.start()
    thread.join()


def refuse_writes(engine: Engine) -> None:
    """Let every connection that an engine makes from now on refuse to write."""
    from sqlalchemy import event

    setting = {
        "sqlite": "PRAGMA query_only=ON",
        "postgresql": "SET default_transaction_read_only = on",
    }.get(engine.dialect.name, "SET SESSION TRANSACTION READ ONLY")

    def refuse(dbapi: Any, _: object) -> None:
        cursor = dbapi.cursor()
        cursor.execute(setting)
        cursor.close()
        dbapi.commit()

    # BEGIN IMMEDIATE would take the write lock, which a reader is refused.
    engine.update_execution_options(sqlite_begin="deferred")
    event.listen(engine, "connect", refuse)


def _with_pool(options: dict[str, Any]) -> dict[str, Any]:
    if not {"pool_size", "poolclass", "pool", "max_overflow"} & options.keys():
        options = {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": 10, **options}
    return options
