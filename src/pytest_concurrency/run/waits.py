"""What a worker waits for, and who holds it, read from the frames of a run that hangs."""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import getattr_static
from types import FrameType
from typing import Any, final

from pytest_concurrency.run.place import is_stdlib

_WAITING_METHODS = {"acquire", "wait", "wait_for", "get", "put", "join", "result", "__enter__"}
_OWNER = re.compile(r"owner=(\d+)")
_PLAIN = (int, float, str, bytes, tuple, list, dict, type(None))
_MISSING = object()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something a worker waits for."""

    name: str
    """As the code calls it: ``Swaps._lock`` for ``self._lock`` in a method of ``Swaps``."""
    thing: object


def find_wait(frames: Sequence[FrameType]) -> Wait | None:
    """Return what the innermost line of the user's waits for, if it can be told."""
    for frame in frames:
        if is_stdlib(frame.f_code):
            continue
        for expression in _awaited(_instruction(frame)):
            thing = _evaluate(expression, frame)
            if thing is not _MISSING and not isinstance(thing, _PLAIN):
                return Wait(name=_spell(expression, frame), thing=thing)
        return None
    return None


def find_holder(wait: Wait, others: Mapping[str, tuple[int | None, list[FrameType]]]) -> str | None:
    """Name who holds the thing: by its owner if it knows one, else by who is inside ``with``.

    Args:
        wait: What is waited for.
        others: By name, the identifier and the frames of whoever may hold it.
    """
    owner = _OWNER.search(_repr(wait.thing))
    for name, (ident, frames) in others.items():
        if owner is not None and ident == int(owner[1]):
            return name
        if owner is None and any(_is_inside(frame, wait.thing) for frame in frames):
            return name
    return None


def is_held(wait: Wait) -> bool:
    """Say whether it is a lock that somebody holds."""
    return (
        re.match(
            r"<(unlocked|locked) |<asyncio\.locks\.\w+ object at .*\[locked", _repr(wait.thing)
        )
        is not None
    )


def _repr(thing: object) -> str:
    inner = (
        getattr_static(thing, "_lock", _MISSING) if type(thing).__name__ == "Condition" else thing
    )
    kind = type(inner)
    return repr(inner) if kind.__module__ in ("_thread", "threading", "asyncio.locks") else ""


def _instruction(frame: FrameType) -> ast.expr | None:
    """Parse the expression that the frame's current instruction belongs to."""
    try:
        text = _segment(frame.f_code.co_filename, _position(frame))
        return ast.parse(f"({text})", mode="eval").body
    except SyntaxError:
        return None


_Position = tuple[int | None, int | None, int | None, int | None]


def _position(frame: FrameType) -> _Position:
    """Return where the source of the frame's current instruction begins and ends."""
    positions = list(frame.f_code.co_positions())
    here = positions[frame.f_lasti // 2]
    if _segment(frame.f_code.co_filename, here).startswith(("with ", "async with ")):
        # Python 3.11 says the whole statement; what it enters was looked up just before
        before = reversed(positions[: frame.f_lasti // 2])
        return next((one for one in before if one != here), here)
    return here


def _segment(path: str, position: _Position) -> str:
    """Return the source between two points."""
    line, end_line, column, end_column = position
    if line is None or end_line is None:
        return ""
    lines = [linecache.getline(path, number).encode() for number in range(line, end_line + 1)]
    lines[-1] = lines[-1][:end_column]
    lines[0] = lines[0][column:]
    return b"".join(lines).decode()


def _awaited(expression: ast.expr | None) -> Iterator[ast.expr]:
    if isinstance(expression, ast.Await):
        expression = expression.value
    if isinstance(expression, ast.Call):
        function = expression.func
        if isinstance(function, ast.Attribute) and function.attr in _WAITING_METHODS:
            yield function.value
        for argument in expression.args:
            if isinstance(argument, ast.Call):
                yield from _awaited(argument)
    elif isinstance(expression, (ast.Name, ast.Attribute, ast.Subscript)):
        yield expression


def _evaluate(expression: ast.expr, frame: FrameType) -> Any:
    """Look an expression up without running any code of the user's."""
    if isinstance(expression, ast.Name):
        for scope in (frame.f_locals, frame.f_globals):
            if expression.id in scope:
                return scope[expression.id]
    elif isinstance(expression, ast.Attribute):
        owner = _evaluate(expression.value, frame)
        if owner is not _MISSING:
            found = getattr_static(owner, expression.attr, _MISSING)
            return _MISSING if isinstance(found, property) else _slot(found, owner)
    elif isinstance(expression, ast.Subscript):
        owner, key = (_evaluate(part, frame) for part in (expression.value, expression.slice))
        if isinstance(owner, (dict, list, tuple)) and key is not _MISSING:
            try:
                return owner[key]
            except (LookupError, TypeError):
                return _MISSING
    elif isinstance(expression, ast.Constant):
        return expression.value
    return _MISSING


def _slot(found: Any, owner: object) -> Any:
    if type(found).__name__ == "member_descriptor":
        return found.__get__(owner)
    return found


def _spell(expression: ast.expr, frame: FrameType) -> str:
    text = ast.unparse(expression)
    first = text.split(".", 1)[0]
    if first in ("self", "cls") and "." in text:
        owner = frame.f_locals.get(first)
        name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        return name + text[len(first) :]
    return text


@lru_cache(maxsize=64)
def _with_items(path: str) -> tuple[tuple[ast.expr, int], ...]:
    """Return what every ``with`` of a file enters, and the last line of its body."""
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except SyntaxError:
        return ()
    return tuple(
        (item.context_expr, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, (ast.With, ast.AsyncWith))
        for item in node.items
    )


def _is_inside(frame: FrameType, thing: object) -> bool:
    """Say whether the frame is past entering the thing, in the body or at a later item."""
    line, _, column, _ = _position(frame)
    here = (line or frame.f_lineno, column or 0)
    return any(
        (entered.end_lineno or 0, entered.end_col_offset or 0) <= here
        and here[0] <= last
        and _evaluate(entered, frame) is thing
        for entered, last in _with_items(frame.f_code.co_filename)
    )
