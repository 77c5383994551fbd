"""Baselines: each test's samples compared with those that a file has of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import pytest

from pytest_concurrency.plugin.journal import open_journal, records_key
from pytest_concurrency.plugin.objectives import from_root
from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from pytest_concurrency.slo.baselines import Change

NAME = "concurrency-slo-baseline"


def join_baseline(config: pytest.Config) -> None:
    """Compare with a baseline if one was asked for, in the process that prints the report.

    Raises:
        pytest.UsageError: The file is none, or there is one to update and none is named.
    """
    path, updates = str(read(config, "slo_baseline")), bool(read(config, "slo_baseline_update"))
    if updates and not path:
        msg = "--slo-baseline-update: no baseline is named. Write --slo-baseline=FILE too."
        raise pytest.UsageError(msg)
    if path and not hasattr(config, "workerinput") and read(config, "slo") != "off":
        config.pluginmanager.register(Baseline(config, path, updates=updates), NAME)
        open_journal(config)


@final
class Baseline:
    """The hooks of a session that compares; only the controller of pytest-xdist has them."""

    def __init__(self, config: pytest.Config, path: str, *, updates: bool) -> None:
        """Read the file.

        Raises:
            pytest.UsageError: It is no file of baselines.
        """
        from pytest_concurrency.errors import UsageError
        from pytest_concurrency.slo.baselines import Baselines

        self._config, self._updates = config, updates
        self._path = from_root(config, "slo_baseline", path)
        self._is_gate = read(config, "slo") == "enforce"
        self._margin = float(read(config, "slo_margin"))  # type: ignore[arg-type]
        self._is_changed = False
        self._seen: Counter[str] = Counter()
        if not self._path.parent.is_dir():
            wrong = f"there is no directory {str(self._path.parent)!r}"
            msg = f"--slo-baseline={path}: {wrong}. Write one that exists."
            raise pytest.UsageError(msg)
        try:
            self._known = Baselines.load(self._path)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Compare a passed test before anybody counts it as passed."""
        carried: Mapping[str, Any] = getattr(report, "concurrency", None) or {}
        for record in carried.get("records", ()):
            if record["kind"] == "samples" and report.when == "call" and report.passed:
                self._take(report, record)
        yield

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what is new; a file that has nothing new is left alone."""
        if self._is_changed:
            self._save(session)
        parts = [f"{number} {what}" for what, number in self._seen.items()]
        if parts:
            self._tell(f"baseline {self._path.name}: {', '.join(parts)}")

    def _save(self, session: pytest.Session) -> None:
        """Write the file; where that cannot be, say so and end as after a wrong option."""
        try:
            self._known.save(self._path)
        except OSError as error:
            why = f"it cannot be written: {error.strerror}"
            self._tell(f"--slo-baseline={self._path}: {why}. Write --slo-baseline=NEW-FILE.")
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _take(self, report: pytest.TestReport, record: Mapping[str, Any]) -> None:
        from pytest_concurrency.slo.baselines import Measurement
        from pytest_concurrency.slo.evidence import Evidence

        test = record["nodeid"]
        now = Measurement.of(Evidence.from_wire(record["evidence"]))
        changes = [] if self._updates else self._known.compare(test, now, margin=self._margin)
        is_other = any(change.other_machine for change in changes)
        slower = [change for change in changes if change.direction == "slower"]
        self._count(changes, is_other=is_other)
        for change in changes:
            if change.direction == "faster" or (slower and not self._fails(is_other)):
                self._tell(str(change))
        if slower and self._fails(is_other):
            report.outcome = "failed"
            report.longrepr = self._text(slower)
        if not changes or is_other:
            self._known.record(test, now)
            self._is_changed = True

    def _fails(self, is_other: bool) -> bool:  # noqa: FBT001
        return self._is_gate and not is_other

    def _count(self, changes: Sequence[Change], *, is_other: bool) -> None:
        if not changes:
            self._seen["updated" if self._updates else "new"] += 1
            return
        if is_other:
            self._seen["from another machine"] += 1
        directions = {change.direction for change in changes}
        for direction in ("slower", "faster", "undecided", "same"):
            if direction in directions:
                word = "the same" if direction == "same" else direction
                self._seen[word] += 1
                return

    def _text(self, slower: Sequence[Change]) -> str:
        from pytest_concurrency.slo.wording import command

        again = f"{command(slower[0].test)} --slo-baseline={self._path} --slo-baseline-update"
        lines = [str(change) for change in slower]
        lines.append(f"Up to {self._margin * 100:.4g} % is no news (--slo-margin).")
        lines.append(f"If it is meant to be slower: {again}")
        return "\n".join(lines)

    def _tell(self, text: str) -> None:
        record = {"kind": "baseline", "nodeid": "", "text": text}
        self._config.stash.setdefault(records_key, []).append(record)
