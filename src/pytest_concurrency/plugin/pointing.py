"""Pointing at a test: failures that no line of it raised still show a line of the user's file."""

from __future__ import annotations

import inspect
import warnings
from types import CodeType
from typing import NoReturn

import pytest


def raise_at_test(item: pytest.Item, error: BaseException, *, marker: str = "") -> NoReturn:
    """Raise an error as if the line of a test's marker, or of its ``def``, had raised it.

    Args:
        item: The test.
        error: What to raise.
        marker: The marker's name, if one is to blame.
    """
    __tracebackhide__ = True
    error.__suppress_context__ = True  # what was caught says the same, in lines of ours
    exec(_code_at(*_place(item, marker)), {"error": error.with_traceback(None)})  # noqa: S102
    raise error


def warn_at_test(item: pytest.Item, warning: Warning, *, marker: str = "") -> None:
    """Give a warning for the line of a test's marker, or of its ``def``.

    Args:
        item: The test.
        warning: What to say.
        marker: The marker's name, if one is to blame.
    """
    path, line, _ = _place(item, marker)
    warnings.warn_explicit(warning, type(warning), path, line)


def _place(item: pytest.Item, marker: str) -> tuple[str, int, str]:
    """Return the file, the line and the name that a traceback should show."""
    path, first = str(item.path), (item.location[1] or 0) + 1
    function = inspect.unwrap(getattr(item, "obj", None) or raise_at_test)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return path, first, item.name
    for number, line in enumerate(lines):
        if marker and f"mark.{marker}" in line:
            return path, first + number, item.name
        if line.lstrip().startswith(("def ", "async def ")):
            return path, first + number, item.name
    return path, first, item.name


def _code_at(path: str, line: int, name: str) -> CodeType:
    code = compile("raise error", path, "exec")
    return code.replace(co_firstlineno=line, co_name=name)
