"""What a call may touch before it returns, of callables that are not written in Python.

Those that are need no answer here: their instructions are looked into, one by one.
"""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import Callable
from contextvars import ContextVar
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    SimpleNamespace,
    WrapperDescriptorType,
)
from typing import Any, Final, TypeAlias

from pytest_concurrency.explore import touches
from pytest_concurrency.explore.kinds import CONTAINERS, ITERATORS, lookup
from pytest_concurrency.explore.memory import NOTHING
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.special import ITEMS

EVERYTHING: Final[Touch] = ("*", True)
"""What a step touches that cannot be looked into."""

ALL: Final = (EVERYTHING,)
"""All that it touches, then."""

SCALARS: Final[frozenset[type]] = frozenset(
    {int, float, complex, bool, str, bytes, type(None), range}
)
"""What has nothing in it that could change."""

PLAIN: Final[tuple[type, ...]] = (*CONTAINERS, collections.defaultdict, collections.Counter)
"""Containers that do what they look like, with or without methods of Python on top."""

Look: TypeAlias = "Callable[[], tuple[Touch, ...]]"
"""Tells what threads would be told that the call touches."""

_MANY: Final = 64
_DECIDED_BY_TYPE: Final = (type, MethodType, FunctionType, BuiltinFunctionType, ModuleType)


def contents(value: Any) -> tuple[Touch, ...]:
    """Tell what looking at a value as a whole touches, with all that is in it."""
    kind = type(value)
    if kind in SCALARS:
        return ()
    if kind is tuple or kind is frozenset or kind in CONTAINERS:
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        if len(inside) > _MANY or any(type(each) not in SCALARS for each in inside):
            return ALL
        return touches.contents(value)
    return ALL


def call(  # noqa: PLR0911 - one kind of callable after the other
    called: Any, bound: Any, given: list[Any], look: Look
) -> tuple[Touch, ...]:
    """Tell what calling something touches.

    Args:
        called: What is called.
        bound: The object whose method it is, as far as the stack says, or ``NOTHING``.
        given: The other arguments.
        look: Asked where the object is one that threads share in the same way.
    """
    kind = type(called)
    if kind is MethodType:
        called, kind = called.__func__, type(called.__func__)
    if kind is FunctionType:
        return ()
    if isinstance(called, type):
        return _make(called, given)
    if kind in {BuiltinFunctionType, BuiltinMethodType, MethodWrapperType}:
        owner = getattr(called, "__self__", None)
        if owner is None or isinstance(owner, ModuleType):
            return _function(called, given if bound is NOTHING else [bound, *given], look)
        return _method(owner, called.__name__, given, look)
    if kind in {MethodDescriptorType, WrapperDescriptorType}:
        owner = bound if bound is not NOTHING else (given[0] if given else NOTHING)
        return _method(owner, called.__name__, given, look)
    if isinstance(lookup(kind, "__call__"), FunctionType):
        return ()
    return ALL


def _function(called: Any, given: list[Any], look: Look) -> tuple[Touch, ...]:
    try:
        if called in _NOTHING:
            return ()
        if called in {len, bool, next, iter}:
            return look() if _is_known(given[0]) else ALL
        if called in _WHOLE:
            return tuple(touch for each in given for touch in _seen(each))
    except TypeError:
        pass
    return ALL


def _seen(value: Any) -> tuple[Touch, ...]:
    generated = isinstance(value, GeneratorType)
    return touches.advance(value, shared=True) if generated else contents(value)


def _is_known(value: Any) -> bool:
    return isinstance(value, (*PLAIN, *ITERATORS, GeneratorType, *SCALARS, tuple))


_NOTHING: Final = frozenset(
    {isinstance, id, callable, issubclass, super, asyncio.get_running_loop, asyncio.current_task}
)
_WHOLE: Final = frozenset({sorted, sum, min, max, any, all, repr, abs, round, hash, ord, chr})


def _method(  # noqa: PLR0911 - one kind of owner after the other
    owner: Any, name: str, given: list[Any], look: Look
) -> tuple[Touch, ...]:
    kind = type(owner)
    if isinstance(owner, asyncio.Future):
        if name in {"cancel", "uncancel"}:
            return ALL
        return (((id(owner), ITEMS), name not in _ASKING),)
    if isinstance(owner, ContextVar):
        return ()
    if kind in SCALARS or kind is tuple:
        return tuple(touch for each in given for touch in contents(each))
    if isinstance(owner, PLAIN):
        return look() if name in _ONE or all(map(_is_simple, given)) else ALL
    if isinstance(owner, GeneratorType):
        return look()
    return ALL


_ASKING: Final = frozenset({"done", "cancelled", "result", "exception", "get_name", "get_coro"})
_ONE: Final = frozenset({"append", "appendleft", "add", "insert", "setdefault", "popleft"})


def _is_simple(value: Any) -> bool:
    kind = type(value)
    return kind in SCALARS or kind in CONTAINERS or isinstance(value, _DECIDED_BY_TYPE)


def _make(kind: type, given: list[Any]) -> tuple[Touch, ...]:
    if kind in _MADE_OF or issubclass(kind, PLAIN):
        if all(isinstance(each, (*PLAIN, range, str, bytes, tuple)) for each in given):
            return tuple(touch for each in given for touch in touches.contents(each))
        return ALL
    if kind in SCALARS or kind is type:
        return () if kind is type else tuple(touch for each in given for touch in contents(each))
    if issubclass(kind, BaseException) or kind in _EMPTY:
        return ()
    if isinstance(lookup(kind, "__init__"), FunctionType):
        return ()
    return () if kind.__init__ is object.__init__ and kind.__new__ is object.__new__ else ALL


_EMPTY: Final = frozenset({object, functools.partial, asyncio.Future, SimpleNamespace})

_MADE_OF: Final = frozenset({tuple, frozenset, enumerate, reversed, zip})
