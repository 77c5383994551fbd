"""MariaDB's and MySQL's answers about locks.

``INNODB_LOCK_WAITS`` is a cache that is renewed only when nobody has read it for 100 ms, so it can
neither be polled nor trusted. ``SHOW ENGINE INNODB STATUS`` tells the truth in 0.3 ms, yet not who
holds a lock, unless only one other transaction can.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SILENCE = 0.105

_TRANSACTION = re.compile(r"^---TRANSACTION ", re.MULTILINE)
_THREAD = re.compile(r"^(?:MariaDB|MySQL) thread id (\d+)", re.MULTILINE)
_RECORD = re.compile(r"RECORD LOCKS .*? index `?(\w+)`? of table `\w+`\.`(\w+)`")
_TABLE = re.compile(r"TABLE LOCK table `\w+`\.`(\w+)`")
_FIRST_FIELD = re.compile(r"^ 0: len (\d+); hex ([0-9a-f]+);", re.MULTILINE)
_USER_LOCK = re.compile(r"GET_LOCK\(\s*'([^']+)'", re.IGNORECASE)

_HOLDERS = """
SELECT b.trx_mysql_thread_id
FROM information_schema.INNODB_LOCK_WAITS w
JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id
WHERE r.trx_mysql_thread_id = {0}
"""

_STATE = "SELECT STATE, INFO FROM information_schema.PROCESSLIST WHERE ID = {0}"


@final
class InnodbProbe:
    """Asks the InnoDB status and the list of connections."""

    names_at_once = False

    def waiting(self, control: Connection) -> frozenset[int]:
        """Return the numbers of all connections that wait for a lock of InnoDB."""
        blocks = _transactions(control).items()
        return frozenset(number for number, block in blocks if "LOCK WAIT" in block)

    def blockers(self, control: Connection, number: int) -> tuple[int, ...] | None:
        """Return the connections that block another; ``None`` if it runs."""
        blocks = _transactions(control)
        if "LOCK WAIT" in blocks.get(number, ""):
            others = [other for other in blocks if other != number]
            return tuple(others) if len(others) == 1 else self._holders(control, number)
        return self._outside(control, number)

    def lock(self, control: Connection, number: int) -> str:
        """Return what a connection waits for."""
        block = _transactions(control).get(number, "")
        waited = block.partition("FOR THIS LOCK TO BE GRANTED")[2]
        if record := _RECORD.search(waited):
            return (
                f"row {record[2]}({_key(waited)})"
                if record[1] == "PRIMARY"
                else (f"row of {record[2]} (index {record[1]})")
            )
        if table := _TABLE.search(waited):
            return f"table {table[1]}"
        name = self._user_lock(control, number)
        return f"named lock {name!r}" if name else "a table's definition"

    def cancel(self, control: Connection, number: int) -> None:
        """Kill the statement of a connection."""
        control.exec_driver_sql(f"KILL QUERY {number}")

    def _outside(self, control: Connection, number: int) -> tuple[int, ...] | None:
        """Look for waits that InnoDB does not know: named locks, table definitions."""
        row = control.exec_driver_sql(_STATE.format(number)).first()
        state = str(row[0] or "") if row is not None else ""
        if state == "User lock":
            name = self._user_lock(control, number)
            holder = control.exec_driver_sql("SELECT IS_USED_LOCK(%s)", (name,)).scalar()
            return (int(holder),) if holder else None
        return () if state.startswith("Waiting for") and "lock" in state else None

    def _user_lock(self, control: Connection, number: int) -> str | None:
        row = control.exec_driver_sql(_STATE.format(number)).first()
        match = _USER_LOCK.search(str(row[1])) if row is not None else None
        return match[1] if match else None

    def _holders(self, control: Connection, number: int) -> tuple[int, ...]:
        time.sleep(_SILENCE)
        found = control.exec_driver_sql(_HOLDERS.format(number)).scalars()
        return tuple(dict.fromkeys(int(one) for one in found))


def _transactions(control: Connection) -> dict[int, str]:
    """Return what the status says of each open transaction, by connection."""
    status = str(control.exec_driver_sql("SHOW ENGINE INNODB STATUS").one()[2])
    listed = status.partition("LIST OF TRANSACTIONS FOR EACH SESSION:")[2].partition("\nFILE I/O")[
        0
    ]
    blocks: dict[int, str] = {}
    for block in _TRANSACTION.split(listed)[1:]:
        thread = _THREAD.search(block)
        if thread and "not started" not in block.partition("\n")[0]:
            blocks[int(thread[1])] = block
    return blocks


def _key(waited: str) -> str:
    """Return the first column of a primary key, decoded if it is an integer."""
    field = _FIRST_FIELD.search(waited)
    if field is None:
        return "?"
    length, value = int(field[1]), int(field[2], 16)
    return str(value - (1 << (8 * length - 1))) if length in {4, 8} else field[2]


def deadlock_numbers(control: Connection) -> tuple[int, ...]:
    """Return the connections of the last deadlock that InnoDB resolved."""
    status = str(control.exec_driver_sql("SHOW ENGINE INNODB STATUS").one()[2])
    latest = status.partition("LATEST DETECTED DEADLOCK")[2].partition("\nTRANSACTIONS")[0]
    return tuple(dict.fromkeys(int(number) for number in _THREAD.findall(latest)))


def lock_names(statements: Iterable[str]) -> set[str]:
    """Return the names of the locks that statements take with ``GET_LOCK``."""
    return {name for sql in statements for name in _USER_LOCK.findall(sql)}
