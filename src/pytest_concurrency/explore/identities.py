"""Which object is which in one play, also where one takes the place in memory of another.

Objects are told apart by their address, and the first thing that a worker makes after another one
has ended may lie where something of the other's lay. Taken for the same, they would make steps
depend on each other that have nothing to do with each other. Nothing is kept alive to prevent
that, as finalizers are part of what is explored. What knows weak references is asked; in the place
of other things that are gone something of ours is put, which proves that they are.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any, Final, final

_WITHOUT_WEAK_REFERENCES: Final[tuple[type, ...]] = (list, dict, SimpleNamespace)
_MISSES: Final = 3
"""How often to find a place where nothing lay before giving up: the last one freed comes first."""


@final
class Identities:
    """Numbers objects in the order in which a play meets them.

    Steps that come in the same order in two plays touch the same by name then, which saves a
    search from reading what it read before.
    """

    __slots__ = ("_alive", "_in_place", "_names", "_next", "_numbers")

    def __init__(self) -> None:
        """Begin a play."""
        self._next = 0
        self._names: dict[Hashable, Hashable] = {}
        self._numbers: dict[int, int] = {}
        self._alive: dict[int, Any] = {}
        self._in_place: list[object] = []

    def see(self, address: int) -> None:
        """Take note that a step touches an object, which is alive just now."""
        known = self._alive.get(address)
        if known is not None:
            if known() is not None:
                return
            self._drop(address)
        elif address in self._numbers:
            return
        self._number(address)
        it = ctypes.cast(address, ctypes.py_object).value
        if type(it).__weakrefoffset__:
            self._alive[address] = weakref.ref(it)

    def name(self, resource: Hashable) -> Hashable:
        """Return what to call a resource in this play."""
        named = self._names.get(resource)
        if named is None:
            named = resource
            if isinstance(resource, tuple) and isinstance(resource[0], int):
                named = (self._number(resource[0]), *resource[1:])
            self._names[resource] = named
        return named

    def occupy(self) -> None:
        """Take the places of what is gone since a worker ended, until the end of the play."""
        for kind in _WITHOUT_WEAK_REFERENCES:
            missed = 0
            while missed < _MISSES:
                ours = kind()
                if id(ours) in self._numbers:
                    self._drop(id(ours))
                else:
                    missed += 1
                self._in_place.append(ours)

    def _number(self, address: int) -> int:
        number = self._numbers.get(address)
        if number is None:
            number = self._numbers[address] = self._next
            self._next += 1
        return number

    def _drop(self, address: int) -> None:
        self._alive.pop(address, None)
        del self._numbers[address]
        self._names = {
            resource: named
            for resource, named in self._names.items()
            if not isinstance(resource, tuple) or resource[0] != address
        }
