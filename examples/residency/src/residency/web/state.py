"""What a running application holds, and how a request gets its part of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from residency.services.generation import Planner
from residency.settings import Settings
from residency.store.engine import reading
from residency.web.cache import Cache

if TYPE_CHECKING:
    from residency.web.tokens import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all requests share."""

    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    planner: Planner
    tokens: Tokens
    cache: Cache
    generations: ThreadPoolExecutor
    """Where schedules are generated, one at a time."""
    background: ThreadPoolExecutor
    """Where long tasks run."""
    stopping: threading.Event
    """Set when the service stops: long tasks are cancelled."""

    def writing(self) -> AbstractContextManager[Session]:
        """Open a transaction: committed at its end, rolled back if something is raised.

        Endpoints open it themselves. A dependency with ``yield`` would commit in a thread of the
        pool that runs endpoints, and with all of its threads waiting for the lock that is held,
        there is none to commit in.
        """
        return self.sessions.begin()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that only reads; on SQLite it waits for no writer."""
        with self.sessions() as session:
            yield reading(session)


def state_of(request: Request) -> State:
    """Return the application's state."""
    return cast("State", request.app.state.shared)


Shared = Annotated[State, Depends(state_of)]
