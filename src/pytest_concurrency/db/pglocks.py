"""PostgreSQL's answers about locks: 0.02 ms a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BLOCKERS = "SELECT pg_blocking_pids({0}) || pg_safe_snapshot_blocking_pids({0})"

_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

_LOCKS = """
SELECT locktype, mode, granted, relation::regclass::text AS relation, page, tuple,
       classid, objid, objsubid
FROM pg_locks
WHERE pid = {0} AND (NOT granted OR locktype = 'tuple')
ORDER BY granted DESC
"""

_KEY = """
SELECT quote_ident(a.attname)
FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = '{0}'::regclass AND i.indisprimary
ORDER BY array_position(i.indkey::int2[], a.attnum)
"""


@final
class PostgresProbe:
    """Asks ``pg_blocking_pids`` and ``pg_locks``."""

    names_at_once = True

    def waiting(self, control: Connection) -> frozenset[int]:
        """Return the numbers of all processes that wait for a lock."""
        return frozenset(control.exec_driver_sql(_WAITING).scalars())

    def blockers(self, control: Connection, number: int) -> tuple[int, ...] | None:
        """Return the process numbers that block another; ``None`` if it runs."""
        found = control.exec_driver_sql(_BLOCKERS.format(number)).scalar_one()
        # A prepared transaction blocks as process 0; parallel workers repeat their leader.
        return tuple(dict.fromkeys(found)) if found else None

    def lock(self, control: Connection, number: int) -> str:
        """Return what a process waits for: a row with its key where the server tells."""
        locks = list(control.exec_driver_sql(_LOCKS.format(number)).mappings())
        for lock in locks:
            if lock["locktype"] == "tuple":
                return f"row {self._row(control, lock)}"
        return _words(locks[-1]) if locks else "a lock"

    def cancel(self, control: Connection, number: int) -> None:
        """Cancel the statement of a process."""
        control.exec_driver_sql(f"SELECT pg_cancel_backend({number})")

    def _row(self, control: Connection, lock: Any) -> str:
        """Return ``account(id=1)``; the row's address if its key cannot be read."""
        table = lock["relation"]
        literal = table.replace("'", "''")
        keys = list(control.exec_driver_sql(_KEY.format(literal)).scalars())
        address = f"({lock['page']},{lock['tuple']})"
        if keys:
            query = f"SELECT {', '.join(keys)} FROM {table} WHERE ctid = '{address}'"  # noqa: S608
            row = control.exec_driver_sql(query).first()
            if row is not None:
                pairs = zip(keys, row, strict=True)
                return f"{table}({', '.join(f'{key}={value!r}' for key, value in pairs)})"
        return f"{table} at {address}"


def _words(lock: Any) -> str:
    kind = lock["locktype"]
    if kind == "relation":
        return f"table {lock['relation']} ({lock['mode']})"
    if kind == "transactionid":
        return "the end of its transaction"
    if kind == "advisory":
        high, low, parts = lock["classid"], lock["objid"], lock["objsubid"]
        return f"advisory lock {f'{high}, {low}' if parts == 2 else (high << 32) | low}"  # noqa: PLR2004  (objsubid 2: two keys)
    return f"{kind} ({lock['mode']})"
