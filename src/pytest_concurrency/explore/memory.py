"""What lies on the value stack of a running frame.

Python shows a frame's locals, not its stack, and which object an instruction is about to touch is
on the stack. The place of the stack is found by looking for two known objects in a frame of our
own, so a layout that is not as expected is noticed, and `VISIBLE` is false: objects are then
unknown, and what is not known to be different is taken for the same.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

_word = ctypes.c_void_p.from_address
_TO_FRAME: Final = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
_WORD: Final = ctypes.sizeof(ctypes.c_void_p)
_TAGS: Final = 3


def _places(_first: object, _second: object) -> int | None:
    """Find where this frame keeps its two arguments."""
    start = _word(id(sys._getframe()) + _TO_FRAME).value  # noqa: SLF001
    if start is None:
        return None
    wanted = (id(_first), id(_second))
    for place in range(4 * _WORD, 16 * _WORD, _WORD):
        found = tuple((_word(start + place + i * _WORD).value or 0) & ~_TAGS for i in (0, 1))
        if found == wanted:
            return place
    return None


def _find() -> int | None:
    if sys.implementation.name != "cpython":
        return None
    return _places(object(), object())


_PLACE: Final = _find()
VISIBLE: Final = _PLACE is not None
"""Whether values on the stack can be seen on this interpreter."""


class Unknown:
    """Stands for an object that cannot be seen."""

    __slots__ = ()


UNKNOWN: Final = Unknown()
NOTHING: Final = object()
"""An empty place on the stack."""


def slot(index: int) -> Callable[[FrameType], Any]:
    """Return a reader of one place among the locals and the stack of a frame.

    Args:
        index: Locals, cells and free variables come first, then the stack, bottom first.
    """
    if _PLACE is None:
        return lambda _frame: UNKNOWN
    to_frame, place, read = _TO_FRAME, _PLACE + index * _WORD, _read

    def look(frame: FrameType) -> Any:
        return read(_word(id(frame) + to_frame).value + place)  # type: ignore[operator]

    return look


def _read_plain(address: int, _object: Any = ctypes.py_object.from_address) -> Any:
    try:
        return _object(address).value
    except ValueError:
        return NOTHING


def _read_tagged(address: int) -> Any:
    value = (_word(address).value or 0) & ~_TAGS
    return ctypes.cast(value, ctypes.py_object).value if value else NOTHING


_read: Final = _read_tagged if sys.version_info >= (3, 14) else _read_plain
