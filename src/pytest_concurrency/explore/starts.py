"""Which workers need not begin before it is their turn.

A worker is brought to its first point as soon as it is started, so that all it does before, where
nobody can pause it, comes first. Where that is nothing that anyone could notice, it may as well be
done when the worker is chosen, which saves handing the baton over and back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, final

from pytest_concurrency.explore.bytecode import instructions
from pytest_concurrency.explore.points import Point


@final
class Starts:
    """What was seen of the functions that workers were given, before their first points."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Have seen none."""
        self._known: dict[int, tuple[CodeType, bool]] = {}

    def can_wait(self, call: Callable[[], Any]) -> bool:
        """Whether a function does nothing before its first point."""
        code = _code(call)
        known = self._known.get(id(code))
        return known is not None and known[1]

    def saw(self, call: Callable[[], Any], first: Hashable) -> None:
        """Take note of where a worker first stood, that was brought there at once."""
        code = _code(call)
        if code is None or id(code) in self._known:
            return
        plain = type(first) is Point and first.code is code and first.offset <= _first_act(code)
        self._known[id(code)] = code, plain

    def missed(self, call: Callable[[], Any]) -> None:
        """Take note that a worker came to no point when it was chosen."""
        code = _code(call)
        if code is not None:
            self._known[id(code)] = code, False


def _code(call: Any) -> CodeType | None:
    if type(call) is MethodType:
        call = call.__func__
    return call.__code__ if type(call) is FunctionType else None


def _first_act(code: CodeType) -> int:
    """Return where the first instruction is that may do more than fetch a value."""
    return next((one.offset for one in instructions(code) if one.name not in _FETCHING), 0)


_FETCHING: Final = frozenset(
    {
        *("CACHE", "RESUME", "NOP", "COPY_FREE_VARS", "MAKE_CELL", "PUSH_NULL", "EXTENDED_ARG"),
        *("LOAD_FAST", "LOAD_FAST_LOAD_FAST", "LOAD_CONST", "LOAD_DEREF", "LOAD_GLOBAL"),
        *("COPY", "SWAP", "LOAD_CLOSURE"),
        *("STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST"),
    }
)
