"""The datasets of a session, named above its first test, with their rows where these are known."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_concurrency.db.datasets import Dataset

MOST_LINES = 10
WIDTH = 100


def lines_of(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
    """Return a line for each dataset that the tests of a session, or its plugins, have at hand."""
    shown = not config.getoption("no_header", default=False) and config.get_verbosity() >= 0
    if not shown or "pytest_concurrency.db.datasets" not in sys.modules:
        return []
    modules = dict.fromkeys(getattr(item, "module", None) for item in items)
    plugins = [one for one in config.pluginmanager.get_plugins() if isinstance(one, ModuleType)]
    declared = _declared([*plugins, *modules])
    lines = [f"dataset {name}: {_told(config, data)}" for name, data in sorted(declared.items())]
    left = len(lines) - MOST_LINES
    return lines if left <= 1 else [*lines[:MOST_LINES], f"and {left} more datasets"]


def remember_counts(config: pytest.Config, dataset: str, counts: Mapping[str, int]) -> None:
    """Keep what was built, for the lines of the next session."""
    cache = getattr(config, "cache", None)
    if cache is not None:
        cache.set(_key(dataset), {"dataset": dataset, "rows": dict(counts)})


def counted(counts: Mapping[str, int]) -> str:
    """Return how many rows each table has, as text."""
    return ", ".join(f"{table} {count:,}" for table, count in counts.items()) or "no rows"


def _declared(modules: Iterable[Any]) -> dict[str, Dataset]:
    from pytest_concurrency.db.datasets import Dataset

    return {
        value.name: value
        for module in modules
        for value in list(vars(module).values() if module is not None else ())
        if isinstance(value, Dataset)
    }


def _told(config: pytest.Config, data: Dataset) -> str:
    counts = data.declared()
    if counts is not None:
        return _cut(counted(counts), data.name)
    cache = getattr(config, "cache", None)
    known = cache.get(_key(data.name), None) if cache is not None else None
    if isinstance(known, dict) and known.get("dataset") == data.name:
        return _cut(f"{counted(known['rows'])} (when last built)", data.name)
    return "built on first use"


def _cut(text: str, name: str) -> str:
    width = WIDTH - len(f"dataset {name}: ")
    return text if len(text) <= width else f"{text[: width - 4].rstrip(' ,')} ..."


def _key(dataset: str) -> str:
    return f"concurrency/datasets/{re.sub(r'[^A-Za-z0-9]+', '-', dataset)}"
