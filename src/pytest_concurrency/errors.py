"""What can go wrong, as types whose text tells what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class BrokenPromise(AssertionError):
    """Something the test promised did not hold: a race, a hang, a missed objective.

    Every failure that this package reports about the code under test derives from it, so
    ``pytest.raises(BrokenPromise)`` expects any of them.
    """

    __module__ = "pytest_concurrency"


class UsageError(ValueError):
    """A call, a marker, an option or a setting was given something that cannot be used.

    Its text says where, what, and what to type instead. Under pytest, mistakes in markers,
    options and settings end the run at collection.
    """

    __module__ = "pytest_concurrency"


class MissingExtra(ImportError):
    """An optional dependency is needed and absent; the text names the extra to install."""

    __module__ = "pytest_concurrency"

    def __init__(self, what: str, extra: str) -> None:
        """Say what needs which extra.

        Args:
            what: The feature that needs it, as the user knows it.
            extra: The extra of this distribution that provides it.
        """
        super().__init__(
            f"{what} needs the extra {extra!r}. Run: pip install 'pytest-concurrency-slo[{extra}]'"
        )


class ConcurrencyWarning(UserWarning):
    """Something about a run that a reader should know, and that fails no test."""

    __module__ = "pytest_concurrency"


class InternalError(RuntimeError):
    """This package broke one of its own rules. It is a bug here, not in the code under test."""

    __module__ = "pytest_concurrency"


def is_on_purpose(caught: Any) -> bool:
    """Say whether an error that pytest shows is one that this package raises to its caller.

    Modules that raise such errors take it for their ``__tracebackhide__``: the traceback of a
    mistake ends in the caller's own line, and that of a mistake of ours is whole.

    Args:
        caught: What pytest asks with, a ``pytest.ExceptionInfo``.
    """
    return isinstance(caught.value, (BrokenPromise, UsageError, MissingExtra))


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that was probably meant by a misspelt word, if one is near.

    >>> nearest("thread", ["threads", "tasks", "processes"])
    'threads'
    """
    from difflib import get_close_matches

    return next(iter(get_close_matches(word.lower(), list(choices), n=1, cutoff=0.6)), None)
