"""What an instruction touches that looks at values on the stack, and at nothing else.

Nothing is guessed: a type that is not known to be harmless touches everything.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any, Final

from pytest_concurrency.explore import touches
from pytest_concurrency.explore.callables import ALL, PLAIN, SCALARS, contents
from pytest_concurrency.explore.kinds import CONTAINERS, IMMUTABLE_EXACT, ITERATORS, lookup
from pytest_concurrency.explore.memory import UNKNOWN
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.special import ITEMS


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


def advanced(owner: Any) -> tuple[Touch, ...]:
    """Tell what advancing an iterator touches that is not known to run over anything."""
    return _by(owner, "__next__")


def _entered(owner: Any) -> tuple[Touch, ...]:
    return _by(owner, "__aenter__")


def _entered_at_once(owner: Any) -> tuple[Touch, ...]:
    return tuple(touches.guard(owner)) or _by(owner, "__enter__")


def _next_of(owner: Any) -> tuple[Touch, ...]:
    return _by(owner, "__anext__")


def _asked_for_iterator(owner: Any) -> tuple[Touch, ...]:
    return () if isinstance(owner, AsyncGeneratorType) else _by(owner, "__aiter__")


OPERANDS: Final[dict[str, tuple[Callable[..., tuple[Touch, ...]], tuple[int, ...]]]] = {
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
"""By instruction: what tells, and how far below the top of the stack its values are."""
