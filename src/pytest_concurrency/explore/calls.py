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
from typing import Any, NamedTuple

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


class Called(NamedTuple):
    """A call as it stands on the stack."""

    function: Any
    bound: Any
    """The object whose method it is, as far as the stack says, or ``NOTHING``."""
    arguments: list[Any]
    """The other arguments."""
    names: tuple[str, ...] = ()
    """The names of the last of them."""

    @property
    def positional(self) -> list[Any]:
        """The arguments without names."""
        return self.arguments[: len(self.arguments) - len(self.names)]

    @property
    def keywords(self) -> dict[str, Any]:
        """The arguments with names."""
        return dict(
            zip(self.names, self.arguments[len(self.arguments) - len(self.names) :], strict=True)
        )


def call(  # noqa: PLR0911 - one kind of callable after the other
    made: Called, own: Any, holders: dict[int, int]
) -> Touches:
    """Tell what calling something touches; explored code has points of its own.

    Args:
        made: What is called with what.
        own: Tells whether a code object is explored.
        holders: For the ``__dict__`` of an object, the object; ``vars`` adds to it.
    """
    called, bound, arguments, _ = made
    kind = type(called)
    if kind is MethodType:
        called, bound = called.__func__, called.__self__
        kind = type(called)
    if kind is FunctionType:
        if own(called.__code__) or bound is NOTHING or is_ours(type(bound)):
            return ()
        return _opaque(bound)
    if kind is BuiltinFunctionType or kind is BuiltinMethodType or kind is MethodWrapperType:
        return _builtin(called, bound, made, holders)
    if kind is MethodDescriptorType or kind is WrapperDescriptorType:
        if bound is NOTHING and made.positional:
            bound, made = arguments[0], Called(called, arguments[0], arguments[1:], made.names)
        return _method(bound, called.__name__, made)
    if kind is CACHED:
        return Special.opening(((id(called), "cache"), True), runs=called.__wrapped__)
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


def _builtin(called: Any, bound: Any, made: Called, holders: dict[int, int]) -> Touches:
    owner = getattr(called, "__self__", None)
    if owner is None or isinstance(owner, ModuleType):
        given = made.arguments if bound is NOTHING else [bound, *made.arguments]
        return _function(called, given, holders)
    return _method(owner, called.__name__, made)


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


def _method(owner: Any, name: str, made: Called) -> Touches:
    arguments = made.arguments
    if type(owner) in IMMUTABLE_EXACT or isinstance(owner, (type, ModuleType)) or owner is NOTHING:
        return tuple(touch for given in arguments for touch in contents(given))
    if isinstance(owner, LOCKS):
        return _locking(owner, name, made)
    if isinstance(owner, SIMPLE_QUEUE) and name == "get":
        waits, seconds = _patience(made, "block")
        touched = ((((id(owner), ITEMS), True)),)
        return Special.waiting(touched, owner, seconds) if waits else touched
    if is_ours(type(owner)):
        return ()
    if isinstance(owner, GeneratorType) or hasattr(owner, "__next__"):
        return advance(owner, shared=True)
    own = (((id(owner), ITEMS), name not in _READERS),)
    return *own, *(touch for given in arguments for touch in contents(given))


def _patience(made: Called, first: str) -> tuple[bool, float | None]:
    """Tell whether a call of a lock or a queue waits, and for how many seconds at most."""
    given = {**dict(zip((first, "timeout"), made.positional, strict=False)), **made.keywords}
    seconds = given.get("timeout")
    limit = float(seconds) if isinstance(seconds, (int, float)) and seconds >= 0 else None
    return bool(given.get(first, True)), limit


def _locking(lock: Any, name: str, made: Called) -> Touches:
    if name in {"release", "__exit__", "release_lock"}:
        return Special.locking("release", lock)
    if name in {"acquire", "__enter__", "acquire_lock"}:
        waits, seconds = _patience(made, "blocking") if name != "__enter__" else (True, None)
        return Special.locking("acquire" if waits else "try", lock, seconds)
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
