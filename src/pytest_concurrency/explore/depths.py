"""How many values are on the stack before each instruction, from the code alone."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from itertools import pairwise
from types import CodeType
from typing import Any, Final


def depths(code: CodeType) -> dict[int, int]:
    """Compute how many values are on the stack before each reachable instruction."""
    instructions = list(dis.get_instructions(code))
    following = {a.offset: b.offset for a, b in pairwise(instructions)}
    by_offset = {i.offset: i for i in instructions}
    found: dict[int, int] = {}
    work = [(instructions[0].offset, 0)]
    parsed: Any = dis.Bytecode(code)
    work.extend((e.target, e.depth + 1 + bool(e.lasti)) for e in parsed.exception_entries)
    while work:
        offset, depth = work.pop()
        while offset not in found:
            found[offset] = depth
            instruction = by_offset[offset]
            for target, after in _jumps(instruction, depth):
                work.append((target, after))
            if _ends(instruction.opname) or offset not in following:
                break
            depth = _after(instruction, depth)
            offset = following[offset]
    return found


def _after(instruction: dis.Instruction, depth: int) -> int:
    if instruction.opname == "RETURN_GENERATOR":
        return 1
    return depth + dis.stack_effect(instruction.opcode, instruction.arg, jump=False)


def _jumps(instruction: dis.Instruction, depth: int) -> Iterator[tuple[int, int]]:
    if instruction.opcode in _JUMPING:
        yield (
            instruction.argval,
            depth + dis.stack_effect(instruction.opcode, instruction.arg, jump=True),
        )


_JUMPING: Final = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)


def _ends(name: str) -> bool:
    return name in {
        "RETURN_VALUE",
        "RETURN_CONST",
        "RAISE_VARARGS",
        "RERAISE",
        "INTERPRETER_EXIT",
    } or name.startswith(("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_NO_INTERRUPT"))
