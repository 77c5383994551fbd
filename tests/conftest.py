"""What every test of this project shares."""

import os
from contextlib import suppress

import pytest

with suppress(ImportError):  # inner sessions forget what they import first, and it loads only once
    import numpy as np  # noqa: F401
    import scipy.stats  # noqa: F401

pytest_plugins = ["pytester"]


@pytest.fixture
def pytester(pytester, monkeypatch):
    """Load the plugin in inner runs too where pytest loads none by itself."""
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p concurrency-slo")
    return pytester
