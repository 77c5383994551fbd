"""The public interface as a user's type checker sees it: checked by mypy and pyright, never run."""

from typing import assert_type

import pytest_concurrency
from pytest_concurrency import BrokenPromise, InternalError, MissingExtra, UsageError


def errors_are_what_callers_catch(extra: MissingExtra) -> tuple[type[Exception], ...]:
    """Each error type is one of Python's own as well."""
    as_import_error: ImportError = extra
    assert_type(as_import_error.name, str | None)
    promise: type[AssertionError] = BrokenPromise
    usage: type[ValueError] = UsageError
    internal: type[RuntimeError] = InternalError
    return promise, usage, internal


def names_are_listed() -> None:
    """The list of public names is a list of text."""
    assert_type(pytest_concurrency.__all__, list[str])
