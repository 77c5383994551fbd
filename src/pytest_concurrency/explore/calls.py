"""What a call is about to touch: the object of a method, containers among the arguments."""

from __future__ import annotations

import array
import collections
import functools
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from pytest_concurrency.explore.kinds import (
    CACHED,
    CONTAINERS,
    IMMUTABLE,
    IMMUTABLE_EXACT,
    LOCKS,
    SIMPLE_QUEUE,
    is_ours,
)
from pytest_concurrency.explore.memory import NOTHING
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.special import ITEMS, Special, Touches
from pytest_concurrency.explore.touches import advance, attribute, contents

_READERS = frozenset(
    [
        "get",
        "keys",
        "values",
        "items",
        "copy",
        "count",
        "index",
        "isdisjoint",
        "issubset",
        "issuperset",
        "union",
        "intersection",
        "difference",
        "tolist",
        "tobytes",
        "__len__",
        "__contains__",
        "__getitem__",
        "__iter__",
        "__repr__",
        "__eq__",
    ]
)
_LOOKERS = frozenset(
    {
        *(len, sorted, sum, min, max, any, all, iter, reversed, repr, print, bool),
        *(list, tuple, set, frozenset, dict, enumerate, zip, map, filter, str, bytes, bytearray),
        *(collections.deque, collections.Counter, array.array),
    }
)
_BLIND = frozenset(
    {isinstance, id, type, callable, hash, issubclass, super, range, int, float, abs, round, object}
)


def call(  # noqa: PLR0911 - one kind of callable after the other
    called: Any, bound: Any, arguments: list[Any], own: Any, holders: dict[int, int]
) -> Touches:
    """Tell what calling something touches; explored code has points of its own.

    Args:
        called: What is called.
        bound: The object whose method it is, as far as the stack says, or ``NOTHING``.
        arguments: The other arguments.
        own: Tells whether a code object is explored.
        holders: For the ``__dict__`` of an object, the object; ``vars`` adds to it.
    """
    kind = type(called)
    if kind is MethodType:
        called, bound = called.__func__, called.__self__
        kind = type(called)
    if kind is FunctionType:
        if own(called.__code__) or bound is NOTHING or is_ours(type(bound)):
            return ()
        return _opaque(bound)
    if kind is BuiltinFunctionType or kind is BuiltinMethodType or kind is MethodWrapperType:
        return _builtin(called, bound, arguments, holders)
    if kind is MethodDescriptorType or kind is WrapperDescriptorType:
        owner = bound if bound is not NOTHING else (arguments[0] if arguments else NOTHING)
        return _method(owner, called.__name__, arguments)
    if kind is CACHED:
        return Special.opening(((id(called), "cache"), True))
    if isinstance(called, type):
        return _arguments(called, arguments)
    return ()


def _opaque(owner: Any) -> Touches:
    """Tell what a method written elsewhere touches: its object, as a whole."""
    if isinstance(owner, (*IMMUTABLE, ModuleType)) or _is_safe(type(owner)):  # type: ignore[arg-type]
        return ()
    return (((id(owner), ITEMS), True),)


@functools.lru_cache(maxsize=1024)
def _is_safe(kind: type) -> bool:
    """Whether objects of a class are made of stand-ins, whose own points suffice."""
    return any(base.__module__ in _SAFE for base in kind.__mro__)


_SAFE = frozenset(
    {
        "threading",
        "queue",
        "concurrent.futures.thread",
        "concurrent.futures._base",
        "random",
        "logging",
    }
)


def _builtin(called: Any, bound: Any, arguments: list[Any], holders: dict[int, int]) -> Touches:
    owner = getattr(called, "__self__", None)
    if owner is None or isinstance(owner, ModuleType):
        given = arguments if bound is NOTHING else [bound, *arguments]
        return _function(called, given, holders)
    return _method(owner, called.__name__, arguments)


def _function(called: Any, given: list[Any], holders: dict[int, int]) -> Touches:
    if called in _BLIND or not given:
        return ()
    first = given[0]
    if called in _NAMED and len(given) > 1:
        return (
            attribute(first, given[1], write=called in {setattr, delattr})
            if type(given[1]) is str
            else ()
        )
    if called is vars:
        holders[id(vars(first))] = id(first)
        return ()
    if called is next:
        return advance(first, shared=True)
    return _arguments(called, given)


_NAMED = frozenset({getattr, setattr, delattr, hasattr})


def _method(owner: Any, name: str, arguments: list[Any]) -> Touches:
    if type(owner) in IMMUTABLE_EXACT or isinstance(owner, (type, ModuleType)) or owner is NOTHING:
        return tuple(touch for given in arguments for touch in contents(given))
    if isinstance(owner, LOCKS):
        return _locking(owner, name, arguments)
    if isinstance(owner, SIMPLE_QUEUE) and name == "get" and (not arguments or arguments[0]):
        made = Special(((((id(owner), ITEMS), True)),))
        made.lock, made.ready = owner, lambda: not owner.empty()
        return made
    if is_ours(type(owner)):
        return ()
    if isinstance(owner, GeneratorType) or hasattr(owner, "__next__"):
        return advance(owner, shared=True)
    own = (((id(owner), ITEMS), name not in _READERS),)
    return *own, *(touch for given in arguments for touch in contents(given))


def _locking(lock: Any, name: str, arguments: list[Any]) -> Touches:
    if name in {"release", "__exit__", "release_lock"}:
        return Special.locking("release", lock)
    if name in {"acquire", "__enter__", "acquire_lock"}:
        waits = not arguments or (bool(arguments[0]) and len(arguments) == 1)
        return Special.locking("acquire" if waits else "try", lock)
    return ()


def _arguments(called: Any, given: list[Any]) -> Touches:
    try:
        looks = called in _LOOKERS
    except TypeError:
        return ()
    found: list[Touch] = []
    for value in given:
        if type(value) in CONTAINERS:
            found.append(((id(value), ITEMS), not looks))
        elif looks and hasattr(value, "__next__"):
            found.extend(advance(value, shared=True))
    return tuple(found)
