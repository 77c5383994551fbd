"""What an instruction does to objects that other workers may see, or that this cannot be told.

A step of a coroutine runs many instructions without a pause. All that it touched must be known, or
orders that differ would be taken for the same. So nothing here is guessed: an instruction, a
callable or a type that is not known to be harmless touches everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import (
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import Any, Final, TypeAlias, final

from pytest_concurrency.explore import callables, calls
from pytest_concurrency.explore.bytecode import instructions
from pytest_concurrency.explore.callables import ALL, PLAIN, Look
from pytest_concurrency.explore.constants import Constants
from pytest_concurrency.explore.depths import depths
from pytest_concurrency.explore.kinds import (
    CONTAINERS,
    IMMUTABLE_EXACT,
    ITERATORS,
    MISSING,
    lookup,
)
from pytest_concurrency.explore.looks import function_of
from pytest_concurrency.explore.memory import UNKNOWN, index
from pytest_concurrency.explore.operands import OPERANDS, advanced
from pytest_concurrency.explore.points import Decoder, Point, callee_of
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.special import ITEMS

Effect: TypeAlias = "Callable[[FrameType, Any], tuple[Touch, ...]]"
"""Tells what an instruction is about to touch, from its frame and what that holds."""


@final
class _Never(tuple[Touch, ...]):  # noqa: SLOT001 - tuples cannot have any that hold something
    """What an instruction touches that never touches anything: it need not be asked again."""


NEVER: Final = _Never()
"""Touches nothing, for as long as names are constants."""


def effects(
    code: CodeType, scope: Scope, decoder: Decoder, constants: Constants
) -> dict[int, Effect]:
    """Return, by offset, what the instructions do that do not leave others alone."""
    steps = instructions(code)
    deep = depths(code, steps)
    points = decoder.points(code, steps=steps, deep=deep)
    base = len(code.co_varnames) + len(code.co_freevars)
    base += sum(name not in code.co_varnames for name in code.co_cellvars)
    found: dict[int, Effect] = {}
    start: int | None = None
    behind_global = False
    for step in steps:
        offset = step.offset if start is None else start
        start = offset if step.name == "EXTENDED_ARG" else None
        name = step.name
        if name in _HARMLESS or name.startswith(_LOCAL) or step.offset not in deep:
            continue
        top = base + deep[step.offset]
        if name in OPERANDS:
            look, behind = OPERANDS[name]
            found[offset] = _looking(look, [index(top - each) for each in behind])
        elif offset in points:
            of_global = constants if behind_global else None
            if name == "LOAD_GLOBAL":
                found[offset] = _of_global(points[offset], constants)
            elif name == "LOAD_DEREF":
                found[offset] = _of_cell(points[offset], constants)
            else:
                found[offset] = _of_point(points[offset], scope, decoder, of_global)
        else:
            found[offset] = _everything
        behind_global = name == "LOAD_GLOBAL" or (name == "EXTENDED_ARG" and behind_global)
    return found


def _everything(_frame: FrameType, _objects: Any) -> tuple[Touch, ...]:
    return ALL


def _looking(look: Callable[..., tuple[Touch, ...]], at: list[int]) -> Effect:
    if len(at) == 1:
        (only,) = at
        return lambda _frame, objects: look(objects[only])
    first, second = at
    return lambda _frame, objects: look(objects[first], objects[second])


def _of_point(point: Point, scope: Scope, decoder: Decoder, constants: Constants | None) -> Effect:
    """Tell what a point touches.

    Args:
        point: Where a thread would be paused.
        scope: Tells code under test from the rest.
        decoder: Who found the point.
        constants: What names mean for good, if its object is a global variable.
    """
    kind, look = point.kind.partition("-")[0], point.look
    if kind in {"cell", "global"}:
        return look
    if kind == "call":
        return _of_call(point, scope, decoder)
    at = index(point.places[0])
    if kind == "attribute":
        return _of_attribute(point, at, constants)
    if kind == "next":
        return lambda frame, objects: (
            look(frame, objects) if type(objects[at]) in _ADVANCED else advanced(objects[at])
        )
    if kind == "item":
        return lambda frame, objects: _item(objects[at], lambda: look(frame, objects))
    return _everything


def _of_global(point: Point, constants: Constants) -> Effect:
    name, look = point.argument, point.look

    def effect(frame: FrameType, objects: Any) -> tuple[Touch, ...]:
        names = frame.f_globals
        if constants.holds(name, names.get(name, MISSING)):
            return NEVER
        if constants.changes(name):
            return (((id(names), name), False),)
        return look(frame, objects)

    return effect


def _of_cell(point: Point, constants: Constants) -> Effect:
    name, look, at = point.argument, point.look, index(point.found.number)

    def effect(frame: FrameType, objects: Any) -> tuple[Touch, ...]:
        found = look(frame, objects)
        if not found and constants.changes(name):
            return (((id(objects[at]), "cell"), False),)
        return found

    return effect


def _of_call(point: Point, scope: Scope, decoder: Decoder) -> Effect:
    read, own, holders = callee_of(point), scope.has, decoder.holders
    function = function_of(point.found)

    def effect(frame: FrameType, objects: Any) -> tuple[Touch, ...]:
        try:
            if type(function(frame, objects)) is FunctionType:
                return ()
        except ValueError:  # an empty place
            pass
        made = read(frame)
        return callables.call(*made[:3], lambda: calls.call(made, own, holders))

    return effect


def _of_attribute(point: Point, at: int, constants: Constants | None) -> Effect:
    name, look = point.argument, point.look
    plain: set[type] = set()

    def effect(frame: FrameType, objects: Any) -> tuple[Touch, ...]:
        owner = objects[at]
        kind = type(owner)
        if kind in plain:
            return look(frame, objects)
        if kind is ModuleType and constants is not None:
            is_fixed = constants.holds(name, owner.__dict__.get(name))
            return NEVER if is_fixed else look(frame, objects)
        if owner is UNKNOWN or name == "__dict__":
            return ALL
        if isinstance(owner, SYNCHRONIZERS):
            found = lookup(kind, name)
            return () if isinstance(found, FunctionType) else (((id(owner), ITEMS), True),)
        if not isinstance(owner, (asyncio.Future, asyncio.Handle)):
            plain.add(kind)
            return look(frame, objects)
        return ALL if look(frame, objects) else ()

    return effect


SYNCHRONIZERS: Final[tuple[type, ...]] = (
    *(asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Queue),
    *(asyncio.Barrier, asyncio.Timeout, asyncio.TaskGroup),
)
"""Objects of asyncio that are touched as a whole by each of their methods."""


def _item(owner: Any, look: Look) -> tuple[Touch, ...]:
    kind = type(owner)
    if kind in CONTAINERS or isinstance(owner, PLAIN):
        return look()
    if kind in IMMUTABLE_EXACT:
        return ()
    return () if isinstance(lookup(kind, "__getitem__"), FunctionType) else ALL


_ADVANCED: Final = frozenset({*ITERATORS, GeneratorType})
"""Iterators of which it is known what they run over. Nothing here may hold one: references to it
tell whether it is shared.
"""


_LOCAL: Final = ("LOAD_FAST", "STORE_FAST", "DELETE_FAST", "JUMP", "BUILD_", "LOAD_CONST")
_HARMLESS: Final = frozenset(
    (
        *("CACHE", "EXTENDED_ARG", "NOP", "RESUME", "RETURN_GENERATOR", "MAKE_CELL", "PUSH_NULL"),
        *("COPY_FREE_VARS", "POP_TOP", "COPY", "SWAP", "RETURN_VALUE", "RETURN_CONST", "KW_NAMES"),
        *("YIELD_VALUE", "SEND", "END_SEND", "END_FOR", "CLEANUP_THROW", "END_ASYNC_FOR"),
        *("MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE", "LIST_APPEND", "SET_ADD", "MAP_ADD", "IS_OP"),
        *("PUSH_EXC_INFO", "POP_EXCEPT", "CHECK_EXC_MATCH", "CHECK_EG_MATCH", "RERAISE"),
        *("RAISE_VARARGS", "LOAD_ASSERTION_ERROR", "LOAD_CLOSURE", "POP_JUMP_IF_NONE"),
        *("POP_JUMP_IF_NOT_NONE", "CALL_INTRINSIC_1", "CALL_INTRINSIC_2", "LOAD_SUPER_ATTR"),
    )
)
"""Instructions that touch nothing but what only their own frame can see."""
