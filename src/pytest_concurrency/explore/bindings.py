"""Where code keeps what it bound when it was read: defaults, class attributes, closures.

``def __init__(self, clock=time.monotonic)`` has the clock for good, whatever ``time`` holds later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import CellType, FunctionType
from typing import Any, TypeAlias

Change: TypeAlias = tuple[Callable[[Any], object], Any, Any]
"""What sets the place, what it holds, and what it holds instead."""


def bindings(module: Any, stand_in: Mapping[int, Any]) -> Iterator[Change]:
    """Find the places of a module's functions and classes that hold what is to be replaced.

    Args:
        module: Whose functions and classes.
        stand_in: What to put in place of an object, by its ``id``.
    """
    name = module.__name__
    seen: set[int] = set()
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == name:
            yield from _of_class(value, stand_in, seen)
        elif type(value).__module__ == name:
            yield from _of_instance(value, stand_in)
        else:
            yield from _of_function(value, stand_in, seen)


def _of_instance(value: object, stand_in: Mapping[int, Any]) -> Iterator[Change]:
    """Look into an object that a module keeps, such as its one registry."""
    held = getattr(value, "__dict__", None)
    if type(held) is not dict:
        return
    for name, one in list(held.items()):
        if id(one) in stand_in:
            yield partial(held.__setitem__, name), one, stand_in[id(one)]


def _of_class(owner: type, stand_in: Mapping[int, Any], seen: set[int]) -> Iterator[Change]:
    if id(owner) in seen:
        return
    seen.add(id(owner))
    for name, value in list(vars(owner).items()):
        new = stand_in.get(id(value))
        if new is not None:
            yield partial(type.__setattr__, owner, name), value, staticmethod(new)
        elif isinstance(value, staticmethod) and id(value.__func__) in stand_in:
            new = staticmethod(stand_in[id(value.__func__)])
            yield partial(type.__setattr__, owner, name), value, new
        elif isinstance(value, type) and value.__module__ == owner.__module__:
            yield from _of_class(value, stand_in, seen)
        else:
            yield from _of_function(getattr(value, "__func__", value), stand_in, seen)


def _of_function(value: Any, stand_in: Mapping[int, Any], seen: set[int]) -> Iterator[Change]:
    value = getattr(value, "__wrapped__", value) if type(value) is not FunctionType else value
    if type(value) is not FunctionType or id(value) in seen:
        return
    seen.add(id(value))
    defaults, keywords = value.__defaults__, value.__kwdefaults__
    if defaults and any(id(one) in stand_in for one in defaults):
        new = tuple(stand_in.get(id(one), one) for one in defaults)
        yield partial(setattr, value, "__defaults__"), defaults, new
    if keywords and any(id(one) in stand_in for one in keywords.values()):
        new_keywords = {key: stand_in.get(id(one), one) for key, one in keywords.items()}
        yield partial(setattr, value, "__kwdefaults__"), keywords, new_keywords
    for cell in value.__closure__ or ():
        yield from _of_cell(cell, stand_in, seen)


def _of_cell(cell: CellType, stand_in: Mapping[int, Any], seen: set[int]) -> Iterator[Change]:
    try:
        held = cell.cell_contents
    except ValueError:  # not bound yet
        return
    if id(held) in stand_in and id(cell) not in seen:
        seen.add(id(cell))
        yield partial(setattr, cell, "cell_contents"), held, stand_in[id(held)]
    elif type(held) is FunctionType:
        yield from _of_function(held, stand_in, seen)
