"""Pointing at a marker: failures that come from one show its line in the user's file."""

from __future__ import annotations

import inspect
from types import CodeType
from typing import NoReturn

import pytest


def raise_at_marker(item: pytest.Item, name: str, error: BaseException) -> NoReturn:
    """Raise an error as if the line of a test's marker had raised it.

    Args:
        item: The test.
        name: The marker's name.
        error: What to raise.
    """
    __tracebackhide__ = True
    exec(_code_at(*_place(item, name)), {"error": error.with_traceback(None)})  # noqa: S102
    raise error


def _place(item: pytest.Item, name: str) -> tuple[str, int, str]:
    """Return the file, the line and the name that a traceback should show."""
    path, first = str(item.path), (item.location[1] or 0) + 1
    function = inspect.unwrap(getattr(item, "obj", None) or raise_at_marker)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return path, first, item.name
    for number, line in enumerate(lines):
        if f"mark.{name}" in line:
            return path, first + number, item.name
        if line.lstrip().startswith(("def ", "async def ")):
            return path, first + number, item.name
    return path, first, item.name


def _code_at(path: str, line: int, name: str) -> CodeType:
    code = compile("raise error", path, "exec")
    return code.replace(co_firstlineno=line, co_name=name)
