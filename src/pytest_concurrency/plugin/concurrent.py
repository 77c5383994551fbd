"""The marker ``concurrent(...)``: an ordinary test's body, run by many workers at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

is_async_key: pytest.StashKey[bool] = pytest.StashKey[bool]()
"""On an item whose coroutine body was replaced: whoever runs it may hide that it is one."""


def marker_arguments(item: pytest.Item) -> dict[str, Any]:
    """Return the arguments of a test's marker, if it has one that runs rather than selects."""
    mark = item.get_closest_marker("concurrent")
    if item.get_closest_marker("interleave") is not None:
        return {}
    return dict(mark.kwargs) if mark is not None else {}


def run_body(item: pytest.Function) -> bool:
    """Run the body of a marked, synchronous test; say whether it was one."""
    __tracebackhide__ = True
    arguments = marker_arguments(item)
    if not arguments or is_async_key in item.stash or inspect.iscoroutinefunction(item.obj):
        return False
    from pytest_concurrency.run.runner import concurrent_runner

    call = _body(item.obj, _fixture_values(item))
    outcome = concurrent_runner(call, **arguments)
    _raise_errors(item, outcome)
    return True


def wrap_async(item: pytest.Item) -> Callable[[], None]:
    """Make a marked coroutine test run from many tasks of whatever loop runs it.

    Returns:
        What puts the test back as it was.
    """
    arguments = marker_arguments(item)
    if (
        not arguments
        or not isinstance(item, pytest.Function)
        or not inspect.iscoroutinefunction(item.obj)
    ):
        return _nothing
    original = item.obj

    @wraps(original)
    async def body(**values: Any) -> None:
        __tracebackhide__ = True
        from pytest_concurrency.run.runner import concurrent_runner

        outcome = await concurrent_runner(_body(original, values), **arguments)
        _raise_errors(item, outcome)

    item.obj = body
    item.stash[is_async_key] = True

    def restore() -> None:
        item.obj = original
        del item.stash[is_async_key]

    return restore


def _nothing() -> None:
    """Leave the test as it is."""


def _fixture_values(item: pytest.Function) -> dict[str, Any]:
    names = inspect.signature(item.obj).parameters
    return {name: item.funcargs[name] for name in names if name in item.funcargs}


def _body(function: Callable[..., Any], values: dict[str, Any]) -> Callable[..., Any]:
    """Bind fixture values; the parameter ``worker`` is each caller's own."""
    from pytest_concurrency.run.worker import Worker

    if not isinstance(values.get("worker"), Worker):
        if inspect.iscoroutinefunction(function):

            async def awaited() -> Any:
                return await function(**values)

            return awaited
        return lambda: function(**values)
    rest = {name: value for name, value in values.items() if name != "worker"}
    if inspect.iscoroutinefunction(function):

        async def awaited_with(worker: Worker) -> Any:
            return await function(worker=worker, **rest)

        return awaited_with
    return lambda worker: function(worker=worker, **rest)


def _raise_errors(item: pytest.Function, outcome: Any) -> None:
    __tracebackhide__ = True
    shared = _shared_fixtures(item)
    if shared:
        for error in outcome.errors:
            error.add_note(f"\nAll workers shared these function-scoped fixtures: {shared}.")
    outcome.raise_errors()


def _shared_fixtures(item: pytest.Function) -> str:
    """Name the function-scoped fixtures that the workers share."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    names = [
        name
        for name in _fixture_values(item)
        if name not in ("worker", "request")
        and any(one.scope == "function" for one in definitions.get(name, ())[-1:])
    ]
    return ", ".join(names)
