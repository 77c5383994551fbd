"""The instructions of a code object, with as much of each as finding points takes.

The first schedule pays for this with everything that it runs, and `dis` describes instructions for
people to read, which takes about ten times as long.
"""

from __future__ import annotations

import dis
import sys
from types import CodeType
from typing import Any, Final, NamedTuple

_CACHE: Final = dis.opmap["CACHE"]
_EXTENDED: Final = dis.EXTENDED_ARG
_NAMES: Final = dis.opname
_WITH_NUMBER: Final = (
    frozenset(dis.hasarg)  # type: ignore[attr-defined,unused-ignore]
    if sys.version_info >= (3, 12)
    else frozenset(range(dis.HAVE_ARGUMENT, 256))
)
_JUMPS: Final = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_ASIDE: Final = {
    "LOAD_GLOBAL": 1,
    "LOAD_ATTR": int(sys.version_info >= (3, 12)),
    "LOAD_SUPER_ATTR": 2,
}
"""How many of the lowest bits of the number say something else than which name."""


class Instruction(NamedTuple):
    """One instruction, without the place that it keeps for the interpreter's own use."""

    offset: int
    after: int
    """Offset of the one behind it."""
    code: int
    name: str
    number: int | None
    target: int | None
    """Where it may jump to."""


def instructions(code: CodeType) -> list[Instruction]:
    """Return the instructions of a code object in their order."""
    raw = code.co_code
    places = [at for at in range(0, len(raw), 2) if raw[at] != _CACHE]
    found: list[Instruction] = []
    extended = 0
    for offset, after in zip(places, [*places[1:], len(raw)], strict=True):
        op = raw[offset]
        number = target = None
        if op in _WITH_NUMBER:
            number = raw[offset + 1] | extended
            extended = number << 8 if op == _EXTENDED else 0
            if op in _JUMPS:
                back = "JUMP_BACKWARD" in _NAMES[op]
                target = after - 2 * number if back else after + 2 * number
        found.append(Instruction(offset, after, op, _NAMES[op], number, target))
    return found


def argument(code: CodeType, one: Instruction) -> Any:
    """Return the name that an instruction is about, or else its number."""
    number = one.number
    if number is None:
        return None
    if one.name.endswith("_DEREF"):
        inner: Any = code
        return inner._varname_from_oparg(number)  # noqa: SLF001
    if one.name.endswith(("_ATTR", "_METHOD", "_GLOBAL")):
        return code.co_names[number >> _ASIDE.get(one.name, 0)]
    return number


def lines(code: CodeType) -> dict[int, int]:
    """Return the line of each instruction that has one, by offset."""
    return {
        at: line
        for start, end, line in code.co_lines()
        if line is not None
        for at in range(start, end, 2)
    }
