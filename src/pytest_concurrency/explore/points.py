"""Where a worker may be paused: before instructions that may touch what others can see.

Kinds of points are named after what they do, not after instructions, so that a point counted on
one Python is counted on the others.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, final

from pytest_concurrency.explore import touches
from pytest_concurrency.explore.callees import callee
from pytest_concurrency.explore.calls import Called, call
from pytest_concurrency.explore.depths import depths
from pytest_concurrency.explore.memory import UNKNOWN, slot
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.special import Touches

_Look = Callable[[FrameType], Touches]

_NEW: Final = sys.version_info >= (3, 13)


@final
class Point:
    """One instruction before which a worker may be paused."""

    __slots__ = ("argument", "code", "found", "kind", "line", "look", "offset", "places")

    def __init__(
        self, found: _Found, code: CodeType, look: _Look, kind: str, places: tuple[int, ...]
    ) -> None:
        """Describe an instruction.

        Args:
            found: The instruction.
            code: Its code.
            look: Tells what it is about to touch.
            kind: What it does.
            places: Where its objects are in the frame.
        """
        self.kind: str = kind
        self.look: _Look = look
        self.code: CodeType = code
        self.offset: int = found.offset
        self.found: _Found = found
        self.line: int = found.line
        self.argument: Any = found.argument
        self.places = places

    def __repr__(self) -> str:
        """Show kind, name and place."""
        return f"<{self.kind} {self.argument} at {self.code.co_filename}:{self.line}>"


class _Found(NamedTuple):
    offset: int
    name: str
    argument: Any
    number: int
    line: int
    depth: int | None
    names: tuple[str, ...] = ()
    """Of the keywords that a call is given, where another instruction says them."""


def _places_of_locals(code: CodeType) -> int:
    cells = [name for name in code.co_cellvars if name not in code.co_varnames]
    return len(code.co_varnames) + len(cells) + len(code.co_freevars)


@final
class Decoder:
    """Finds the points of code objects.

    Attributes:
        holders: For each ``__dict__`` that was seen as such, the object that it belongs to.
    """

    def __init__(self, scope: Scope) -> None:
        """Decode code of this scope."""
        self._scope = scope
        self.holders: dict[int, int] = {}

    def points(self, code: CodeType) -> dict[int, Point]:
        """Return the points of a code object by offset."""
        deep = depths(code)
        base = _places_of_locals(code)
        found: dict[int, Point] = {}
        line = code.co_firstlineno
        start: int | None = None
        names: tuple[str, ...] = ()
        for instruction in dis.get_instructions(code):
            line = _line(instruction) or line
            offset = instruction.offset if start is None else start
            start = offset if instruction.opname == "EXTENDED_ARG" else None
            if instruction.opname == "KW_NAMES":
                names = code.co_consts[instruction.arg or 0]
            depth = deep.get(instruction.offset)
            if depth is None:
                continue
            one = _Found(
                offset,
                instruction.opname,
                instruction.argval,
                instruction.arg or 0,
                line,
                base + depth,
                names,
            )
            if instruction.opname == "CALL":
                names = ()
            point = self._point(one, code)
            if point is not None:
                found[offset] = point
        return found

    def _point(self, one: _Found, code: CodeType) -> Point | None:
        build = _BUILD.get(one.name)
        if build is None:
            return None
        kind, behind, write = build
        make = getattr(self, f"_{kind.partition('-')[0]}", None)
        if make is None:
            return None
        places = tuple((one.depth or 0) - b for b in behind)
        look = make(one, [slot(place) for place in places], write)
        return None if look is None else Point(one, code, look, kind, places)

    def _attribute(self, one: _Found, read: list[Any], write: bool) -> _Look:  # noqa: FBT001
        owner, name, tell = read[0], one.argument, touches.attribute
        if name == "__dict__":
            holders = self.holders

            def hold(frame: FrameType) -> Touches:
                it = owner(frame)
                if it is not UNKNOWN and hasattr(it, "__dict__"):
                    holders[id(it.__dict__)] = id(it)
                return ()

            return hold
        return lambda frame: tell(owner(frame), name, write=write)

    def _global(self, one: _Found, _read: list[Any], write: bool) -> _Look:  # noqa: FBT001
        name, tell = one.argument, touches.variable
        return lambda frame: tell(frame.f_globals, name, write=write)

    def _cell(self, one: _Found, _read: list[Any], write: bool) -> _Look:  # noqa: FBT001
        read, tell = slot(one.number), touches.cell
        return lambda frame: tell(read(frame), write=write)

    def _item(self, one: _Found, read: list[Any], write: bool) -> _Look:  # noqa: FBT001
        owner, tell, holders = read[0], touches.items, self.holders
        if one.name in _ONE_ITEM:
            key, gone = read[1], one.name == "DELETE_SUBSCR"
            return lambda frame: tell(
                owner(frame), write=write, holders=holders, key=key(frame), gone=gone
            )
        return lambda frame: tell(owner(frame), write=write, holders=holders)

    def _spread(self, _one: _Found, read: list[Any], _write: bool) -> _Look:  # noqa: FBT001
        owner, tell = read[0], touches.contents
        return lambda frame: tell(owner(frame))

    def _update(self, one: _Found, read: list[Any], _write: bool) -> _Look | None:  # noqa: FBT001
        if not str(dis._nb_ops[one.number][1]).endswith("="):  # type: ignore[attr-defined] # noqa: SLF001
            return None
        owner, tell = read[0], touches.contents
        return lambda frame: tell(owner(frame), write=True)

    def _truth(self, one: _Found, read: list[Any], write: bool) -> _Look:  # noqa: FBT001
        return self._spread(one, read, write)

    def _compare(self, _one: _Found, read: list[Any], _write: bool) -> _Look:  # noqa: FBT001
        left, right, tell = read[0], read[1], touches.both
        return lambda frame: tell(left(frame), right(frame))

    def _guard(self, _one: _Found, read: list[Any], _write: bool) -> _Look:  # noqa: FBT001
        holder, tell = read[0], touches.guard
        return lambda frame: tell(holder(frame))

    def _next(self, _one: _Found, read: list[Any], _write: bool) -> _Look:  # noqa: FBT001
        iterator, tell = read[0], touches.advance
        return lambda frame: tell(iterator(frame))

    def _call(self, one: _Found, _read: list[Any], _write: bool) -> _Look:  # noqa: FBT001
        own, holders, tell = self._scope.has, self.holders, call
        called = callee(one.name, one.depth or 0, one.number, one.names)

        def look(frame: FrameType) -> Touches:
            return tell(called(frame), own, holders)

        return look


def callee_of(point: Point) -> Callable[[FrameType], Called]:
    """Return a reader of what a point of kind ``call`` calls."""
    one = point.found
    return callee(one.name, one.depth or 0, one.number, one.names)


def _line(instruction: dis.Instruction) -> int | None:
    if _NEW:
        return instruction.line_number  # type: ignore[attr-defined, no-any-return]
    return instruction.starts_line


_ONE_ITEM: Final = frozenset({"BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR"})
_TRUTH: Final = (
    ("TO_BOOL",)
    if _NEW
    else (
        *(
            "POP_JUMP_IF_TRUE",
            "POP_JUMP_IF_FALSE",
            "JUMP_IF_TRUE_OR_POP",
            "JUMP_IF_FALSE_OR_POP",
            "UNARY_NOT",
        ),
        *("POP_JUMP_FORWARD_IF_TRUE", "POP_JUMP_FORWARD_IF_FALSE"),
        *("POP_JUMP_BACKWARD_IF_TRUE", "POP_JUMP_BACKWARD_IF_FALSE"),
    )
)

_BUILD: Final[dict[str, tuple[str, tuple[int, ...], bool]]] = {
    "LOAD_ATTR": ("attribute-read", (1,), False),
    "LOAD_METHOD": ("attribute-read", (1,), False),
    "STORE_ATTR": ("attribute-write", (1, 2), True),
    "DELETE_ATTR": ("attribute-write", (1,), True),
    "LOAD_GLOBAL": ("global-read", (), False),
    "STORE_GLOBAL": ("global-write", (1,), True),
    "DELETE_GLOBAL": ("global-write", (), True),
    "LOAD_DEREF": ("cell-read", (), False),
    "STORE_DEREF": ("cell-write", (1,), True),
    "BINARY_SUBSCR": ("item-read", (2, 1), False),
    "BINARY_SLICE": ("item-read", (3, 2, 1), False),
    "STORE_SUBSCR": ("item-write", (2, 1, 3), True),
    "STORE_SLICE": ("item-write", (3, 2, 4), True),
    "DELETE_SUBSCR": ("item-write", (2, 1), True),
    "CONTAINS_OP": ("item-contains", (1, 2), False),
    "COMPARE_OP": ("compare", (2, 1), False),
    "BEFORE_WITH": ("guard", (1,), True),
    **dict.fromkeys(_TRUTH, ("truth", (1,), False)),
    "CONTAINS_OP_SET": ("item-contains", (1, 2), False),
    "FOR_ITER": ("next", (1,), True),
    "LIST_EXTEND": ("spread", (1,), False),
    "SET_UPDATE": ("spread", (1,), False),
    "DICT_UPDATE": ("spread", (1,), False),
    "DICT_MERGE": ("spread", (1,), False),
    "BINARY_OP": ("update", (2, 1), True),
    "CALL_KW": ("call", (), True),
    "CALL_FUNCTION_EX": ("call", (), True),
    ("PRECALL" if sys.version_info < (3, 12) else "CALL"): ("call", (), True),
}
