"""How a point finds out what its instruction is about to touch, from the objects in its frame.

A look is called at every point of every schedule. So each is made for one instruction, decides by
the types of the objects where these alone decide, and asks `touches` for the rest.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final, NamedTuple, TypeAlias, final

from pytest_concurrency.explore import touches
from pytest_concurrency.explore.callees import callee
from pytest_concurrency.explore.calls import call
from pytest_concurrency.explore.kinds import BUILTINS, CONTAINERS, FIXED_ITERATORS, is_ours
from pytest_concurrency.explore.memory import UNKNOWN, index, is_empty
from pytest_concurrency.explore.special import Touches

Look: TypeAlias = Callable[[FrameType, Any], Touches]
"""Given a frame and a reader of its objects (`memory.OBJECTS`), returns what will be touched."""

_CALLED_FIRST: Final = sys.version_info >= (3, 13)
_ONE_ITEM: Final = frozenset({"BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR"})
_MOST: Final = 256


class Found(NamedTuple):
    """An instruction, and how many places of its frame are in use before it."""

    offset: int
    name: str
    argument: Any
    number: int
    line: int
    depth: int | None
    names: tuple[str, ...] = ()
    """Of the keywords that a call is given, where another instruction says them."""


@final
class Looks:
    """Makes looks: one method for each kind of point, named after it."""

    def __init__(self, own: Callable[[CodeType], bool], holders: dict[int, int]) -> None:
        """Make looks for code under test.

        Args:
            own: Tells code under test from the rest.
            holders: For each ``__dict__`` that was seen as such, the object that it belongs to.
        """
        self._own = own
        self._holders = holders

    def early(self, one: Found, kind: str, look: Look) -> Look | None:
        """Return what to ask while there is but one worker, which shares with nobody.

        Locks that it takes then matter later, and so does whose namespace a dictionary is.
        """
        if kind == "call":
            return self._early_call(one, look)
        return look if kind == "guard" or one.argument == "__dict__" else None

    def _early_call(self, one: Found, look: Look) -> Look:
        read = function_of(one)

        def early(frame: FrameType, objects: Any) -> Touches:
            return look(frame, objects) if type(read(frame, objects)) in BUILTINS else ()

        return early

    def attribute(self, one: Found, at: list[int], write: bool) -> Look:  # noqa: FBT001
        """Look at an attribute: most are in the place of an object's own."""
        owner, name, tell = at[0], one.argument, touches.attribute
        if name == "__dict__":
            return self._namespace(owner)
        plain: set[type] = set()
        known: dict[int, Touches] = {}

        def look(_frame: FrameType, objects: Any) -> Touches:
            it = objects[owner]
            kind = type(it)
            if kind in plain and (write or name in it.__dict__):
                made = known.get(id(it))
                if made is None:
                    if len(known) > _MOST:
                        known.clear()
                    made = known[id(it)] = (((id(it), name), write),)
                return made
            if touches.is_plain(kind, name, write=write):
                plain.add(kind)
            return tell(it, name, write=write)

        return look

    def _namespace(self, owner: int) -> Look:
        holders = self._holders

        def look(_frame: FrameType, objects: Any) -> Touches:
            it = objects[owner]
            if it is not UNKNOWN and hasattr(it, "__dict__"):
                holders[id(it.__dict__)] = id(it)
            return ()

        return look

    def variable(self, one: Found, _at: list[int], write: bool) -> Look:  # noqa: FBT001
        """Look at a global variable."""
        name, tell = one.argument, touches.variable
        return lambda frame, _objects: tell(frame.f_globals, name, write=write)

    def cell(self, one: Found, _at: list[int], write: bool) -> Look:  # noqa: FBT001
        """Look at a variable of an enclosing function."""
        at, tell = index(one.number), touches.cell
        return lambda _frame, objects: tell(objects[at], write=write)

    def item(self, one: Found, at: list[int], write: bool) -> Look:  # noqa: FBT001
        """Look at an item, a slice, or a question for membership."""
        owner, tell, holders = at[0], touches.items, self._holders
        if one.name in _ONE_ITEM:
            key, gone = at[1], one.name == "DELETE_SUBSCR"
            return lambda _frame, objects: tell(
                objects[owner], write=write, holders=holders, key=objects[key], gone=gone
            )
        return lambda _frame, objects: tell(objects[owner], write=write, holders=holders)

    def spread(self, _one: Found, at: list[int], _write: bool) -> Look:  # noqa: FBT001
        """Look at all items of a container, read."""
        owner, tell = at[0], touches.contents

        def look(_frame: FrameType, objects: Any) -> Touches:
            it = objects[owner]
            return tell(it) if type(it) in CONTAINERS else ()

        return look

    truth = spread

    def update(self, one: Found, at: list[int], _write: bool) -> Look | None:  # noqa: FBT001
        """Look at a container that an augmented assignment changes."""
        if not str(dis._nb_ops[one.number][1]).endswith("="):  # type: ignore[attr-defined] # noqa: SLF001
            return None
        owner, tell = at[0], touches.contents

        def look(_frame: FrameType, objects: Any) -> Touches:
            it = objects[owner]
            return tell(it, write=True) if type(it) in CONTAINERS else ()

        return look

    def compare(self, _one: Found, at: list[int], _write: bool) -> Look:  # noqa: FBT001
        """Look at two containers that are compared."""
        left, right, tell = at[0], at[1], touches.both
        return lambda _frame, objects: tell(objects[left], objects[right])

    def guard(self, _one: Found, at: list[int], _write: bool) -> Look:  # noqa: FBT001
        """Look at what a ``with`` block enters."""
        holder, tell = at[0], touches.guard
        harmless: set[type] = set()

        def look(_frame: FrameType, objects: Any) -> Touches:
            it = objects[holder]
            if type(it) in harmless:
                return ()
            if not touches.is_guarding(it):
                harmless.add(type(it))
            return tell(it)

        return look

    def next(self, _one: Found, at: list[int], _write: bool) -> Look:  # noqa: FBT001
        """Look at an iterator that a loop advances."""
        iterator, tell, alone, fixed = at[0], touches.advance, touches.is_alone, FIXED_ITERATORS
        return lambda _frame, objects: (
            ()
            if type(objects[iterator]) in fixed and alone(objects[iterator])
            else tell(objects[iterator])
        )

    def call(self, one: Found, _at: list[int], _write: bool) -> Look:  # noqa: FBT001
        """Look at a call; code under test and stand-ins have points of their own."""
        own, holders, tell = self._own, self._holders, call
        called = callee(one.name, one.depth or 0, one.number, one.names)
        read = function_of(one)
        stand_ins: set[type] = set()

        def look(frame: FrameType, objects: Any) -> Touches:
            function = read(frame, objects)
            kind = type(function)
            if kind is MethodType:
                owner = type(function.__self__)
                if owner in stand_ins:
                    return ()
                inner = function.__func__
                if type(inner) is FunctionType:
                    if own(inner.__code__):
                        return ()
                    if is_ours(owner):
                        stand_ins.add(owner)
                        return ()
            elif function is range or (kind is FunctionType and own(function.__code__)):
                return ()
            return tell(called(frame), own, holders)

        return look


def function_of(one: Found) -> Callable[[FrameType, Any], Any]:
    """Return a reader of what is called, without its arguments."""
    top = one.depth or 0
    if one.name == "CALL_FUNCTION_EX":
        start = top - (one.number & 1) - 3
    else:
        start = top - one.number - 2 - (one.name == "CALL_KW")
    first, second = index(start), index(start + 1)
    if _CALLED_FIRST:
        return lambda _frame, objects: objects[first]
    if one.name == "CALL_FUNCTION_EX":
        return lambda _frame, objects: objects[second]
    return lambda frame, objects: objects[second if is_empty(frame, start) else first]
