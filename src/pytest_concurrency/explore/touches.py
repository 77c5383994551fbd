"""What an instruction is about to touch, told from the objects on the stack.

Each function returns the touched resources, or ``()`` where nothing that can be shared is touched. Where the
object cannot be seen its place is taken by ``"?"``, which stands for every object (`reduction.settle`).
"""

from __future__ import annotations

import _thread
import array
import collections
import functools
import queue
import sys
import threading
from collections.abc import Callable
from gc import get_referents
from types import (
    BuiltinFunctionType,
    BuiltinMethodType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final, final

from pytest_concurrency.explore.memory import NOTHING, UNKNOWN
from pytest_concurrency.explore.program import Touch

Touches = tuple[Touch, ...]

ITEMS: Final = "[]"
NEXT: Final = "next"
_BUILTIN_CONTAINERS = (
    list,
    dict,
    set,
    collections.deque,
    bytearray,
    array.array,
    collections.OrderedDict,
)
_PLAIN_READ = frozenset(
    {list, dict, set, collections.deque, bytearray, array.array, collections.OrderedDict}
)
_IMMUTABLE = (
    *(
        int,
        float,
        complex,
        str,
        bytes,
        tuple,
        frozenset,
        range,
        type(None),
        MappingProxyType,
        slice,
    ),
    *(FunctionType, BuiltinFunctionType, MethodType, type),
)
_IMMUTABLE_EXACT = frozenset(_IMMUTABLE) | {bool, type(Ellipsis), type(NotImplemented)}
_FIXED = (ModuleType, type, FunctionType, BuiltinFunctionType)
_FUNCTIONS = (
    FunctionType,
    classmethod,
    staticmethod,
    MethodDescriptorType,
    WrapperDescriptorType,
    BuiltinFunctionType,
)
_READERS = frozenset(
    ["get", "keys", "values", "items", "copy", "count", "index", "isdisjoint", "issubset", "issuperset", "union", "intersection", "difference", "tolist", "tobytes", "__len__", "__contains__", "__getitem__", "__iter__", "__repr__", "__eq__"]
)
_CONSUMERS = frozenset(
    {list, tuple, set, frozenset, dict, collections.deque, sum, sorted, min, max, any, all, next}
)
_LOOKERS = frozenset(
    {
        *(
            len,
            sorted,
            sum,
            min,
            max,
            any,
            all,
            list,
            tuple,
            set,
            frozenset,
            dict,
            enumerate,
            zip,
            map,
            filter,
            iter,
        ),
        *(
            reversed,
            repr,
            str,
            print,
            bool,
            collections.deque,
            collections.Counter,
            array.array,
            bytes,
            bytearray,
        ),
    }
)
_BLIND = frozenset(
    {isinstance, id, type, callable, hash, issubclass, super, range, int, float, abs, round, object}
)
_ITERATORS: Final = tuple(
    {
        *(
            type(iter(empty))
            for empty in ([], {}, set(), (), "", b"", range(0), collections.deque(), bytearray())
        ),
        *(type(iter({}.items())), type(iter({}.values())), type(reversed([])), type(reversed({}))),
        *(enumerate, zip, map, filter),
    }
)
_LRU = type(functools.lru_cache(lambda: None))
_MISSING = object()
_SimpleQueue = queue.SimpleQueue
_LOCKS = (type(_thread.allocate_lock()), type(threading.RLock()))


@final
class Special(tuple[Touch, ...]):
    """Touches of a step that is more than a touch.

    Attributes:
        opens: The touched resource is written again when the call returns, without another point.
        op: ``acquire``, ``try`` or ``release``, of a real lock.
        lock: The lock, or what else is waited for.
        ready: Whether a real queue has something to give.
    """

    opens = False
    op = ""
    lock: Any = None
    ready: Callable[[], bool] | None = None

    @classmethod
    def opening(cls, *touched: Touch) -> Special:
        """Mark touches that come again when the call returns."""
        made = cls(touched)
        made.opens = True
        return made

    @classmethod
    def locking(cls, op: str, lock: Any) -> Special:
        """Mark an operation of a real lock."""
        made = cls(((("lock", id(lock)), True),))
        made.op, made.lock = op, lock
        return made


def guard(holder: Any) -> Touches:
    """Tell what entering a ``with`` block touches: a real lock, made before the schedule began."""
    if holder is UNKNOWN:
        return ()
    if isinstance(holder, threading.Condition):
        holder = holder._lock  # type: ignore[attr-defined]  # noqa: SLF001
    if isinstance(holder, _LOCKS):
        return Special.locking("acquire", holder)
    return ()


def both(left: Any, right: Any) -> Touches:
    """Tell what comparing two values touches."""
    if type(left) in _PLAIN_READ or type(right) in _PLAIN_READ:
        return (*contents(left), *contents(right))
    return ()


def lookup(kind: type, name: str) -> Any:
    """Find what a class has under a name, without calling anything."""
    for base in kind.__mro__:
        found = base.__dict__.get(name, _MISSING)
        if found is not _MISSING:
            return found
    return _MISSING


@functools.lru_cache(maxsize=4096)
def _plain_attribute(kind: type, name: str) -> bool:
    """Whether instances keep this attribute in their own place: no method and no property."""
    if name in {"__class__", "__dict__"} or issubclass(kind, _IMMUTABLE) or kind in _PLAIN_READ:
        return False
    found = lookup(kind, name)
    return found is _MISSING or not (isinstance(found, (*_FUNCTIONS, property)))


def attribute(owner: Any, name: str, *, write: bool) -> Touches:
    """Tell what reading or writing ``owner.name`` touches."""
    if owner is UNKNOWN:
        return ((("?", name), write),)
    kind = type(owner)
    if isinstance(owner, threading.local):
        return ()
    if kind is ModuleType:
        return variable(owner.__dict__, name, write=write)
    if isinstance(owner, type):
        return _class_attribute(owner, name, write=write)
    if not _plain_attribute(kind, name):
        return ()
    own = (((id(owner), name), write),)
    if write or name in (getattr(owner, "__dict__", None) or ()):
        return own
    found = lookup(kind, name)
    if type(found) is functools.cached_property:
        return _cached(owner, name, found)
    if found is _MISSING or hasattr(type(found), "__get__"):
        return own
    return *own, *_class_attribute(kind, name, write=False)


def _cached(owner: Any, name: str, found: Any) -> Touches:
    made = Special.opening(((id(owner), name), True))
    lock = getattr(found, "lock", None)
    if isinstance(lock, _LOCKS):  # Python 3.11 computes under a lock of the class
        made.lock = lock
    return made


def _class_attribute(owner: type, name: str, *, write: bool) -> Touches:
    if write:
        return (((id(owner), name), True),)
    for base in owner.__mro__:
        found = base.__dict__.get(name, _MISSING)
        if found is not _MISSING:
            if isinstance(found, (*_FUNCTIONS, *_FIXED, property)):
                return ()
            return (((id(base), name), False),)
    return (((id(owner), name), False),) if not hasattr(type(owner), name) else ()


def variable(names: dict[str, Any], name: str, *, write: bool) -> Touches:
    """Tell what reading or writing a global variable touches; modules, classes and functions are taken as fixed."""
    if write:
        return (((id(names), name), True),)
    value = names.get(name, _MISSING)
    if value is _MISSING or isinstance(value, _FIXED):
        return ()
    return (((id(names), name), False),)


def cell(holder: Any, *, write: bool) -> Touches:
    """Tell what reading or writing a variable of an enclosing function touches."""
    if holder is UNKNOWN:
        return ((("?", "cell"), write),)
    if not write:
        try:
            value = holder.cell_contents
        except ValueError:
            return ()
        if isinstance(value, _FIXED):
            return ()
    return (((id(holder), "cell"), write),)


def items(
    owner: Any, *, write: bool, holders: dict[int, int], key: Any = None, gone: bool = False
) -> Touches:
    """Tell what reading or writing an item, a slice, or asking for membership touches.

    Args:
        owner: The container.
        write: Whether it is changed.
        holders: For the ``__dict__`` of an object, the object.
        key: Which item, if one.
        gone: Whether the item is taken out.
    """
    if owner is UNKNOWN:
        return ((("?", ITEMS), write),)
    kind = type(owner)
    if kind in _IMMUTABLE_EXACT or isinstance(owner, type) or _is_ours(kind):
        return ()
    if kind is dict and id(owner) in holders:
        return (((holders[id(owner)], "*"), write),)
    if not write and kind not in _PLAIN_READ and not isinstance(owner, memoryview):
        write = not _has_python_item(kind)
        if not write:
            return ()
    if kind in _KEYED and type(key) in _KEYS:
        if kind is not dict:
            key = key if key >= 0 else len(owner) + key if type(key) is int else None
        elif write and (gone or key not in owner):
            return (((id(owner), ITEMS), True),)
        if key is not None:
            return (((id(owner), ITEMS, key), write),)
    return (((id(owner), ITEMS), write),)


_KEYED = frozenset({dict, list, bytearray, array.array})
_KEYS = frozenset({int, str})


def _has_python_item(kind: type) -> bool:
    found = lookup(kind, "__getitem__")
    return isinstance(found, FunctionType)


def _references(value: Any) -> int:
    return sys.getrefcount(value)


_BOX = [iter(())]
_ALONE: Final = _references(_BOX[0])
"""References to an iterator that only one container has, as only a stack has a loop's own iterator."""


def advance(iterator: Any, *, shared: bool = False) -> Touches:
    """Tell what advancing an iterator touches: itself, if another can see it, and what it runs over.

    Args:
        iterator: The iterator.
        shared: Whether it is known that others can see it; else its references are counted.
    """
    if iterator is UNKNOWN:
        return ((("?", NEXT), True),)
    found: list[Touch] = []
    if shared or sys.getrefcount(iterator) > _ALONE:
        found.append(((id(iterator), NEXT), True))
    if isinstance(iterator, _ITERATORS):
        _sources(iterator, found, 3)
    return tuple(found)


def _sources(iterator: Any, found: list[Touch], depth: int) -> None:
    for source in get_referents(iterator):
        if type(source) in _PLAIN_READ:
            found.append(((id(source), ITEMS), False))
        elif isinstance(source, GeneratorType):
            found.append(((id(source), NEXT), True))
        elif depth and isinstance(source, _ITERATORS):
            _sources(source, found, depth - 1)


def contents(owner: Any, *, write: bool = False) -> Touches:
    """Tell what reading all items of a container touches; other values touch nothing."""
    if owner is UNKNOWN or type(owner) not in _PLAIN_READ:
        return ()
    return (((id(owner), ITEMS), write),)


def call(
    called: Any, bound: Any, arguments: list[Any], own: Any, holders: dict[int, int]
) -> Touches:
    """Tell what calling something touches; code that is explored itself touches nothing by being called.

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
        if own(called.__code__) or bound is NOTHING or _is_ours(type(bound)):
            return ()
        return _opaque(bound)
    if kind is BuiltinFunctionType or kind is BuiltinMethodType or kind is MethodWrapperType:
        return _builtin(called, bound, arguments, holders)
    if kind is MethodDescriptorType or kind is WrapperDescriptorType:
        owner = bound if bound is not NOTHING else (arguments[0] if arguments else NOTHING)
        return _method(owner, called.__name__, arguments)
    if kind is _LRU:
        return Special.opening(((id(called), "cache"), True))
    if isinstance(called, type):
        return _arguments(called, arguments)
    return ()


def _opaque(owner: Any) -> Touches:
    """Tell what a method written elsewhere touches: its object, as a whole."""
    if isinstance(owner, (*_IMMUTABLE, ModuleType)) or _is_safe(type(owner)):
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


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("pytest_concurrency.")


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
    if type(owner) in _IMMUTABLE_EXACT or isinstance(owner, (type, ModuleType)) or owner is NOTHING:
        return tuple(touch for given in arguments for touch in contents(given))
    if isinstance(owner, _LOCKS):
        return _locking(owner, name, arguments)
    if isinstance(owner, _SimpleQueue) and name == "get" and (not arguments or arguments[0]):
        made = Special(((((id(owner), ITEMS), True)),))
        made.lock, made.ready = owner, lambda: not owner.empty()
        return made
    if _is_ours(type(owner)):
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
        if type(value) in _PLAIN_READ:
            found.append(((id(value), ITEMS), not looks))
        elif looks and hasattr(value, "__next__"):
            found.extend(advance(value, shared=True))
    return tuple(found)
