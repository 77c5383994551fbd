"""Tests that are run otherwise than once, or that are held against objectives."""

from __future__ import annotations

from collections.abc import Generator
from time import perf_counter
from typing import Any

import pytest

from pytest_concurrency.plugin.concurrent import run_body, wrap_async
from pytest_concurrency.plugin.conflict import find_damage
from pytest_concurrency.plugin.exploring import explore_body
from pytest_concurrency.plugin.journal import check_seen
from pytest_concurrency.plugin.objectives import judge_item, measuring

NAME = "concurrency-slo-marked"


def join(config: pytest.Config) -> None:
    """Let the hooks of this module take part in the session, from here on."""
    if not config.pluginmanager.has_plugin(NAME):
        damage = find_damage()
        if damage:
            raise pytest.UsageError(damage)
        config.pluginmanager.register(MarkedTests(), NAME)


class MarkedTests:
    """The hooks that run marked tests, and that measure."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Run marked coroutine tests from many tasks; hold the test against its objectives."""
        __tracebackhide__ = True
        restore = wrap_async(item)
        begun = perf_counter()
        try:
            with measuring(item):
                result = yield
        finally:
            restore()
        check_seen(item)
        judge_item(item, perf_counter() - begun)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run the body of a test that is marked ``interleave`` or ``concurrent(...)``."""
        __tracebackhide__ = True
        return explore_body(pyfuncitem) or run_body(pyfuncitem) or None
