"""What stands on the stack before a call: the function, its object, its arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from pytest_concurrency.explore.calls import Called
from pytest_concurrency.explore.memory import NOTHING, slot

_IS_BELOW: Final = sys.version_info >= (3, 13)
"""Whether the function of a call with spread arguments is below an empty place, not above it."""


def callee(
    name: str, top: int, number: int, said: tuple[str, ...]
) -> Callable[[FrameType], Called]:
    """Return a reader of what a call calls, on which object, with which arguments.

    Args:
        name: Of the instruction.
        top: How deep the stack is before it.
        number: How many arguments the call has, or, where they are spread, whether by name too.
        said: The names of the last arguments, where an instruction before the call says them.
    """
    if name == "CALL_FUNCTION_EX":
        return _spread(top - (number & 1), slot(top - 1) if number & 1 else None)
    by_name = name == "CALL_KW"
    start = top - number - 2 - by_name
    first, second = slot(start), slot(start + 1)
    arguments = [slot(start + 2 + i) for i in range(number)]
    named = slot(top - 1) if by_name else None

    def look(frame: FrameType) -> Called:
        function, bound = first(frame), second(frame)
        if function is NOTHING:
            function, bound = bound, NOTHING
        names = said if named is None else named(frame)
        return Called(function, bound, [argument(frame) for argument in arguments], names)

    return look


def _spread(top: int, keywords: Callable[[FrameType], Any] | None) -> Callable[[FrameType], Called]:
    function, packed = slot(top - 3 if _IS_BELOW else top - 2), slot(top - 1)

    def look(frame: FrameType) -> Called:
        named = keywords(frame) if keywords is not None else {}
        named = named if type(named) is dict else {}
        given = packed(frame)
        many = given if type(given) in {tuple, list} else (given,)  # never advance an iterator
        arguments = [*many, *named.values()]
        return Called(function(frame), NOTHING, arguments, tuple(named))

    return look
