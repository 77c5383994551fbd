"""What each step of a play did, with values, for a timeline."""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import PurePath
from types import CodeType, FrameType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, final

from pytest_concurrency.explore.calls import Called
from pytest_concurrency.explore.kinds import CACHED
from pytest_concurrency.explore.memory import NOTHING, UNKNOWN, slot
from pytest_concurrency.explore.naming import name_of, place, plainly, shown, source
from pytest_concurrency.explore.points import Point, callee_of
from pytest_concurrency.explore.program import Event, Place, Touch, Trace
from pytest_concurrency.explore.workers import Worker

_ABSENT = object()
_COMPUTED = object()
_SEQUENCES: tuple[Any, ...] = (list, tuple, deque, array, str, bytes, bytearray)
_VALUE = 2


@final
class Explanation:
    """Watches a stage and writes an event for each step, before the step is made."""

    def __init__(
        self, trace: Trace, own: Callable[[CodeType], bool], *, plain: bool = False
    ) -> None:
        """Write events into a trace.

        Args:
            trace: Where to.
            own: Tells code under test from the rest.
            plain: Whether values are shown without running code of theirs.
        """
        self._plain = plain
        self._trace = trace
        self._own = own
        self._after: dict[int, tuple[int, Callable[[], str]]] = {}

    def watch(self, worker: Worker, label: Hashable, touches: tuple[Touch, ...]) -> None:
        """Take note of a step about to be made; the one before it, whoever's it was, is over."""
        with plainly(self._plain):
            self._watch(worker, label, touches)

    def _watch(self, worker: Worker, label: Hashable, touches: tuple[Touch, ...]) -> None:
        self._finish_all()
        frame = self._frame(label)
        wrote = any(write for _, write in touches)
        does = ""
        if frame is None:
            file, line = "", 0
        else:
            file, line = frame.f_code.co_filename, frame.f_lineno
            does = self._does(label, frame, worker, wrote=wrote)
        self._trace.events.append(
            Event(
                worker=worker.number,
                where=place(file, line) if file else "",
                source=source(file, line) if file else "",
                does=does,
                touches=tuple(touches),
                wrote=wrote,
                step=len(self._trace.workers),
                stack=self._stack(frame),
            )
        )

    def finish(self) -> None:
        """Write down what was left open."""
        with plainly(self._plain):
            self._finish_all()

    def _finish_all(self) -> None:
        for worker in list(self._after):
            self._finish(worker)

    def _finish(self, worker: int) -> None:
        left = self._after.pop(worker, None)
        if left is None:
            return
        at, say = left
        self._trace.events[at] = replace(self._trace.events[at], does=say())

    def _frame(self, label: Hashable) -> FrameType | None:
        frame: FrameType | None = sys._getframe(3)  # noqa: SLF001
        if isinstance(label, Point):
            while frame is not None and frame.f_code is not label.code:
                frame = frame.f_back
            return frame
        while frame is not None and not self._own(frame.f_code):
            frame = frame.f_back
        return frame

    def _stack(self, frame: FrameType | None) -> tuple[Place, ...]:
        found: list[Place] = []
        while frame is not None:
            if self._own(frame.f_code):
                name = PurePath(frame.f_code.co_filename).name
                found.append((frame.f_code, name, frame.f_lineno))
            frame = frame.f_back
        return tuple(found)

    def _does(self, label: Hashable, frame: FrameType, worker: Worker, *, wrote: bool) -> str:
        if not isinstance(label, Point):
            returns = isinstance(label, tuple) and label[0] == "return"
            return "returns a value to be kept" if returns else ""
        kind, _, mode = label.kind.partition("-")
        values = [slot(at)(frame) for at in label.places]
        if any(value is UNKNOWN for value in values):
            return ""
        write = mode == "write"
        tell: dict[str, Callable[[], str]] = {
            "attribute": lambda: _attribute(label, values, write=write),
            "item": lambda: _item(values, mode),
            "global": lambda: _variable(label, frame, values, write=write),
            "cell": lambda: _variable(label, frame, values, write=write),
            "call": lambda: self._call(label, frame, worker, write=wrote),
        }
        return tell[kind]() if kind in tell else ""

    def _call(self, label: Point, frame: FrameType, worker: Worker, *, write: bool) -> str:
        made = callee_of(label)(frame)
        function, bound = made.function, made.bound
        owner = getattr(function, "__self__", None) if bound is NOTHING else bound
        if isinstance(getattr(function, "__func__", function), CACHED):
            return f"asks the cache of {getattr(function, '__name__', '?')}({_listed(made)})"
        if isinstance(owner, ModuleType):
            return _asked(function.__name__, made)
        if owner is None:
            return ""
        name = name_of(owner, [frame]) or type(owner).__name__
        before = shown(owner)
        method = f"{getattr(function, '__name__', '?')}({_listed(made)})"
        unchanged = f"{method}: {name} = {before}"
        if not write:
            return unchanged

        def say() -> str:
            after = shown(owner)
            return unchanged if after == before else f"{name}: {before} -> {after}"

        self._after[worker.number] = (len(self._trace.events), say)
        return ""


def _asked(name: str, made: Called) -> str:
    """Tell what a function of a module is about to do, above all with an attribute."""
    given = made.positional
    if name in {"hasattr", "getattr", "setattr", "delattr"} and isinstance(given[1], str):
        old = _peek(given[0], given[1], inherited=name in {"hasattr", "getattr"})
        if name == "setattr":
            return _change(given[1], old, given[2])
        return f"deletes {given[1]}" if name == "delattr" else _reading(given[1], old)
    return f"{name}({_listed(made)})" if given else ""


def _listed(made: Called) -> str:
    named = [f"{name}={shown(value)}" for name, value in made.keywords.items()]
    return ", ".join([*map(shown, made.positional), *named])


def _peek(owner: Any, name: str, *, inherited: bool) -> Any:
    if isinstance(owner, type):
        bases = owner.__mro__ if inherited else (owner,)
        return next((vars(base)[name] for base in bases if name in vars(base)), _ABSENT)
    found = next((vars(base)[name] for base in type(owner).__mro__ if name in vars(base)), _ABSENT)
    if isinstance(found, (MemberDescriptorType, GetSetDescriptorType)):
        try:
            return found.__get__(owner)
        except AttributeError:
            return _ABSENT
    held = _attributes(owner)
    if name in held:
        return held[name]
    if hasattr(type(found), "__get__") or (found is _ABSENT and hasattr(owner, "__getattr__")):
        return _COMPUTED
    return found


def _attributes(owner: Any) -> dict[str, Any]:
    try:
        held = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return {}
    return held if isinstance(held, dict) else {}


def _element(owner: Any, key: Any) -> Any:
    """Look without running code of the container's: a default may be made by looking."""
    if isinstance(owner, dict):
        return dict.get(owner, key, _ABSENT)
    kind = next((kind for kind in _SEQUENCES if isinstance(owner, kind)), None)
    if kind is None:
        return _COMPUTED
    try:
        return kind.__getitem__(owner, key)
    except (IndexError, TypeError):
        return _ABSENT


def _reading(name: str, value: Any) -> str:
    if value is _COMPUTED:
        return f"reads {name}"
    if value is _ABSENT:
        return f"reads {name}, which is not there"
    return f"reads {name} = {shown(value)}"


def _change(name: str, old: Any, new: Any) -> str:
    if old is _ABSENT or old is _COMPUTED:
        return f"{name} = {shown(new)}"
    return f"{name}: {shown(old)} -> {shown(new)}"


def _attribute(label: Point, values: list[Any], *, write: bool) -> str:
    owner, name = values[0], label.argument
    old = _peek(owner, name, inherited=not write)
    if write:
        return _change(name, old, values[1]) if len(values) > 1 else f"deletes {name}"
    return _reading(name, old)


def _item(values: list[Any], mode: str) -> str:
    owner, key = values[0], values[1] if len(values) > 1 else None
    if mode == "contains":
        return _asking(owner, key)
    old = _element(owner, key)
    if mode == "write":
        return (
            _change(f"[{shown(key)}]", old, values[2])
            if len(values) > _VALUE
            else f"deletes [{shown(key)}]"
        )
    return _reading(f"[{shown(key)}]", old)


def _asking(owner: Any, key: Any) -> str:
    asked = f"{shown(key)} in {shown(owner)}"
    if not isinstance(owner, (*_SEQUENCES, dict, set, frozenset)):  # to look may use it up
        return asked
    held: Any = owner
    try:
        return f"{asked}: {key in held}"
    except Exception:  # noqa: BLE001 - the code under test will raise it
        return ""


def _variable(label: Point, frame: FrameType, values: list[Any], *, write: bool) -> str:
    name = label.argument
    names = frame.f_globals if label.kind.startswith("global") else frame.f_locals
    old = names.get(name, _ABSENT)
    if write:
        return _change(name, old, values[0]) if values else f"deletes {name}"
    return _reading(name, old)
