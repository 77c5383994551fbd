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
from typing import Any, Final, final

_word = ctypes.c_void_p.from_address
_TO_FRAME: Final = object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
_WORD: Final = ctypes.sizeof(ctypes.c_void_p)
_TAGS: Final = 3
_MOST: Final = 10_000


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


class _Blank:
    """Stands for a stack that cannot be seen."""

    __slots__ = ()

    def __getitem__(self, _index: int) -> Any:
        return UNKNOWN


class _Tagged:
    """Reads places whose lowest bits are not part of the address."""

    __slots__ = ("_words",)

    def __init__(self, address: int) -> None:
        self._words = _words(address)

    def __getitem__(self, index: int) -> Any:
        value = (self._words[index] or 0) & ~_TAGS
        if not value:
            raise ValueError(EMPTY)
        return ctypes.cast(value, ctypes.py_object).value


def _reader() -> Callable[[int], Any]:
    if _PLACE is None:
        blank = _Blank()
        return lambda _address: blank
    if sys.version_info >= (3, 14):
        return _Tagged
    return ctypes.POINTER(ctypes.py_object).from_address


_words: Final = ctypes.POINTER(ctypes.c_void_p).from_address
_FIRST: Final = 0 if _PLACE is None else _PLACE // _WORD
EMPTY: Final = "PyObject is NULL"
"""What `ctypes` says of an empty place, as a ``ValueError``."""
TO_FRAME: Final = _TO_FRAME
"""Added to the address of a frame, the address to read its objects from."""
OBJECTS: Final = _reader()
"""Reads what a frame holds: ``OBJECTS(id(frame) + TO_FRAME)[index(place)]``. An empty place raises
``ValueError`` that says `EMPTY`. This is done for each point, so it is one call and not two.
"""


@final
class Readers(dict[int, Any]):
    """Readers of what frames hold, by the id of the frame.

    They hold nothing but an address, so one serves each frame that comes to be there.
    """

    def __missing__(self, at: int) -> Any:
        """Make a reader; forget the others when they have become many."""
        if len(self) > _MOST:
            self.clear()
        made = self[at] = OBJECTS(at + TO_FRAME)
        return made


def index(place: int) -> int:
    """Return the index of a place among the locals and the stack.

    Args:
        place: Locals, cells and free variables come first, then the stack, bottom first.
    """
    return _FIRST + place


def objects_of(frame: FrameType) -> Any:
    """Return a reader of what a frame holds, by index."""
    return OBJECTS(id(frame) + TO_FRAME)


def is_empty(frame: FrameType, place: int) -> bool:
    """Whether nothing is at a place, or it cannot be seen what."""
    return _PLACE is None or not _words(id(frame) + TO_FRAME)[_FIRST + place]


def slot(place: int) -> Callable[[FrameType], Any]:
    """Return a reader of one place among the locals and the stack of a frame."""
    at = index(place)

    def look(frame: FrameType) -> Any:
        try:
            return OBJECTS(id(frame) + TO_FRAME)[at]
        except ValueError:
            return NOTHING

    return look
