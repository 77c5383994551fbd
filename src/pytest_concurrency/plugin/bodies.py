"""Tests whose body is run by many workers, or in many orders, instead of once."""

from __future__ import annotations

import pytest

from pytest_concurrency.plugin.concurrent import run_body, wrap_async
from pytest_concurrency.plugin.exploring import explore_body

NAME = "concurrency-slo-bodies"


def prepare(item: pytest.Item) -> None:
    """Prepare a marked test that is about to run."""
    manager = item.config.pluginmanager
    if not manager.has_plugin(NAME):
        manager.register(Bodies(), NAME)
    item.addfinalizer(wrap_async(item))


class Bodies:
    """The hook that runs such bodies; it joins the session with the first of them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run the body of a test that is marked ``interleave`` or ``concurrent(...)``."""
        __tracebackhide__ = True
        return explore_body(pyfuncitem) or run_body(pyfuncitem) or None
