"""What every test of this project shares."""

import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# No example has a time limit, which a busy machine would miss, and every run has the same ones.
settings.register_profile(
    "everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("everywhere")


@pytest.fixture
def pytester(pytester, monkeypatch):
    """Load the plugin in inner runs too where pytest loads none by itself.

    Where it loads them all, pytest-asyncio is left out: it warns of a setting that is not there.
    Nothing compiled is kept: a file written anew within the same second, with as many bytes, would
    be taken for the one before.
    """
    alone = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p concurrency-slo" if alone else "-p no:asyncio")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return pytester


@pytest.fixture
def ctrl_c():
    """Let processes started here hear Ctrl-C, as in a terminal: who ignores it hands that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.SIGINT
    signal.signal(signal.SIGINT, before)
