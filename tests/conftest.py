"""What every test of this project shares."""

import os

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def pytester(pytester, monkeypatch):
    """Load the plugin in inner runs too where pytest loads none by itself."""
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p concurrency-slo")
    return pytester
