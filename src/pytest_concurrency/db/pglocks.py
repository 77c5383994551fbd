"""PostgreSQL's answers about locks: 0.02 ms a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, final

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BLOCKERS = "SELECT pg_blocking_pids({0}) || pg_safe_snapshot_blocking_pids({0})"

_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

_LOCKS = """
SELECT locktype, mode, relation::regclass::text, page, tuple, classid, objid, objsubid,
       (SELECT array_agg(quote_ident(a.attname) ORDER BY array_position(i.indkey::int2[], a.attnum))
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE i.indrelid = l.relation AND i.indisprimary)
FROM pg_locks l
WHERE pid = {0} AND (NOT granted OR locktype = 'tuple')
ORDER BY granted DESC
"""


class _Lock(NamedTuple):
    """A row of ``pg_locks``, with the columns of the table's primary key."""

    kind: str
    mode: str
    table: str
    page: int
    tuple: int
    high: int
    low: int
    parts: int
    keys: list[str] | None


@final
class PostgresProbe:
    """Asks ``pg_blocking_pids`` and ``pg_locks``."""

    names_at_once = True

    def waiting(self, control: Connection) -> frozenset[int]:
        """Return the numbers of all processes that wait for a lock."""
        return frozenset(number for (number,) in _rows(control, _WAITING))

    def blockers(self, control: Connection, number: int) -> tuple[int, ...] | None:
        """Return the process numbers that block another; ``None`` if it runs."""
        (found,) = _rows(control, _BLOCKERS.format(number))[0]
        # A prepared transaction blocks as process 0; parallel workers repeat their leader.
        return tuple(dict.fromkeys(found)) if found else None

    def lock(self, control: Connection, number: int) -> str:
        """Return what a process waits for: a row with its key where the server tells."""
        locks = [_Lock(*row) for row in _rows(control, _LOCKS.format(number))]
        for lock in locks:
            if lock.kind == "tuple":
                return f"row {_row(control, lock)}"
        return _words(locks[-1]) if locks else "a lock"

    def cancel(self, control: Connection, number: int) -> None:
        """Cancel the statement of a process."""
        control.exec_driver_sql(f"SELECT pg_cancel_backend({number})")


def _rows(control: Connection, sql: str) -> list[Any]:
    """Ask past SQLAlchemy, which would take longer than the server."""
    try:
        cursor = control.connection.cursor()
        try:
            cursor.execute(sql)
            return list(cursor.fetchall())
        finally:
            cursor.close()
    except Exception:
        control.invalidate()
        raise


def _row(control: Connection, lock: _Lock) -> str:
    """Return ``account(id=1)``; the row's address if its key cannot be read."""
    address = f"({lock.page},{lock.tuple})"
    if lock.keys:
        query = f"SELECT {', '.join(lock.keys)} FROM {lock.table} WHERE ctid = '{address}'"  # noqa: S608
        for row in _rows(control, query):
            pairs = zip(lock.keys, row, strict=True)
            return f"{lock.table}({', '.join(f'{key}={value!r}' for key, value in pairs)})"
    return f"{lock.table} at {address}"


def _words(lock: _Lock) -> str:
    if lock.kind == "relation":
        return f"table {lock.table} ({lock.mode})"
    if lock.kind == "transactionid":
        return "the end of its transaction"
    if lock.kind == "advisory":
        both, single = f"{lock.high}, {lock.low}", (lock.high << 32) | lock.low
        return f"advisory lock {both if lock.parts == 2 else single}"  # noqa: PLR2004  (objsubid 2: two keys)
    return f"{lock.kind} ({lock.mode})"
