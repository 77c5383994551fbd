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
_INTERLEAVE = (
    "run the whole test once per schedule of the threads it starts, or of the workers it is marked "
    "for, with its function-scoped fixtures made anew each time."
)
_SLO = (
    "hold what the test measured (its perf_timer, its outcomes, or its own duration) against "
    "objectives such as 'p95 < 50ms', or against a named SLO."
)
MARKERS = (
    ("concurrent(*, workers=8, rounds=1, timeout='30s')", _CONCURRENT),
    (
        "interleave(*, preemptions=2, schedules=5000, seconds='10s', packages=(), replay=None)",
        _INTERLEAVE,
    ),
    ("slo(objective, ...)", _SLO),
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
            elif mark.name == "slo":
                _check_slo(item, mark)
            elif mark.name == "interleave":
                _check_interleave(item, mark)
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
            raise _refuse(item, mark, _unknown(name, _ARGUMENTS))
        if name == "timeout":
            _check_timeout(item, mark, value)
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _refuse(item, mark, f"{name} is {value!r}. Use an integer >= 1.")
    if mark.kwargs:
        _check_plain_function(item, mark)


def _check_interleave(item: pytest.Item, mark: pytest.Mark) -> None:
    from pytest_concurrency.plugin.exploring import ARGUMENTS

    if mark.args:
        text = "its arguments have names. Write @pytest.mark.interleave(preemptions=2)."
        raise _refuse(item, mark, text)
    _check_plain_function(item, mark)
    for other in ("asyncio", "anyio", "trio"):
        if item.get_closest_marker(other) is not None:
            text = f"coroutines are explored on a loop of its own. Leave out {other!r}."
            raise _refuse(item, mark, text)
    for name in mark.kwargs:
        if name not in ARGUMENTS:
            raise _refuse(item, mark, _unknown(name, ARGUMENTS))
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.explore.settings import Settings

    try:
        Settings(**mark.kwargs)
    except UsageError as error:
        raise _refuse(item, mark, str(error).removeprefix("interleave: ")) from None


def _check_slo(item: pytest.Item, mark: pytest.Mark) -> None:
    from pytest_concurrency.plugin.objectives import marked_objectives

    if mark.kwargs:
        text = "objectives have no names. Write @pytest.mark.slo('p95 < 50ms')."
        raise _refuse(item, mark, text)
    if not mark.args:
        text = "there is no objective. Write @pytest.mark.slo('p95 < 50ms')."
        raise _refuse(item, mark, text)
    for objective in mark.args:
        if not isinstance(objective, str):
            text = f"{objective!r} is not an objective. Write 'p95 < 50ms'."
            raise _refuse(item, mark, text)
    marked_objectives(item)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    from pytest_concurrency.errors import nearest

    meant = nearest(name, known)
    remedy = f"Write {meant}=." if meant else f"It takes {', '.join(known)}."
    return f"there is no {name!r}. {remedy}"


def _check_plain_function(item: pytest.Item, mark: pytest.Mark) -> None:
    if not isinstance(item, pytest.Function):
        text = f"a {type(item).__name__} has no body to run. Mark plain test functions only."
        raise _refuse(item, mark, text)
    if type(item).__name__ == "TestCaseFunction":
        text = (
            "a TestCase runs its methods itself. Mark a plain test function, "
            "or call what the marker stands for in the method."
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
