"""What to call an object, a place and a value in a text."""

from __future__ import annotations

import linecache
import reprlib
from pathlib import PurePath
from types import FrameType
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 32
_SHORT.maxlist = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxtuple = _SHORT.maxdeque = 4


def shown(value: Any) -> str:
    """Write a value shortly, whatever its ``repr`` does.

    >>> shown({"a": 1}), shown("x" * 50)
    ("{'a': 1}", "'xxxxxxxxxxxx...xxxxxxxxxxxxx'")
    """
    plain: object = object.__repr__
    if type(value).__repr__ is plain:
        return f"<{type(value).__name__}>"
    try:
        return _SHORT.repr(value).replace("\n", " ")
    except Exception:  # noqa: BLE001 - a broken repr must not hide the failure
        return f"<{type(value).__name__}>"


def place(file: str, line: int) -> str:
    """Write where something is: file name and line."""
    return f"{PurePath(file).name}:{line}"


def source(file: str, line: int) -> str:
    """Return the source line, without its indentation."""
    return linecache.getline(file, line).strip()


def name_of(wanted: Any, frames: list[FrameType]) -> str | None:
    """Find what the code calls an object: a variable, or an attribute of one.

    Args:
        wanted: The object.
        frames: Where to look, nearest first.
    """
    same = _same(wanted)
    for frame in frames:
        for name, value in list(frame.f_globals.items()):
            if same(value):
                return _qualified(name, frame)
        for name, value in list(frame.f_locals.items()):
            if same(value) and _means_one(name, value, frames):
                return name
        for name, value in list(frame.f_locals.items()):
            held = _attribute(value, same)
            if held is not None and (name == "self" or _means_one(name, value, frames)):
                return f"{type(value).__name__ if name == 'self' else name}{held}"
    return None


def _means_one(name: str, value: Any, frames: list[FrameType]) -> bool:
    """Whether a variable of this name is the same object wherever there is one."""
    return all(frame.f_locals.get(name, value) is value for frame in frames)


def _qualified(name: str, frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__", "")).rpartition(".")[2]
    return f"{module}.{name}" if module and module != "__main__" else name


def _attribute(owner: Any, same: Any) -> str | None:
    if isinstance(owner, dict):
        return next((f"[{key!r}]" for key, value in list(owner.items()) if same(value)), None)
    if isinstance(owner, (list, tuple)):
        return next((f"[{i}]" for i, value in enumerate(owner) if same(value)), None)
    names = getattr(owner, "__dict__", None)
    if isinstance(names, dict):
        found = next((f".{key}" for key, value in list(names.items()) if same(value)), None)
        if found:
            return found
    return next((f".{key}" for key in _slots(owner) if same(getattr(owner, key, None))), None)


def _slots(owner: Any) -> list[str]:
    return [
        name
        for base in type(owner).__mro__[:3]
        for name in getattr(base, "__slots__", ())
        if isinstance(name, str)
    ]


def _same(wanted: Any) -> Any:
    def same(value: Any) -> bool:
        if value is wanted:
            return True
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
