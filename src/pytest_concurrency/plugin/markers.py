"""The markers: what they are, and which of their arguments make sense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONCURRENT = (
    "run the test's body from many workers at once, its fixtures shared by all of them; "
    "without arguments it only selects."
)
MARKERS = (
    ("concurrent(*, workers=8, rounds=1, timeout='30s')", _CONCURRENT),
    ("performance", "select tests that measure time or memory."),
    ("slow", "select tests that take long."),
    ("integration", "select tests that need a server, a network or another process."),
)
_ARGUMENTS = ("workers", "rounds", "timeout")


def add_markers(config: pytest.Config) -> None:
    """Register every marker, so that strict mode knows them and ``--markers`` lists them."""
    for signature, text in MARKERS:
        config.addinivalue_line("markers", f"{signature}: {text}")


def check_markers(items: Iterable[pytest.Item]) -> None:
    """Check the arguments of our markers on all tests, before any runs.

    Raises:
        pytest.UsageError: One has arguments that it does not take.
    """
    for item in items:
        for mark in item.iter_markers():
            if mark.name == "concurrent":
                _check_concurrent(item, mark)
            elif mark.name in {"performance", "slow", "integration"}:
                _check_bare(item, mark)


def _shown(mark: pytest.Mark) -> str:
    arguments = [repr(value) for value in mark.args]
    arguments += [f"{name}={value!r}" for name, value in mark.kwargs.items()]
    return f"@pytest.mark.{mark.name}({', '.join(arguments)})"


def _refuse(item: pytest.Item, mark: pytest.Mark, text: str) -> pytest.UsageError:
    return pytest.UsageError(f"{item.nodeid}: {_shown(mark)}: {text}")


def _check_bare(item: pytest.Item, mark: pytest.Mark) -> None:
    if mark.args or mark.kwargs:
        text = f"this marker only selects. Write @pytest.mark.{mark.name}."
        raise _refuse(item, mark, text)


def _check_concurrent(item: pytest.Item, mark: pytest.Mark) -> None:
    if mark.args:
        text = "its arguments have names. Write @pytest.mark.concurrent(workers=8)."
        raise _refuse(item, mark, text)
    for name, value in mark.kwargs.items():
        if name not in _ARGUMENTS:
            from pytest_concurrency.errors import nearest

            meant = nearest(name, _ARGUMENTS)
            remedy = f"Write {meant}=." if meant else f"It takes {', '.join(_ARGUMENTS)}."
            raise _refuse(item, mark, f"there is no {name!r}. {remedy}")
        if name == "timeout":
            _check_timeout(item, mark, value)
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _refuse(item, mark, f"{name} is {value!r}. Use an integer >= 1.")
    if mark.kwargs and not isinstance(item, pytest.Function):
        text = f"a {type(item).__name__} has no body to run. Mark plain test functions only."
        raise _refuse(item, mark, text)
    if mark.kwargs and type(item).__name__ == "TestCaseFunction":
        text = (
            "a TestCase runs its methods itself. Mark a plain test function, "
            "or call concurrent_runner in the method."
        )
        raise _refuse(item, mark, text)


def _check_timeout(item: pytest.Item, mark: pytest.Mark, value: Any) -> None:
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.quantities import seconds

    try:
        limit = seconds(value, where="timeout")
    except UsageError as error:
        raise _refuse(item, mark, str(error)) from None
    if limit <= 0:
        raise _refuse(item, mark, "a run needs time. Write timeout='10s'.")
