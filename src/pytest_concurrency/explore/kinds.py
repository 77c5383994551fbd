"""Kinds of objects, as far as sharing them between workers goes."""

from __future__ import annotations

import _thread
import array
import collections
import functools
import queue
import threading
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

CONTAINERS: Final = frozenset(
    {list, dict, set, collections.deque, bytearray, array.array, collections.OrderedDict}
)
"""Mutable, and with methods that are one step each."""

KEYED: Final = frozenset({dict, list, bytearray, array.array})
"""Containers whose items are told apart."""

KEYS: Final = frozenset({int, str})
"""Keys by which they are told apart."""

_NUMBERS = (int, float, complex, range, slice, type(None))
_TEXTS = (str, bytes, tuple, frozenset, MappingProxyType)
IMMUTABLE: Final = (*_NUMBERS, *_TEXTS, FunctionType, BuiltinFunctionType, MethodType, type)
IMMUTABLE_EXACT: Final = frozenset(IMMUTABLE) | {bool, type(Ellipsis), type(NotImplemented)}

FIXED: Final = (ModuleType, type, FunctionType, BuiltinFunctionType)
"""What a name is taken to mean for good."""

FUNCTIONS: Final = (
    *(FunctionType, classmethod, staticmethod, BuiltinFunctionType),
    *(MethodDescriptorType, WrapperDescriptorType),
)
"""What a class keeps for its instances to call."""

_EMPTY: tuple[Any, ...] = ([], {}, set(), (), "", b"", range(0), collections.deque(), bytearray())
ITERATORS: Final[tuple[type[Any], ...]] = tuple(
    {
        *(type(iter(empty)) for empty in _EMPTY),
        *(type(iter({}.items())), type(iter({}.values())), type(reversed([])), type(reversed({}))),
        *(enumerate, zip, map, filter),
    }
)
"""Iterators that run over something else."""

FIXED_ITERATORS: Final = frozenset(
    map(type, (iter(range(0)), iter(range(1 << 64)), iter(()), iter(""), iter("é"), iter(b"")))
)
"""Iterators that run over nothing that can be changed."""

CACHED: Final = type(functools.lru_cache(lambda: None))
SIMPLE_QUEUE: Final = queue.SimpleQueue
LOCKS: Final = (type(_thread.allocate_lock()), type(threading.RLock()))
"""Locks of C, where a stand-in came too late."""

BUILTINS: Final = frozenset(
    {
        *(BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType),
        *(type([].__len__), CACHED),
    }
)
"""Kinds of callables written in C, whose calls may touch something."""

MISSING: Final = object()


def lookup(kind: type, name: str) -> Any:
    """Find what a class has under a name, without calling anything."""
    for base in kind.__mro__:
        found = base.__dict__.get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def is_ours(kind: type) -> bool:
    """Whether a class is one of this package's."""
    return kind.__module__.startswith("pytest_concurrency.")
