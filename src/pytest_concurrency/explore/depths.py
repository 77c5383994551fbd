"""How many values are on the stack before each instruction, from the code alone."""

from __future__ import annotations

import dis
from collections.abc import Sequence
from types import CodeType
from typing import Any

from pytest_concurrency.explore.bytecode import Instruction, instructions


def depths(code: CodeType, steps: Sequence[Instruction] | None = None) -> dict[int, int]:
    """Compute how many values are on the stack before each reachable instruction.

    Args:
        code: The code.
        steps: Its instructions, if they have been read.
    """
    steps = instructions(code) if steps is None else steps
    by_offset = {one.offset: one for one in steps}
    found: dict[int, int] = {}
    work = [(steps[0].offset, 0)]
    if code.co_exceptiontable:
        parsed: Any = dis.Bytecode(code)
        work.extend((e.target, e.depth + 1 + bool(e.lasti)) for e in parsed.exception_entries)
    while work:
        offset, depth = work.pop()
        while offset not in found:
            found[offset] = depth
            one = by_offset[offset]
            if one.target is not None:
                taken = depth + dis.stack_effect(one.code, one.number, jump=True)
                work.append((one.target, taken))
            if _ends(one.name) or one.after not in by_offset:
                break
            depth = _after(one, depth)
            offset = one.after
    return found


def _after(one: Instruction, depth: int) -> int:
    if one.name == "RETURN_GENERATOR":
        return 1
    return depth + dis.stack_effect(one.code, one.number, jump=False)


def _ends(name: str) -> bool:
    return name in {
        "RETURN_VALUE",
        "RETURN_CONST",
        "RAISE_VARARGS",
        "RERAISE",
        "INTERPRETER_EXIT",
    } or name.startswith(("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_NO_INTERRUPT"))
