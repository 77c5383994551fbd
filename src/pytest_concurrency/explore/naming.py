"""What to call an object, a place and a value in a text."""

from __future__ import annotations

import linecache
import reprlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from pathlib import PurePath
from types import FrameType, ModuleType
from typing import Any, TypeAlias

Same: TypeAlias = Callable[[Any], bool]

_MANY = 1_000


class _Short(reprlib.Repr):
    """Writes values shortly; those of classes by their names, if it is to run no code of theirs."""

    def __init__(self, *, runs: bool) -> None:
        super().__init__()
        self.maxstring = self.maxother = 32
        self.maxlist = self.maxdict = self.maxset = self.maxtuple = self.maxdeque = 4
        self._runs = runs

    def repr_instance(self, x: Any, level: int) -> str:
        if self._runs or type(x).__module__ == "builtins":
            return super().repr_instance(x, level)
        return f"<{type(x).__name__}>"


_SHORT, _PLAIN = _Short(runs=True), _Short(runs=False)
_PLAINLY: ContextVar[bool] = ContextVar("plainly", default=False)


@contextmanager
def plainly(yes: bool) -> Iterator[None]:  # noqa: FBT001 - whether to, not how
    """Run no ``__repr__`` of the code under test: some change what they show."""
    before = _PLAINLY.set(yes)
    try:
        yield
    finally:
        _PLAINLY.reset(before)


def shown(value: Any) -> str:
    """Write a value shortly, whatever its ``repr`` does.

    >>> shown({"a": 1}), shown("x" * 50)
    ("{'a': 1}", "'xxxxxxxxxxxx...xxxxxxxxxxxxx'")
    """
    plain: object = object.__repr__
    if type(value).__repr__ is plain:
        return f"<{type(value).__name__}>"
    try:
        return (_PLAIN if _PLAINLY.get() else _SHORT).repr(value).replace("\n", " ")
    except Exception:  # noqa: BLE001 - a broken repr must not hide the failure
        return f"<{type(value).__name__}>"


def place(file: str, line: int) -> str:
    """Write where something is: file name and line."""
    return f"{PurePath(file).name}:{line}"


def source(file: str, line: int) -> str:
    """Return the source line, without its indentation."""
    return linecache.getline(file, line).strip()


def name_of(wanted: Any, frames: list[FrameType], *, far: bool = False) -> str | None:
    """Find what the code calls an object: a variable, or what is reached from one.

    Args:
        wanted: The object.
        frames: Where to look, nearest first.
        far: Whether to look two steps from a variable, and into global ones.
    """
    for look in (_near, _farther, _farthest)[: 3 if far else 1]:
        for same in (lambda value: value is wanted, _wrapping(wanted)):
            for frame in frames:
                found = look(frame, frames, same)
                if found is not None:
                    return found
    return None


def _near(frame: FrameType, frames: list[FrameType], same: Same) -> str | None:
    """Look among the variables of a frame, and at what they hold."""
    for name, value in list(frame.f_globals.items()):
        if same(value):
            return _qualified(name, frame)
    for name, value in list(frame.f_locals.items()):
        if same(value) and _means_one(name, value, frames):
            return name
    return _within(frame, frames, lambda value: _held(value, same))


def _farther(frame: FrameType, frames: list[FrameType], same: Same) -> str | None:
    """Look into what the variables hold, and at what global ones do."""
    found = _within(frame, frames, lambda value: _inside(value, same))
    return found or _global(frame, lambda value: _held(value, same))


def _farthest(frame: FrameType, _: list[FrameType], same: Same) -> str | None:
    """Look into what global variables hold."""
    return _global(frame, lambda value: _inside(value, same))


def _global(frame: FrameType, look: Callable[[Any], str | None]) -> str | None:
    for name, value in list(frame.f_globals.items()):
        if not isinstance(value, ModuleType) and not name.startswith("__"):
            held = look(value)
            if held is not None:
                return f"{_qualified(name, frame)}{held}" if held.startswith((".", "[")) else held
    return None


def _within(
    frame: FrameType, frames: list[FrameType], look: Callable[[Any], str | None]
) -> str | None:
    for name, value in list(frame.f_locals.items()):
        held = look(value)
        if held is not None and not held.startswith((".", "[")):
            return held
        if held is not None and (name == "self" or _means_one(name, value, frames)):
            return f"{type(value).__name__ if name == 'self' else name}{held}"
    return None


def _means_one(name: str, value: Any, frames: list[FrameType]) -> bool:
    """Whether a variable of this name is the same object wherever there is one."""
    return all(frame.f_locals.get(name, value) is value for frame in frames)


def _qualified(name: str, frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__", "")).rpartition(".")[2]
    return f"{module}.{name}" if module and module != "__main__" else name


def _held(owner: Any, same: Same) -> str | None:
    """Say how an object is reached from one that holds it: as an item, or as an attribute."""
    return next((_way(key, as_is) for key, value, as_is in _parts(owner) if same(value)), None)


def _inside(owner: Any, same: Same) -> str | None:
    for key, value, as_is in _parts(owner):
        if not isinstance(value, (type, ModuleType)):
            held = _held(value, same)
            if held is not None and held.startswith((".", "[")):
                return f"{_way(key, as_is)}{held}"
    return None


def _way(key: Any, as_is: bool) -> str:  # noqa: FBT001 - as `_parts` has it
    return str(key) if as_is else f"[{shown(key)}]"


def _parts(owner: Any) -> Iterator[tuple[Any, Any, bool]]:
    """Go through what an object holds, without running code of its own.

    Yields:
        How it is reached, what it is, and whether the first is a text already; else it is a key,
        whose own code makes the text.
    """
    if isinstance(owner, (dict, list, tuple, deque)):
        numbered: Any = dict.items(owner) if isinstance(owner, dict) else enumerate(owner)
        for key, value in islice(list(numbered), _MANY):
            yield key, value, False
    if type(owner).__module__ in _HOLDERS:
        return
    if not isinstance(owner, type):
        names = getattr(owner, "__dict__", None)
        if isinstance(names, dict):
            yield from ((f".{key}", value, True) for key, value in list(names.items()))
        yield from ((f".{key}", getattr(owner, key, None), True) for key in _slots(owner))
    for kind in (owner if isinstance(owner, type) else type(owner)).__mro__:
        if kind.__module__ not in sys.stdlib_module_names:
            for key, value in list(vars(kind).items()):
                yield f"{kind.__name__}.{key}", value, True


def _slots(owner: Any) -> list[str]:
    return [
        name
        for base in type(owner).__mro__[:3]
        for name in getattr(base, "__slots__", ())
        if isinstance(name, str)
    ]


def _wrapping(wanted: Any) -> Same:
    def same(value: Any) -> bool:
        return (
            getattr(type(value), "__module__", "") in _HOLDERS
            and any(getattr(value, inner, None) is wanted for inner in ("_under", "_lock"))
        ) or (
            type(value).__module__ == "threading"
            and any(
                getattr(getattr(value, inner, None), "_under", None) is wanted
                for inner in ("_lock",)
            )
        )

    return same


_HOLDERS = frozenset({"pytest_concurrency.explore.locks", "threading"})
