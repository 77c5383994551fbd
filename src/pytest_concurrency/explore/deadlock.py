"""Who holds what and waits for what, as text."""

from __future__ import annotations

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.stage import Stage


def diagnose(stage: Stage) -> BaseException:
    """Describe why nobody can run."""
    return Deadlock(f"Deadlock among {len(stage.live)} workers")


def hang(stage: Stage, what: str) -> str:
    """Describe workers that do not end."""
    return f"{len(stage.live)} workers {what}"
