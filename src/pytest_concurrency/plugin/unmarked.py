"""Timed tests that say nothing of objectives: the run says what they are held against."""

from __future__ import annotations

from typing import final

import pytest

from pytest_concurrency.plugin.objectives import named_slos, run_tier_of
from pytest_concurrency.plugin.options import OPTIONS
from pytest_concurrency.plugin.settings import given

NAME = "concurrency-slo-unmarked"


def join_unmarked(config: pytest.Config) -> None:
    """Read the objectives of the run, and hold every timed test without any against them.

    Raises:
        pytest.UsageError: One cannot be read.
    """
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.goals import read_goals, split_texts

    option = next(option for option in OPTIONS if option.ini == "slo_objectives")
    found = given(config, option)
    file = config.inipath.name if config.inipath else "the configuration file"
    where = option.flag if found.remedy.startswith("--") else f"{option.ini} in {file}"
    texts = split_texts(found.text)
    if not texts:
        msg = f"{where}: there is no objective. Write {found.remedy}'p95 < 50ms'."
        raise pytest.UsageError(msg)
    try:
        read_goals(texts, named_slos(config), run_tier=run_tier_of(config), where=where)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(Unmarked(texts), NAME)


@final
class Unmarked:
    """The hook that marks timed tests which are not marked with objectives."""

    def __init__(self, texts: list[str]) -> None:
        """Know the objectives."""
        self._mark = pytest.mark.slo(*texts)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark them, before anybody selects by markers."""
        for item in items:
            is_timed = item.get_closest_marker("performance") is not None
            if is_timed and item.get_closest_marker("slo") is None:
                item.add_marker(self._mark)
