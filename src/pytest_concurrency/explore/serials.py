"""Numbers that tell objects apart while one play lasts: an id may come again."""

from __future__ import annotations

from typing import Protocol, final


class Numbered(Protocol):
    """What is given a number in each play that it is used in."""

    play: object
    number: int


@final
class Serials:
    """The numbers of one play."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        """Have given none."""
        self._given = 0

    def of(self, one: Numbered) -> int:
        """Return the number of an object, which no other has in this play."""
        if one.play is not self:
            self._given += 1
            one.play, one.number = self, self._given
        return one.number
