"""Where a test session puts what calls take as their defaults while a test runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final


@final
class Surroundings:
    """Answers what holds here and now, by the name of the room that asks.

    One per process, as pytest runs one test at a time in each; a context variable would be lost
    in threads and in event loops that outlive a test.
    """

    __slots__ = ("provide",)

    def __init__(self) -> None:
        """Start with nothing known: every room has defaults of its own."""
        self.provide: Callable[[str], Any] | None = None

    def settings_for(self, room: str) -> Any:
        """Return the settings that a room should use, or ``None`` where nobody set any."""
        return self.provide(room) if self.provide is not None else None


SURROUNDINGS = Surroundings()
