"""What an instruction is about to touch, told from the objects on the stack.

Each function returns the touched resources, or ``()`` where nothing that can be shared is touched.
Where the object cannot be seen its place is taken by ``"?"``, which stands for every object
(`reduction.settle`).
"""

from __future__ import annotations

import functools
import sys
import threading
from gc import get_referents
from types import FunctionType, GeneratorType, ModuleType
from typing import Any, Final

from pytest_concurrency.explore.kinds import (
    CONTAINERS,
    FIXED,
    FUNCTIONS,
    IMMUTABLE,
    IMMUTABLE_EXACT,
    ITERATORS,
    KEYED,
    KEYS,
    LOCKS,
    MISSING,
    is_ours,
    lookup,
)
from pytest_concurrency.explore.memory import UNKNOWN, Unknown
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.special import ITEMS, Special, Touches

NEXT: Final = "next"


def guard(holder: Any) -> Touches:
    """Tell what entering a ``with`` block touches: a real lock, made before the schedule began."""
    if holder is UNKNOWN:
        return ()
    if isinstance(holder, threading.Condition):
        holder = holder._lock  # type: ignore[attr-defined]  # noqa: SLF001
    if isinstance(holder, LOCKS):
        return Special.locking("acquire", holder)
    return ()


def is_guarding(holder: Any) -> bool:
    """Whether an object, and so each of its type, may be a real lock or have one inside."""
    return isinstance(holder, (threading.Condition, *LOCKS))


def both(left: Any, right: Any) -> Touches:
    """Tell what comparing two values touches."""
    if type(left) in CONTAINERS or type(right) in CONTAINERS:
        return (*contents(left), *contents(right))
    return ()


@functools.lru_cache(maxsize=4096)
def _plain_attribute(kind: type, name: str) -> bool:
    """Whether instances keep this attribute in their own place: no method and no property."""
    if name in {"__class__", "__dict__"} or issubclass(kind, IMMUTABLE) or kind in CONTAINERS:
        return False
    found = lookup(kind, name)
    return found is MISSING or not (isinstance(found, (*FUNCTIONS, property)))


def is_plain(kind: type, name: str, *, write: bool) -> bool:
    """Whether an attribute that is written, or is in an object's own place, is its alone."""
    return (
        kind is not Unknown
        and not issubclass(kind, (threading.local, ModuleType, type))
        and (write or kind.__dictoffset__ != 0)
        and _plain_attribute(kind, name)  # type: ignore[arg-type]
    )


def attribute(  # noqa: PLR0911 - one kind of owner after the other
    owner: Any, name: str, *, write: bool
) -> Touches:
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
    if not _plain_attribute(kind, name):  # type: ignore[arg-type]
        return ()
    own = (((id(owner), name), write),)
    if write or name in (getattr(owner, "__dict__", None) or ()):
        return own
    found = lookup(kind, name)
    if type(found) is functools.cached_property:
        return _cached(owner, name, found)
    if found is MISSING or hasattr(type(found), "__get__"):
        return own
    return *own, *_class_attribute(kind, name, write=False)


def _cached(owner: Any, name: str, found: Any) -> Touches:
    made = Special.opening(((id(owner), name), True), runs=found.func)
    lock = getattr(found, "lock", None)
    if isinstance(lock, LOCKS):  # Python 3.11 computes under a lock of the class
        made.lock = lock
    return made


def _class_attribute(owner: type, name: str, *, write: bool) -> Touches:
    if write:
        return (((id(owner), name), True),)
    for depth, base in enumerate(owner.__mro__, 1):
        found = base.__dict__.get(name, MISSING)
        if found is not MISSING:
            if isinstance(found, (*FUNCTIONS, *FIXED, property)):
                return ()
            return tuple(((id(asked), name), False) for asked in owner.__mro__[:depth])
    return (((id(owner), name), False),) if not hasattr(type(owner), name) else ()


def variable(names: dict[str, Any], name: str, *, write: bool) -> Touches:
    """Tell what a global variable touches; modules, classes and functions are fixed."""
    if write:
        return (((id(names), name), True),)
    value = names.get(name, MISSING)
    if value is MISSING or isinstance(value, FIXED):
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
        if isinstance(value, FIXED):
            return ()
    return (((id(holder), "cell"), write),)


def items(  # noqa: PLR0911 - one kind of container after the other
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
    if kind in IMMUTABLE_EXACT or isinstance(owner, type) or is_ours(kind):
        return ()
    if kind is dict and id(owner) in holders:
        return (((holders[id(owner)], "*"), write),)
    if not write and kind not in CONTAINERS and not isinstance(owner, memoryview):
        write = not _has_python_item(kind)
        if not write:
            return ()
    if kind in KEYED and type(key) in KEYS:
        if kind is not dict:
            key = key if key >= 0 else len(owner) + key if type(key) is int else None
        elif write and (gone or key not in owner):
            return (((id(owner), ITEMS), True),)
        if key is not None:
            return (((id(owner), ITEMS, key), write),)
    return (((id(owner), ITEMS), write),)


def _has_python_item(kind: type) -> bool:
    found = lookup(kind, "__getitem__")
    return isinstance(found, FunctionType)


def _references(value: Any) -> int:
    return sys.getrefcount(value)


_BOX = [iter(())]
_ALONE: Final = _references(_BOX[0])
"""References to an iterator that only one container has, as only a stack has a loop's own
iterator.
"""


def is_alone(iterator: Any) -> bool:
    """Whether nobody but the loop can see an iterator."""
    return sys.getrefcount(iterator) <= _ALONE


def advance(iterator: Any, *, shared: bool = False) -> Touches:
    """Tell what advancing an iterator touches: itself if shared, and what it runs over.

    Args:
        iterator: The iterator.
        shared: Whether it is known that others can see it; else its references are counted.
    """
    if iterator is UNKNOWN:
        return ((("?", NEXT), True),)
    found: list[Touch] = []
    if shared or sys.getrefcount(iterator) > _ALONE:
        found.append(((id(iterator), NEXT), True))
    if isinstance(iterator, ITERATORS):
        _sources(iterator, found, 3)
    if found and isinstance(iterator, GeneratorType):  # nobody else may advance it meanwhile
        return Special.opening(*found, runs=None)
    return tuple(found)


def _sources(iterator: Any, found: list[Touch], depth: int) -> None:
    for source in get_referents(iterator):
        if type(source) in CONTAINERS:
            found.append(((id(source), ITEMS), False))
        elif isinstance(source, GeneratorType):
            found.append(((id(source), NEXT), True))
        elif depth and isinstance(source, ITERATORS):
            _sources(source, found, depth - 1)


def contents(owner: Any, *, write: bool = False) -> Touches:
    """Tell what reading all items of a container touches; other values touch nothing."""
    if owner is UNKNOWN or type(owner) not in CONTAINERS:
        return ()
    return (((id(owner), ITEMS), write),)
