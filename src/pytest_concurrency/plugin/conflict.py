"""The unrelated distribution that owns the same import package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest

RIVAL = "pytest-concurrency"


def check_rival() -> None:
    """Refuse to work beside the distribution whose files overwrite ours.

    Raises:
        pytest.UsageError: It is installed.
    """
    try:
        version = distribution(RIVAL).version
    except PackageNotFoundError:
        return
    msg = (
        f"{RIVAL} {version} is also installed and provides the same import package "
        f'"pytest_concurrency". Uninstalling either one would delete files of the other. '
        f"Run: pip uninstall {RIVAL} && pip install --force-reinstall pytest-concurrency-slo"
    )
    raise pytest.UsageError(msg)
