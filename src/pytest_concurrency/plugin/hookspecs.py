"""Hooks that a ``conftest.py`` or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_concurrency.plugin.sink import Sink
    from pytest_concurrency.run.outcome import Outcome


@pytest.hookspec()
def pytest_concurrency_outcome(item: pytest.Item, outcome: Outcome[Any]) -> None:
    """Observe the outcome of a concurrent run, in the process that made it.

    Called for every run, failed ones too, before the test sees the outcome.

    Args:
        item: The test that started the run.
        outcome: What came of it.
    """


@pytest.hookspec()
def pytest_concurrency_sink(config: pytest.Config) -> Sink | None:
    """Return a place to write the session's records to, or ``None``.

    Called once, when the session ends.

    Args:
        config: The session's configuration.
    """
