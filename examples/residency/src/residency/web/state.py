"""What a running application holds, and how a request gets its part of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from residency.services.generation import Planner
from residency.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all requests share."""

    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    planner: Planner
    background: ThreadPoolExecutor
    """Where schedules are generated and long tasks run."""


def state_of(request: Request) -> State:
    """Return the application's state."""
    return cast("State", request.app.state.shared)


def transaction(state: Annotated[State, Depends(state_of)]) -> Iterator[Session]:
    """Open a transaction for one request: committed when it is answered, else rolled back."""
    with state.sessions.begin() as session:
        yield session


Shared = Annotated[State, Depends(state_of)]
Transaction = Annotated[Session, Depends(transaction, scope="function")]
