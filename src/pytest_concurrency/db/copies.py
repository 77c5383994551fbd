"""A copy of a MariaDB or MySQL database, object by object, as these have no templates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_concurrency.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_QUICK = "SET foreign_key_checks = 0, unique_checks = 0, autocommit = 0"


def copy_database(admin: Connection, source: str, target: str) -> None:
    """Create a database with the tables, rows, routines, views and triggers of another.

    Args:
        admin: A connection; it is thrown away afterwards, as its settings are changed.
        source: The database's name.
        target: The name of the new one.
    """
    admin.exec_driver_sql(f"CREATE DATABASE `{target}`")
    admin.exec_driver_sql(_QUICK)
    admin.exec_driver_sql(f"USE `{target}`")
    try:
        for table in _names(admin, source, "BASE TABLE"):
            _run(admin, _created(admin, "TABLE", source, table))
            _fill(admin, source, table)
        for sequence in _names(admin, source, "SEQUENCE"):
            _run(admin, _created(admin, "SEQUENCE", source, sequence))
            _move(admin, source, sequence)
        for kind, name in _routines(admin, source):
            _run_as_written(admin, kind, source, name)
        _copy_views(admin, source, target)
        for row in admin.exec_driver_sql(f"SHOW TRIGGERS FROM `{source}`").all():
            _run_as_written(admin, "TRIGGER", source, str(row[0]))
        admin.exec_driver_sql("COMMIT")
    finally:
        # ``USE`` and the settings would follow the connection into its next job.
        admin.invalidate()


def _names(admin: Connection, database: str, kind: str) -> list[str]:
    query = f"SHOW FULL TABLES FROM `{database}` WHERE Table_type = %(kind)s"
    return [str(row[0]) for row in admin.exec_driver_sql(query, {"kind": kind}).all()]


def _created(admin: Connection, kind: str, database: str, name: str) -> str:
    return str(admin.exec_driver_sql(f"SHOW CREATE {kind} `{database}`.`{name}`").one()[1])


def _run(admin: Connection, sql: str) -> None:
    admin.exec_driver_sql(sql.replace("%", "%%"))


def _fill(admin: Connection, source: str, table: str) -> None:
    columns = ", ".join(_columns(admin, source, table))
    rows = f"SELECT {columns} FROM `{source}`.`{table}`"  # noqa: S608  (our own names)
    admin.exec_driver_sql(f"INSERT INTO `{table}` ({columns}) {rows}")


def _columns(admin: Connection, database: str, table: str) -> list[str]:
    query = (
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %(database)s "
        "AND TABLE_NAME = %(table)s AND EXTRA NOT LIKE '%%GENERATED%%' ORDER BY ORDINAL_POSITION"
    )
    names = admin.exec_driver_sql(query, {"database": database, "table": table}).scalars()
    return [f"`{name}`" for name in names]


def _move(admin: Connection, source: str, sequence: str) -> None:
    """Let a sequence go on where its template's does."""
    query = f"SELECT next_not_cached_value FROM `{source}`.`{sequence}`"  # noqa: S608
    following = int(admin.exec_driver_sql(query).scalar_one())
    admin.exec_driver_sql(f"SELECT SETVAL(`{sequence}`, {following}, 0)")


def _routines(admin: Connection, database: str) -> Iterator[tuple[str, str]]:
    query = (
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES "
        "WHERE ROUTINE_SCHEMA = %(database)s AND ROUTINE_TYPE IN ('FUNCTION', 'PROCEDURE')"
    )
    for kind, name in admin.exec_driver_sql(query, {"database": database}).all():
        yield str(kind), str(name)


def _run_as_written(admin: Connection, kind: str, source: str, name: str) -> None:
    """Create a routine or a trigger under the SQL mode in which it was created first."""
    told = admin.exec_driver_sql(f"SHOW CREATE {kind} `{source}`.`{name}`").one()
    admin.exec_driver_sql("SET sql_mode = %(mode)s", {"mode": told[1]})
    _run(admin, str(told[2]))


def _copy_views(admin: Connection, source: str, target: str) -> None:
    """Create the views: those that others are made of before those others."""
    from sqlalchemy.exc import DBAPIError

    left = {
        # The server writes the database's name into the text of a view.
        name: _created(admin, "VIEW", source, name).replace(f"`{source}`.", f"`{target}`.")
        for name in _names(admin, source, "VIEW")
    }
    while left:
        refusal: DBAPIError | None = None
        made = []
        for name, sql in left.items():
            try:
                _run(admin, sql)
            except DBAPIError as error:
                refusal = error
            else:
                made.append(name)
        if not made:
            msg = (
                f"database_schema: the view {next(iter(left))!r} cannot be copied to another "
                f"database: {refusal.orig if refusal else ''}. Let it name what exists."
            )
            raise UsageError(msg) from refusal
        for name in made:
            del left[name]
