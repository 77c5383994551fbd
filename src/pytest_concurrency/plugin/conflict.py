"""The unrelated distribution that owns the same import package."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

import pytest

RIVAL = "pytest-concurrency"
OURS = "pytest-concurrency-slo"


def check_rival() -> None:
    """Refuse to work beside the distribution whose files overwrite ours, or what it left.

    Raises:
        pytest.fail.Exception: It is installed, or was.
    """
    __tracebackhide__ = True
    damage = find_damage()
    if damage:
        pytest.fail(damage, pytrace=False)


@cache
def find_damage() -> str:
    """Say what is wrong with the installed files, or nothing."""
    try:
        version = distribution(RIVAL).version
    except PackageNotFoundError:
        return _find_loss()
    return (
        f"{RIVAL} {version} is also installed, and has files of the same import package,\n"
        f"pytest_concurrency: uninstalling either one deletes files of the other.\n"
        f"Run: pip uninstall {RIVAL} && pip install --force-reinstall {OURS}"
    )


def _find_loss() -> str:
    import pytest_concurrency

    if "concurrent_runner" in getattr(pytest_concurrency, "__all__", ()):
        return ""
    return (
        f"{OURS} has lost its pytest_concurrency/__init__.py, as {RIVAL} takes it\n"
        f"along when it is installed or uninstalled.\n"
        f"Run: pip install --force-reinstall {OURS}"
    )
