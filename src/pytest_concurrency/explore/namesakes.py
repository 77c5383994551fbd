"""By which names the code under test knows an object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import Any


def names(targets: Sequence[object], frames: Iterable[FrameType]) -> dict[int, str]:
    """Name objects as code does that can see them, each by a name that no other of them has.

    Args:
        targets: The objects to name.
        frames: Where to look for names, the best place first.

    Returns:
        The name of each object, by its id; its type and a number where there is no name.
    """
    found: dict[int, list[str]] = {id(target): [] for target in targets}
    for frame in frames:
        for name, value in _seen(frame):
            if id(value) in found and name not in found[id(value)]:
                found[id(value)].append(name)
    return {id(target): _own(target, number, found) for number, target in enumerate(targets, 1)}


def _own(target: object, number: int, found: dict[int, list[str]]) -> str:
    others = {name for owner, names in found.items() if owner != id(target) for name in names}
    mine = [name for name in found[id(target)] if name not in others]
    return mine[0] if mine else f"{type(target).__name__} {number}"


def _seen(frame: FrameType) -> Iterator[tuple[str, Any]]:
    for variables in (frame.f_locals, frame.f_globals):
        for name, value in list(variables.items()):
            yield name, value
            for key, held in _held(value):
                yield f"{name}{key}", held


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """Go through what an object holds, one level deep."""
    if isinstance(value, (type, FrameType)):
        return
    for attribute, held in list(getattr(value, "__dict__", {}).items()):
        yield f".{attribute}", held
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", held) for key, held in list(value.items()))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{place}]", held) for place, held in enumerate(value))
