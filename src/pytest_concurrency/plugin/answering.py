"""The other interpreter of a comparison: its calls are made when they are asked for."""

from __future__ import annotations

import pytest

from pytest_concurrency.plugin.against import answers_key


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have every timer of this session answer requests instead of collecting."""
    config.stash[answers_key] = True
