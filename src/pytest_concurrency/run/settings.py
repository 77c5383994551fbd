"""What a run takes from its surroundings when the call does not say."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from pytest_concurrency.run.outcome import Outcome


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Defaults of a run, as a test session or a script sets them."""

    workers: int = 8
    timeout: float | None = 30.0
    """Seconds; ``None`` waits for ever."""
    timeout_source: str = "the default"
    seed: int | None = None
    room: Path | None = None
    """Where the workers' temporary directories are made."""
    title: str = ""
    """What the workers work for, such as a test's id; their threads are named after it."""
    observe: Callable[[Outcome[Any]], None] | None = None
    """Told of every outcome."""


SETTINGS: ContextVar[Settings] = ContextVar("pytest_concurrency_settings")
"""The settings in force: the plugin sets them around each test."""


def current_settings() -> Settings:
    """Return the settings in force here, or the defaults."""
    return SETTINGS.get(None) or Settings()
