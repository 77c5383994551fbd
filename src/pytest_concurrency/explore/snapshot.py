"""What a value holds at one moment: a key to compare it by, and a copy to keep.

A specification merges two states only if their keys are equal, so a key must never be equal
for states that could answer differently. What cannot be looked into gets a key of its own.
"""

from __future__ import annotations

import copy
import itertools
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any

_ATOMS: frozenset[type] = frozenset({
    int, str, bytes, bool, complex, type(None), type(...), type(NotImplemented),
})  # fmt: skip
_FLAT = (int, str, bytes)
_LOCKS = f"{__name__.rpartition('.')[0]}.locks"
_ASIDE = frozenset({"__weakref__", "holder", "made", "number", "play", "taken", "touched"})
_BY_IDENTITY = (type, types.FunctionType, types.ModuleType)


def fingerprint(value: object) -> Hashable:
    """Return a key that two values share only if they hold the same things in the same shape.

    >>> fingerprint([1, {"a": 2}]) == fingerprint([1, {"a": 2}])
    True
    >>> fingerprint([1]) == fingerprint([True])
    False
    """
    try:
        return _Reader().key(value)
    except RecursionError:
        return _opaque()


def same(left: object, right: object) -> bool:
    """Tell whether two answers are the same: equal, or alike in all they hold."""
    if left is right:
        return True
    try:
        equal = bool(left == right)
    except Exception:  # noqa: BLE001 - a foreign __eq__ may raise anything
        equal = False
    return equal or fingerprint(left) == fingerprint(right)


def kept(value: Any) -> Any:
    """Return the value as it is now, safe from later changes where it can be copied."""
    if type(value) in _ATOMS or isinstance(value, _BY_IDENTITY):
        return value
    if type(value) is tuple and all(type(item) in _ATOMS for item in value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied is kept as it is
        return value


class _Opaque:
    """Stands for something that cannot be looked into; equal to nothing but itself."""

    __slots__ = ()


def _opaque() -> Hashable:
    return _Opaque()


class _Reader:
    """Reads one value through to its atoms, naming what it meets twice by its first place."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._alive: list[object] = []

    def key(self, value: Any) -> Hashable:
        """Return the key of one value and all that it holds."""
        kind = type(value)
        if kind in _ATOMS:
            return (kind, value)
        if kind is float:
            return (kind, value.hex())
        if isinstance(value, _BY_IDENTITY):
            return value
        place = self._places.get(id(value))
        if place is not None:
            return (_Reader, place)
        self._places[id(value)] = len(self._places)
        self._alive.append(value)
        return self._contents(kind, value)

    def _contents(self, kind: type, value: Any) -> Hashable:
        read = _READERS.get(kind)
        if read is not None:
            return (kind, read(self, value))
        if kind.__module__ == "_thread" and "lock" in kind.__name__.lower():
            return (kind, repr(value).startswith("<locked"))
        if kind.__module__ == _LOCKS:
            return (kind, self._stand_in(kind, value))
        return self._reduced(kind, value)

    def _stand_in(self, kind: Any, value: Any) -> Hashable:
        """Read a stand-in of the explorer without what it knows of who used it where."""
        names = [name for name in getattr(kind, "__slots__", ()) if name not in _ASIDE]
        return tuple([self.key(getattr(value, name, None)) for name in names])

    def items(self, values: Any) -> Hashable:
        """Return the key of some values in their order, quickly where they are all alike."""
        items = tuple(values)
        kinds = set(map(type, items))
        if len(kinds) == 1 and (only := kinds.pop()) in _FLAT:
            return (only, items)
        return tuple([self.key(item) for item in items])

    def _reduced(self, kind: type, value: Any) -> Hashable:
        try:
            parts = value.__reduce_ex__(2)
        except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything
            return _opaque()
        if isinstance(parts, str):
            return (kind, parts)
        contents = tuple(self._part(part) for part in parts)
        # A __getstate__ may leave things out; what the instance holds is compared as well.
        return (kind, contents, self._part(getattr(value, "__dict__", None)))

    def _part(self, part: Any) -> Hashable:
        if part is None:
            return None
        if hasattr(part, "__next__"):
            part = list(part)
        self._alive.append(part)
        return self.key(part)


_READERS: dict[type, Callable[[_Reader, Any], Hashable]] = {
    **dict.fromkeys((list, tuple, set, frozenset), _Reader.items),
    **dict.fromkeys(
        (dict, OrderedDict), lambda read, held: (read.items(held), read.items(held.values()))
    ),
    deque: lambda read, held: (held.maxlen, read.items(held)),
    bytearray: lambda _, held: bytes(held),
    itertools.count: lambda _, held: repr(held),
    types.MethodType: lambda read, held: (read.key(held.__self__), held.__func__),
    types.BuiltinMethodType: lambda read, held: (read.key(held.__self__), held.__name__),
}
