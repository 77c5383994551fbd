"""What an instruction does to objects that other workers may see, or that this cannot be told.

A step of a coroutine runs many instructions without a pause. All that it touched must be known, or
orders that differ would be taken for the same. So nothing here is guessed: an instruction, a
callable or a type that is not known to be harmless touches everything.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
)
from typing import Any, Final, TypeAlias

from pytest_concurrency.explore import callables, calls, touches
from pytest_concurrency.explore.bytecode import instructions
from pytest_concurrency.explore.callables import ALL, PLAIN, SCALARS, Look, contents
from pytest_concurrency.explore.depths import depths
from pytest_concurrency.explore.kinds import CONTAINERS, IMMUTABLE_EXACT, ITERATORS, lookup
from pytest_concurrency.explore.memory import UNKNOWN, objects_of, slot
from pytest_concurrency.explore.points import Decoder, Point, callee_of
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.special import ITEMS

Effect: TypeAlias = "Callable[[FrameType], tuple[Touch, ...]]"
"""Tells what an instruction is about to touch."""


def effects(code: CodeType, scope: Scope, decoder: Decoder) -> dict[int, Effect]:
    """Return, by offset, what the instructions do that do not leave others alone."""
    steps = instructions(code)
    deep = depths(code, steps)
    points = decoder.points(code, steps=steps, deep=deep)
    base = len(code.co_varnames) + len(code.co_freevars)
    base += sum(name not in code.co_varnames for name in code.co_cellvars)
    found: dict[int, Effect] = {}
    start: int | None = None
    for step in steps:
        offset = step.offset if start is None else start
        start = offset if step.name == "EXTENDED_ARG" else None
        name = step.name
        if name in _HARMLESS or name.startswith(_LOCAL) or step.offset not in deep:
            continue
        top = base + deep[step.offset]
        if name in _OPERANDS:
            look, behind = _OPERANDS[name]
            found[offset] = _looking(look, [slot(top - each) for each in behind])
        elif offset in points:
            found[offset] = _of_point(points[offset], scope, decoder)
        else:
            found[offset] = _everything
    return found


def _everything(_: FrameType) -> tuple[Touch, ...]:
    return ALL


def _looking(look: Callable[..., tuple[Touch, ...]], read: list[Any]) -> Effect:
    if len(read) == 1:
        (only,) = read
        return lambda frame: look(only(frame))
    first, second = read
    return lambda frame: look(first(frame), second(frame))


def _of_point(point: Point, scope: Scope, decoder: Decoder) -> Effect:
    kind, look = point.kind.partition("-")[0], point.look
    if kind in {"global", "cell"}:
        return lambda frame: look(frame, objects_of(frame))
    if kind == "call":
        read, own, holders = callee_of(point), scope.has, decoder.holders

        def call(frame: FrameType) -> tuple[Touch, ...]:
            made = read(frame)
            return callables.call(*made[:3], lambda: calls.call(made, own, holders))

        return call
    owner = slot(point.places[0])
    if kind == "next":
        return lambda frame: (
            look(frame, objects_of(frame)) if type(owner(frame)) in _ADVANCED else ALL
        )
    judge = {"attribute": _attribute, "item": _item}.get(kind)
    if judge is None:
        return _everything
    return lambda frame: judge(owner(frame), lambda: look(frame, objects_of(frame)), point.argument)


# ---- operands ---------------------------------------------------------------------------------


def _values(left: Any, right: Any) -> tuple[Touch, ...]:
    return (*contents(left), *contents(right))


def _compared(left: Any, right: Any) -> tuple[Touch, ...]:
    """Tell what comparing two values touches; classes written in Python are looked into."""
    kinds: tuple[Any, ...] = (type(left), type(right))
    if all(map(_is_compared_by_python, kinds)):
        return ()
    return _values(left, right)


@functools.lru_cache(maxsize=1024)
def _is_compared_by_python(kind: type) -> bool:
    """Whether comparing by ``==`` calls a function of Python, or compares identities."""
    found = lookup(kind, "__eq__")
    return isinstance(found, FunctionType) or found is object.__eq__


def _changed(left: Any, right: Any) -> tuple[Touch, ...]:
    """Tell what an operator touches; one that changes its left side may be among them."""
    if type(left) in CONTAINERS:
        return (*touches.contents(left, write=True), *contents(right))
    return _values(left, right)


def _truth(value: Any) -> tuple[Touch, ...]:
    kind = type(value)
    if kind in SCALARS or kind in IMMUTABLE_EXACT:
        return ()
    if isinstance(value, PLAIN):
        return (((id(value), ITEMS), False),)
    for name in ("__bool__", "__len__"):
        found = getattr(kind, name, None)
        if found is not None:
            return () if isinstance(found, FunctionType) else ALL
    return ()


def _iterated(value: Any) -> tuple[Touch, ...]:
    """Tell what beginning to iterate touches: each item is touched when it is its turn."""
    if value is UNKNOWN:
        return ALL
    kind = type(value)
    if isinstance(value, (*PLAIN, *ITERATORS, GeneratorType)) or kind in IMMUTABLE_EXACT:
        return ()
    return () if isinstance(value, _VIEWS) else _by(value, "__iter__")


_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))


def _unpacked(value: Any) -> tuple[Touch, ...]:
    kind = type(value)
    if kind is tuple:
        return ()
    return touches.contents(value) if kind in CONTAINERS else ALL


def _awaited(value: Any) -> tuple[Touch, ...]:
    if isinstance(value, CoroutineType):
        return ()
    if isinstance(value, asyncio.Future):
        return (((id(value), ITEMS), False),)
    return _by(value, "__await__")


def _contained(value: Any, owner: Any) -> tuple[Touch, ...]:
    kind = type(owner)
    if kind in {dict, set, frozenset} and type(value) in SCALARS:
        return touches.items(owner, write=False, holders={}, key=value)
    return () if isinstance(lookup(kind, "__contains__"), FunctionType) else _values(value, owner)


def _by(owner: Any, name: str) -> tuple[Touch, ...]:
    """Nothing, if what is called is written in Python, whose code is looked into."""
    return () if isinstance(lookup(type(owner), name), FunctionType) else ALL


def _entered(owner: Any) -> tuple[Touch, ...]:
    return _by(owner, "__aenter__")


def _entered_at_once(owner: Any) -> tuple[Touch, ...]:
    return tuple(touches.guard(owner)) or _by(owner, "__enter__")


def _next_of(owner: Any) -> tuple[Touch, ...]:
    return _by(owner, "__anext__")


def _asked_for_iterator(owner: Any) -> tuple[Touch, ...]:
    return () if isinstance(owner, AsyncGeneratorType) else _by(owner, "__aiter__")


# ---- points -----------------------------------------------------------------------------------


def _attribute(owner: Any, look: Look, name: Any) -> tuple[Touch, ...]:
    if name == "__dict__" or owner is UNKNOWN:
        return ALL
    if isinstance(owner, SYNCHRONIZERS):
        found = lookup(type(owner), name)
        return () if isinstance(found, FunctionType) else (((id(owner), ITEMS), True),)
    found = look()
    return ALL if found and isinstance(owner, (asyncio.Future, asyncio.Handle)) else found


SYNCHRONIZERS: Final[tuple[type, ...]] = (
    *(asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Queue),
    *(asyncio.Barrier, asyncio.Timeout, asyncio.TaskGroup),
)
"""Objects of asyncio that are touched as a whole by each of their methods."""


def _item(owner: Any, look: Look, _: Any) -> tuple[Touch, ...]:
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

_OPERANDS: Final[dict[str, tuple[Callable[..., tuple[Touch, ...]], tuple[int, ...]]]] = {
    **dict.fromkeys(("FORMAT_VALUE", "FORMAT_SIMPLE", "CONVERT_VALUE"), (contents, (1,))),
    **dict.fromkeys(("UNARY_NEGATIVE", "UNARY_INVERT", "GET_LEN"), (contents, (1,))),
    **dict.fromkeys(("LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE"), (contents, (1,))),
    **dict.fromkeys(("TO_BOOL", "UNARY_NOT"), (_truth, (1,))),
    **dict.fromkeys(("POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE"), (_truth, (1,))),
    "BINARY_OP": (_changed, (2, 1)),
    "COMPARE_OP": (_compared, (2, 1)),
    "CONTAINS_OP": (_contained, (2, 1)),
    "GET_ITER": (_iterated, (1,)),
    **dict.fromkeys(("UNPACK_SEQUENCE", "UNPACK_EX"), (_unpacked, (1,))),
    "GET_AWAITABLE": (_awaited, (1,)),
    "GET_AITER": (_asked_for_iterator, (1,)),
    "GET_ANEXT": (_next_of, (1,)),
    "BEFORE_WITH": (_entered_at_once, (1,)),
    "BEFORE_ASYNC_WITH": (_entered, (1,)),
}
