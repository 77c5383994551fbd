"""What all tools share: sessions, and refusals that a model can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from mcp.server.mcpserver.exceptions import ToolError
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from residency.services.background import Background
from residency.services.errors import Refusal
from residency.services.generation import Planner
from residency.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where the tools do their work."""

    sessions: sessionmaker[Session]
    planner: Planner
    background: Background

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that only reads."""
        with refusals_told(), self.sessions() as session:
            yield reading(session)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a transaction: committed at its end, rolled back if something is raised."""
        with refusals_told(), self.sessions.begin() as session:
            yield session


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn what a service refuses, and a database that is too busy, into what a model reads."""
    try:
        yield
    except Refusal as refusal:
        text = f"{refusal.title}: {refusal.detail} {refusal.advice}".rstrip()
        raise ToolError(text) from refusal
    except IntegrityError as error:
        text = "Overtaken: another call changed what this one relies on. Read it again, then call."
        raise ToolError(text) from error
    except (OperationalError, PoolTimeout) as error:
        text = "Busy: the database does not answer in time. Call again in a moment."
        raise ToolError(text) from error


def check_order(first_day: date, last_day: date) -> None:
    """Refuse days in the wrong order, between which there seems to be nothing.

    Raises:
        ToolError: The last day is before the first.
    """
    if last_day < first_day:
        text = f"last_day {last_day} is before first_day {first_day}. Name the first day first."
        raise ToolError(text)
