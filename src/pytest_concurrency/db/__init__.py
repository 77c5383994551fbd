"""Servers, engines, sessions, clean slates, waits.

The public names, each imported from its module on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_concurrency.db.begin import make_safe
    from pytest_concurrency.db.database import Database, Server, Template
    from pytest_concurrency.db.datasets import Dataset, dataset
    from pytest_concurrency.db.generated import rows
    from pytest_concurrency.db.hangs import hung_workers
    from pytest_concurrency.db.leaks import Leak, LeakReport, find_leaks
    from pytest_concurrency.db.mutation import mutated_statements
    from pytest_concurrency.db.points import StatementListener, listen
    from pytest_concurrency.db.pool import PoolUse, PoolWatch
    from pytest_concurrency.db.schema import alembic_upgrade, as_build
    from pytest_concurrency.db.servers import open_server
    from pytest_concurrency.db.sessions import separate_sessions
    from pytest_concurrency.db.sqlite import SqliteServer
    from pytest_concurrency.db.steps import Step
    from pytest_concurrency.db.waits import Wait, lock_waits
    from pytest_concurrency.db.watch import EngineWatch

__all__ = [
    "Database",
    "Dataset",
    "EngineWatch",
    "Leak",
    "LeakReport",
    "PoolUse",
    "PoolWatch",
    "Server",
    "SqliteServer",
    "StatementListener",
    "Step",
    "Template",
    "Wait",
    "alembic_upgrade",
    "as_build",
    "dataset",
    "find_leaks",
    "hung_workers",
    "listen",
    "lock_waits",
    "make_safe",
    "mutated_statements",
    "open_server",
    "rows",
    "separate_sessions",
]

_MODULES = {
    "Database": "database",
    "Dataset": "datasets",
    "EngineWatch": "watch",
    "Leak": "leaks",
    "LeakReport": "leaks",
    "PoolUse": "pool",
    "PoolWatch": "pool",
    "Server": "database",
    "SqliteServer": "sqlite",
    "StatementListener": "points",
    "Step": "steps",
    "Template": "database",
    "Wait": "waits",
    "alembic_upgrade": "schema",
    "as_build": "schema",
    "dataset": "datasets",
    "find_leaks": "leaks",
    "hung_workers": "hangs",
    "listen": "points",
    "lock_waits": "waits",
    "make_safe": "begin",
    "mutated_statements": "mutation",
    "open_server": "servers",
    "rows": "generated",
    "separate_sessions": "sessions",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
