"""What the tests of this room share."""

import pytest

from pytest_concurrency.surroundings import SURROUNDINGS


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch):
    """Explore as a script does: no test session sets defaults, keeps tokens or names a command."""
    monkeypatch.setattr(SURROUNDINGS, "provide", None)
