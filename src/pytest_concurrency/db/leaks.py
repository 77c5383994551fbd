"""What a test left open in its database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal

from pytest_concurrency.db.connection import WatchedConnection
from pytest_concurrency.db.place import Place
from pytest_concurrency.db.statement import Statement, sql_text
from pytest_concurrency.db.watch import EngineWatch

if TYPE_CHECKING:
    from sqlalchemy import Connection

Told = dict[int, tuple[str | None, list[str]]]
Kind = Literal["transaction", "connection", "dirty", "lock", "shared"]

_LEFT = {
    "transaction": ("transaction open", "transactions open"),
    "connection": ("connection out of the pool", "connections out of the pool"),
    "lock": ("advisory lock held", "advisory locks held"),
}
_ELSE = {
    "dirty": ("returned {} inside a transaction", "connection", "connections"),
    "shared": ("shared {} between workers", "session", "sessions"),
}
_WIDTH = 58
_LOOKS = 5
_MOMENT = 0.003
_SOON = 0.5
_SECOND = 1_000_000_000

_POSTGRES = """
SELECT a.pid, a.state, extract(epoch FROM clock_timestamp() - a.xact_start) AS age,
       a.query, l.classid, l.objid, l.objsubid
FROM pg_stat_activity a
LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
WHERE a.datname = %(name)s AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
  AND (a.state LIKE 'idle in transaction%%' OR l.objid IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One thing that was left open.

    Attributes:
        kinds: What is wrong with this connection.
        connection: The server's number of the connection.
        session: The session that had it, if it has a name.
        facts: What it is, for how long, and its last statement, as text.
        opened: The line that took the connection out of the pool.
        used: The line that used it last.
    """

    kinds: tuple[Kind, ...]
    connection: int
    session: str | None
    facts: str
    opened: Place | None
    used: Place | None

    def lines(self) -> list[str]:
        """Return the two lines that show it."""
        name = f"connection {self.connection}"
        lines = [f"  {name}  {self.facts}"]
        by = f' by session "{self.session}"' if self.session else ""
        said = [f"opened{by} at {self.opened}"] if self.opened else []
        said += [f"used last at {self.used}"] if self.used else []
        if said:
            lines.append(f"  {'':<{len(name)}}  {', '.join(said)}")
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakReport:
    """Everything a test left open. False if that is nothing.

    Attributes:
        leaks: One for each connection with something wrong.
    """

    leaks: tuple[Leak, ...]

    def __bool__(self) -> bool:
        """Return whether anything was left open."""
        return bool(self.leaks)

    def __str__(self) -> str:
        """Return what was left open, where, and what closes it."""
        rows = [line for leak in self.leaks for line in leak.lines()]
        return "\n".join([f"The test {self._counts()}:", "", *rows, *self._advice()])

    def _count(self, kind: str) -> int:
        return sum(kind in leak.kinds for leak in self.leaks)

    def _counts(self) -> str:
        left = [
            f"{count} {words[count != 1]}"
            for kind, words in _LEFT.items()
            if (count := self._count(kind))
        ]
        said = [f"left {_join(left)}"] if left else []
        for kind, (sentence, one, many) in _ELSE.items():
            if count := self._count(kind):
                said.append(sentence.format(f"{count} {one if count == 1 else many}"))
        return _join(said)

    def _advice(self) -> list[str]:
        names = [leak.session for leak in self.leaks if leak.session] or ["ann"]
        quoted = ", ".join(f'"{name}"' for name in names)
        target = f"({', '.join(names)},)" if len(names) == 1 else f"({', '.join(names)})"
        used = f"with separate_sessions({quoted}) as {target}:"
        advice: dict[Kind, str] = {
            "transaction": f"Close the session, or use it as a context manager:  {used}",
            "connection": f"Close the session, or use it as a context manager:  {used}",
            "dirty": "Roll back when COMMIT fails: the next session would commit what is open.",
            "lock": "Release it, or take one that ends by itself: pg_advisory_xact_lock.",
            "shared": "Give each worker a session of its own:  sessions.own() in each worker.",
        }
        return list(dict.fromkeys(text for kind, text in advice.items() if self._count(kind)))


def find_leaks(
    watch: EngineWatch, *, ask: Callable[[], Connection] | None = None, database: str | None = None
) -> LeakReport:
    """Return what the connections of an engine left open; costs some 0.2 ms.

    Args:
        watch: The watch of the engine.
        ask: Returns a connection of our own to the same PostgreSQL, MariaDB or MySQL server;
            without it only what the drivers know is told, and no advisory lock is found.
        database: The database's name, if it is not that of the engine's URL.
    """
    told: Told = {}
    for _ in range(_LOOKS):
        told = _told(watch, ask, database) if ask is not None else {}
        if told.keys() <= {one.number for one in watch.connections}:
            break
        # A connection that was closed just now takes the server a moment to forget.
        time.sleep(_MOMENT)
    leaks = [leak for one in watch.connections if (leak := _leak(one, told.pop(one.number, None)))]
    leaks += [_stranger(number, *facts) for number, facts in told.items()]
    return LeakReport(leaks=tuple(leaks))


def close_leaks(watch: EngineWatch) -> None:
    """Close every connection that was left open or returned dirty, so that the next test can go on.

    Args:
        watch: The watch of the engine.
    """
    for one in watch.connections:
        proxy = one.proxy() if one.proxy is not None else None
        if proxy is not None and _is_idle(one):
            with suppress(Exception):
                proxy.invalidate()
    if not watch.engine.dialect.is_async:  # which can be disposed of only where it can be awaited
        watch.engine.dispose()


def _is_idle(found: WatchedConnection) -> bool:
    """End the statement that a worker still waits for: closing below it can crash the process."""
    driver: Any = found.driver
    deadline = time.monotonic() + _SOON
    while not (idle := found.current is None or _has_ended(found.worker)):
        if time.monotonic() > deadline:
            break
        with suppress(Exception):  # not every driver can
            driver.cancel() if hasattr(driver, "cancel") else driver.interrupt()
        time.sleep(_MOMENT)
    return idle


def _has_ended(worker: object) -> bool:
    """Tell whether a thread or a task that was stopped in a statement is no more."""
    alive, done = getattr(worker, "is_alive", None), getattr(worker, "done", None)
    return bool((callable(alive) and not alive()) or (callable(done) and done()))


def _leak(found: WatchedConnection, told: tuple[str | None, list[str]] | None) -> Leak | None:
    locks = told[1] if told else []
    kinds: list[Kind] = []
    if found.checked_out and found.in_transaction:
        kinds.append("transaction")
    if found.checked_out:
        kinds.append("connection")
    if found.returned_dirty:
        kinds.append("dirty")
    if locks:
        kinds.append("lock")
    if found.shared is not None:
        kinds.append("shared")
    if not kinds:
        return None
    last = found.dirty_after or (found.locked if kinds == ["lock"] else None) or found.last
    return Leak(
        kinds=tuple(kinds),
        connection=found.number,
        session=found.session or _named(last),
        facts=_facts(found, kinds, locks, last),
        opened=found.opened,
        used=last.place if last else None,
    )


def _named(last: Statement | None) -> str | None:
    return None if last is None or last.session.startswith("connection ") else last.session


def _facts(
    found: WatchedConnection, kinds: list[Kind], locks: list[str], last: Statement | None
) -> str:
    said: list[str] = []
    if "dirty" in kinds:
        said.append("returned in transaction")
    elif "transaction" in kinds and found.begun_ns is not None:
        said.append(f"idle in transaction {_age(perf_counter_ns() - found.begun_ns)}")
    elif "connection" in kinds:
        said.append("out of the pool, no transaction")
    said += [f"holds {lock}" for lock in locks]
    if "shared" in kinds and found.shared is not None:
        first, second = found.shared
        said.append(f"used at {first} and at {second} at the same time")
    text = ", ".join(said)
    return f"{text}   {last.text(_WIDTH)}" if last is not None else text


def _stranger(number: int, query: str | None, locks: list[str]) -> Leak:
    """Return what a connection left open that belongs to none of the watched engine's."""
    said = [query] if query else []
    kinds: list[Kind] = ["transaction"] if query else []
    if locks:
        kinds.append("lock")
        said += [f"holds {lock}" for lock in locks]
    return Leak(
        kinds=tuple(kinds),
        connection=number,
        session=None,
        facts=", ".join(said),
        opened=None,
        used=None,
    )


def _told(watch: EngineWatch, ask: Callable[[], Connection], database: str | None) -> Told:
    """Return what the server knows: open transactions and session locks, by connection."""
    name = watch.engine.dialect.name
    if name == "postgresql":
        return _postgres(ask(), database or watch.engine.url.database)
    if name in {"mysql", "mariadb"} and any(one.named_locks for one in watch.connections):
        return _mysql(ask(), watch.connections)
    return {}


def _postgres(control: Connection, database: str | None) -> Told:
    found: Told = {}
    for row in control.exec_driver_sql(_POSTGRES, {"name": database}).mappings():
        query = None
        if str(row["state"]).startswith("idle in transaction"):
            age = _age(int(float(row["age"] or 0) * 1e9))
            query = f"idle in transaction {age}   {sql_text(row['query'], width=_WIDTH)}"
        _, locks = found.setdefault(row["pid"], (query, []))
        if row["objid"] is not None:
            high, low = row["classid"], row["objid"]
            single = (high << 32) | low
            locks.append(f"advisory lock {f'{high}, {low}' if row['objsubid'] == 2 else single}")  # noqa: PLR2004  (objsubid 2: two keys)
    return found


def _mysql(control: Connection, connections: Sequence[WatchedConnection]) -> Told:
    """Ask for each lock that was named in a statement who holds it."""
    from pytest_concurrency.db.innodb import lock_names

    found: Told = {}
    for name in sorted({name for one in connections for name in lock_names(one.named_locks)}):
        holder = control.exec_driver_sql("SELECT IS_USED_LOCK(%s)", (name,)).scalar()
        if holder is not None:
            found.setdefault(int(holder), (None, []))[1].append(f"named lock {name!r}")
    return found


def _age(ns: int) -> str:
    return f"{ns / 1e6:.0f} ms" if ns < _SECOND else f"{ns / 1e9:.1f} s"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
