"""Fresh fixtures: the function-scoped fixtures of one test, made again for each schedule."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, final

import pytest

definitions_key = pytest.StashKey["dict[str, tuple[pytest.FixtureDef[Any], Any]]"]()
"""On an item: the function-scoped fixtures it uses, in the order in which they were set up."""

NEVER_FRESH = {
    "capfd": "captured output",
    "capfdbinary": "captured output",
    "caplog": "captured log records",
    "capsys": "captured output",
    "capsysbinary": "captured output",
    "capteesys": "captured output",
    "recwarn": "recorded warnings",
}
"""Fixtures of pytest's own that belong to the whole test, and what they hold."""
SHARED = {"record_property", "record_xml_attribute", "worker"}
"""Fixtures that hold nothing a schedule could change."""


class FixtureWatch:
    """Notes which function-scoped fixtures a test uses. Registered when a test needs them fresh."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> None:
        """Note a fixture just before it is set up."""
        if fixturedef.scope == "function" and isinstance(request.node, pytest.Item):
            noted = request.node.stash.setdefault(definitions_key, {})
            noted[fixturedef.argname] = (fixturedef, request)


def refusal(item: pytest.Item) -> str | None:
    """Say which fixture of a test cannot be made anew and what to do, if there is one."""
    for name, (definition, _) in item.stash.get(definitions_key, {}).items():
        if name in NEVER_FRESH:
            return (
                f"the fixture {name!r} holds {NEVER_FRESH[name]} of the whole test and cannot be "
                f"made anew for each schedule. Explore without it: use the fixture interleave."
            )
        function = definition.func
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return (
                f"the fixture {name!r} is asynchronous and cannot be made anew for each schedule. "
                f"Make what it gives inside the test."
            )
    return None


@contextmanager
def fresh_values(item: pytest.Function) -> Iterator[dict[str, Any]]:
    """Make the test's function-scoped fixtures anew, and tear them down afterwards.

    Yields:
        A value for each argument of the test.
    """
    with ExitStack() as stack:
        made: dict[str, Any] = {}
        for name, (definition, request) in item.stash.get(definitions_key, {}).items():
            made[name] = item.funcargs.get(name) if name in SHARED else None
            if name not in SHARED:
                made[name] = _make(definition, _Request(request, made, stack), stack)
        names = inspect.signature(item.obj).parameters
        known = {**item.funcargs, **made}
        yield {name: known[name] for name in names if name in known}


def _make(definition: pytest.FixtureDef[Any], request: _Request, stack: ExitStack) -> Any:
    if definition.argname == "tmp_path" and definition.func.__module__.startswith("_pytest"):
        room = request.getfixturevalue("tmp_path_factory").mktemp("schedule")
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        return room
    arguments = {
        name: request if name == "request" else request.getfixturevalue(name)
        for name in definition.argnames
    }
    function: Callable[..., Any] = definition.func
    instance = request.instance
    if instance is not None and "self" in inspect.signature(function).parameters:
        function = function.__get__(instance)
    value = function(**arguments)
    if not inspect.isgenerator(value):
        return value
    result: Any = next(value)
    stack.callback(next, value, None)
    return result


@final
class _Request:
    """What a fixture gets as ``request`` while it is made for one schedule."""

    def __init__(self, request: Any, made: Mapping[str, Any], stack: ExitStack) -> None:
        self._request = request
        self._made = made
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def getfixturevalue(self, name: str) -> Any:
        """Return the schedule's own value of a fixture, or the shared one of a wider scope."""
        if name in self._made:
            return self._made[name]
        return self._request.getfixturevalue(name)

    def addfinalizer(self, finalizer: Callable[[], object]) -> None:
        """Call something when the schedule has ended."""
        self._stack.callback(finalizer)
