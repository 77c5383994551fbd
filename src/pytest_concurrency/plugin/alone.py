"""Timed tests run alone: nothing else runs on xdist's other workers meanwhile."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, final

import pytest

from pytest_concurrency.plugin.journal import note_record
from pytest_concurrency.slo.exclusive import Exclusive

NAME = "concurrency-slo-alone"
WORTH_SAYING = 0.5
"""Seconds of waiting from which on the end of the run tells of it."""


def lock_directory(testrunuid: str) -> Path:
    """Return where the processes of one run keep their locks."""
    return Path(tempfile.gettempdir()) / f"pytest-slo-{testrunuid}"


def remove_later(config: pytest.Config, testrunuid: str) -> None:
    """Remove the locks of a run when its controller ends."""
    config.add_cleanup(partial(shutil.rmtree, lock_directory(testrunuid), ignore_errors=True))


@final
class Alone:
    """The hook that keeps tests apart; it joins xdist workers that have a timed test."""

    def __init__(self, config: pytest.Config) -> None:
        """Use the locks of this run."""
        testrunuid = getattr(config, "workerinput")["testrunuid"]  # noqa: B009 - set by xdist
        self._exclusive = Exclusive(lock_directory(testrunuid))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Run a timed test with no other beside it; wait outside of any other plugin's time."""
        if item.get_closest_marker("performance") is None:
            with self._exclusive.shared():
                return (yield)
        with self._exclusive.alone() as waited:
            if waited >= WORTH_SAYING:
                record = {"kind": "waited", "nodeid": item.nodeid, "seconds": waited}
                note_record(item, record)
            return (yield)
