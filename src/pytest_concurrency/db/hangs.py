"""Workers that hang in the database: for what, and because of whom."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from pytest_concurrency.db.waits import lock_waits

if TYPE_CHECKING:
    from pytest_concurrency.db.connection import WatchedConnection
    from pytest_concurrency.db.waits import Wait
    from pytest_concurrency.db.watch import EngineWatch

_NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
_WIDTH = 60


def hung_workers(watch: EngineWatch) -> dict[object, str]:
    """Return what each worker that waits in the database waits for, as text of one or two lines.

    The workers are threads (``threading.Thread``) and asyncio tasks.

    Args:
        watch: The watch of the engine that they use.
    """
    backend = watch.engine.dialect.name
    return {
        one.worker: f"waits in {_NAMES.get(backend, backend)} for {_held(watch, wait)}"
        for one, wait in lock_waits(watch).items()
    }


def _held(watch: EngineWatch, wait: Wait) -> str:
    holders = {one.name: one for one in watch.connections}
    said = [_holder(name, holders.get(name)) for name in wait.blocked_by]
    return f"{wait.lock}, held by {' and '.join(said) or 'a connection that cannot be named'}"


def _holder(name: str, found: WatchedConnection | None) -> str:
    if found is None or found.last is None:
        return f"{name}, not of this engine" if found is None else name
    since = found.begun_ns or found.last.started_ns
    age = (perf_counter_ns() - since) / 1e9
    doing = "idle in transaction" if found.current is None else "in transaction"
    return (
        f"{name}, {doing} for {age:.1f} s since\n"
        f"{found.last.told(_WIDTH)} ({_worker(found.worker)})"
    )


def _worker(worker: object) -> str:
    get_name = getattr(worker, "get_name", None)
    name = str(get_name() if callable(get_name) else getattr(worker, "name", worker))
    alive = getattr(worker, "is_alive", None)
    done = getattr(worker, "done", None)
    ended = (callable(alive) and not alive()) or (callable(done) and done())
    return f"{name}, which has ended" if ended else name
