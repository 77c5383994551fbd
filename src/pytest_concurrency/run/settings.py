"""What a run takes from its surroundings when the call does not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.surroundings import SURROUNDINGS

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_concurrency.run.outcome import Outcome


@final
class Settings:
    """Defaults of a run, as a test session or a script sets them."""

    __slots__ = ("observe", "room", "seed", "timeout", "timeout_source", "title", "workers")

    def __init__(
        self,
        *,
        workers: int = 8,
        timeout: float | None = 30.0,
        timeout_source: str = "the default",
        seed: int | None = None,
        room: Callable[[], Path] | None = None,
        title: str = "",
        observe: Callable[[Outcome[Any]], None] | None = None,
    ) -> None:
        """Keep the defaults.

        Args:
            workers: How many workers, where the call does not say.
            timeout: Seconds after which a run ends; ``None`` waits for ever.
            timeout_source: Who set that.
            seed: For the workers' random generators.
            room: Makes the place where the workers' temporary directories are made.
            title: What the workers work for, such as a test's id; threads are named after it.
            observe: Told of every outcome.
        """
        self.workers: int = workers
        self.timeout: float | None = timeout
        self.timeout_source: str = timeout_source
        self.seed: int | None = seed
        self.room: Callable[[], Path] | None = room
        self.title: str = title
        self.observe: Callable[[Outcome[Any]], None] | None = observe


def observed_by(settings: Settings, observe: Callable[[Outcome[Any]], None]) -> Settings:
    """Return the same settings with another observer."""
    values = {name: getattr(settings, name) for name in Settings.__slots__}
    return Settings(**{**values, "observe": observe})


def current_settings() -> Settings:
    """Return the settings in force here, or the defaults."""
    return SURROUNDINGS.settings_for("run") or Settings()
