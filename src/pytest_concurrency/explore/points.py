"""Where a worker may be paused: before instructions that may touch what others can see.

Kinds of points are named after what they do, not after instructions, so that a point counted on
one Python is counted on the others.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any, Final, final

from pytest_concurrency.explore.bytecode import Instruction, argument, instructions, lines
from pytest_concurrency.explore.callees import callee
from pytest_concurrency.explore.calls import Called
from pytest_concurrency.explore.depths import depths
from pytest_concurrency.explore.looks import Found, Look, Looks
from pytest_concurrency.explore.memory import index
from pytest_concurrency.explore.scope import Scope

_NUMBERS: Final = frozenset({int, float, complex})
_MULTIPLIES: Final = next(
    number
    for number, (_, symbol) in enumerate(dis._nb_ops)  # type: ignore[attr-defined] # noqa: SLF001
    if symbol == "*="
)
_NEW: Final = sys.version_info >= (3, 13)


@final
class Point:
    """One instruction before which a worker may be paused."""

    __slots__ = ("argument", "code", "early", "found", "kind", "line", "look", "offset", "places")

    def __init__(
        self,
        found: Found,
        code: CodeType,
        look: Look,
        kind: str,
        places: tuple[int, ...],
        *,
        early: Look | None,
    ) -> None:
        """Describe an instruction.

        Args:
            found: The instruction.
            code: Its code.
            look: Tells what it is about to touch.
            kind: What it does.
            places: Where its objects are in the frame.
            early: What is asked instead of ``look`` while there is but one worker.
        """
        self.kind: str = kind
        self.look: Look = look
        self.code: CodeType = code
        self.offset: int = found.offset
        self.found: Found = found
        self.line: int = found.line
        self.argument: Any = found.argument
        self.early: Look | None = early
        self.places = places

    def __repr__(self) -> str:
        """Show kind, name and place."""
        return f"<{self.kind} {self.argument} at {self.code.co_filename}:{self.line}>"


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
        self.holders: dict[int, int] = {}
        self._looks = Looks(scope.has, self.holders)

    def points(
        self,
        code: CodeType,
        *,
        steps: Sequence[Instruction] | None = None,
        deep: Mapping[int, int] | None = None,
    ) -> dict[int, Point]:
        """Return the points of a code object by offset, from its instructions if they were read."""
        steps = instructions(code) if steps is None else steps
        deep = depths(code, steps) if deep is None else deep
        base = _places_of_locals(code)
        found: dict[int, Point] = {}
        at_line, line = lines(code), code.co_firstlineno
        start: int | None = None
        names: tuple[str, ...] = ()
        additions = _additions(code, steps)
        for step in steps:
            offset = step.offset if start is None else start
            start = offset if step.name == "EXTENDED_ARG" else None
            line = at_line.get(step.offset, line)
            said = names
            if step.name == "KW_NAMES":
                names = code.co_consts[step.number or 0]
            elif step.name == "CALL":
                names = ()
            depth = deep.get(step.offset)
            if depth is None or step.name not in _BUILD or step.offset in additions:
                continue
            about, number = argument(code, step), step.number or 0
            one = Found(offset, step.name, about, number, line, base + depth, said)
            point = self._point(one, code)
            if point is not None:
                found[offset] = point
        return found

    def _point(self, one: Found, code: CodeType) -> Point | None:
        kind, behind, write = _BUILD[one.name]
        name = kind.partition("-")[0]
        make = getattr(self._looks, "variable" if name == "global" else name)
        places = tuple((one.depth or 0) - b for b in behind)
        look = make(one, [index(place) for place in places], write)
        if look is None:
            return None
        return Point(one, code, look, kind, places, early=self._looks.early(one, kind, look))


def _additions(code: CodeType, steps: Sequence[Instruction]) -> set[int]:
    """Return where something is changed by a number, which no container lets."""
    targets = {step.target for step in steps}
    return {
        step.offset
        for right, step in pairwise(steps)
        if step.name == "BINARY_OP"
        and right.name == "LOAD_CONST"
        and type(code.co_consts[right.number or 0]) in _NUMBERS
        and step.number != _MULTIPLIES
        and step.offset not in targets
    }


def callee_of(point: Point) -> Callable[[FrameType], Called]:
    """Return a reader of what a point of kind ``call`` calls."""
    one = point.found
    return callee(one.name, one.depth or 0, one.number, one.names)


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
