"""Hooks that a ``conftest.py`` or another plugin may implement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_concurrency.run.outcome import Outcome


class Sink(Protocol):
    """Where the records of a session go when it ends."""

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take every record of the session, in the order in which the tests ended.

        A record holds nothing but ``None``, numbers, text, lists and mappings. Under pytest-xdist
        only the controller writes, and it has the records of all workers.
        """


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
