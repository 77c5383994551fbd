"""The journal of a test: every outcome, as it travels on the test's report."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_concurrency.run.outcome import Outcome
    from pytest_concurrency.slo.perf import PerfTimer

outcomes_key: pytest.StashKey[list[Outcome[Any]]] = pytest.StashKey["list[Outcome[Any]]"]()
"""On an item: the outcomes of the runs it started."""
records_key: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey["list[dict[str, Any]]"]()
"""On an item: what its next report carries. On the config: what all reports carried."""

factory_key: pytest.StashKey[pytest.TempPathFactory] = pytest.StashKey[pytest.TempPathFactory]()
"""On an item: what makes its temporary directories, if a fixture of ours asked for it."""

timer_key: pytest.StashKey[PerfTimer] = pytest.StashKey["PerfTimer"]()
"""On an item: its timer, if it asked for one."""

WIRE_VERSION = 1


NAME = "concurrency-slo-journal"


def open_journal(config: pytest.Config) -> None:
    """Let the journal take part in the session, from here on."""
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(Journal(config), NAME)


@final
class Journal:
    """The hooks of a session that has something to tell.

    They join with the first outcome, or, on the controller of pytest-xdist, with the first worker;
    the tests of a suite that has no outcome do not pass them.
    """

    def __init__(self, config: pytest.Config) -> None:
        """Collect for one session."""
        self._is_worker = hasattr(config, "workerinput")
        self._records = config.stash.setdefault(records_key, [])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Refuse failures that nobody looked at, and put the test's records on its report."""
        __tracebackhide__ = True
        if call.when == "call" and call.excinfo is None:
            try:
                check_seen(item)
            except BaseException:  # noqa: BLE001 - what a worker raised is the test's failure
                call.excinfo = pytest.ExceptionInfo.from_current()
        if call.when == "call":
            note_samples(item)
        report = yield
        attach(item, report)
        if call.when == "teardown":
            forget(item)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the records off a report: of this process, or of any of xdist's workers."""
        carried = getattr(report, "concurrency", None)
        if carried is not None and not self._is_worker:
            self._records.extend(carried["records"])

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Say what has to be said, in one short section."""
        from pytest_concurrency.plugin.summary import write_summary

        write_summary(terminalreporter, config)


def observer_of(item: pytest.Item) -> Callable[[Outcome[Any]], None]:
    """Return what keeps the outcomes of a test and tells the hooks."""

    def observe(outcome: Outcome[Any]) -> None:
        item.stash.setdefault(outcomes_key, []).append(outcome)
        note_record(item, _record(item, outcome))
        item.config.hook.pytest_concurrency_outcome(item=item, outcome=outcome)

    return observe


def note_samples(item: pytest.Item) -> None:
    """Put what a test measured on its report, where baselines and sinks find it."""
    from pytest_concurrency.plugin.measured import samples_record

    record = samples_record(item)
    if record is not None:
        note_record(item, record)


def note_record(item: pytest.Item, record: dict[str, Any]) -> None:
    """Put a record on the test's next report."""
    open_journal(item.config)
    item.stash.setdefault(records_key, []).append(record)


def room_of(item: pytest.Item) -> Callable[[], Path] | None:
    """Return what makes the directory of a test's workers, beside pytest's own."""
    factory = item.stash.get(factory_key, None)
    if factory is None:
        return None
    name = re.sub(r"\W", "_", item.name)[:30]
    return lambda: factory.mktemp(f"{name}-workers")


def forget(item: pytest.Item) -> None:
    """Let go of a test's outcomes: a session is long, and they keep all that was returned."""
    if outcomes_key in item.stash:
        del item.stash[outcomes_key]


def _record(item: pytest.Item, outcome: Outcome[Any]) -> dict[str, Any]:
    """Return what is told of an outcome, in nothing but plain values."""
    overlap = outcome.overlap
    return {
        "kind": "outcome",
        "nodeid": item.nodeid,
        "workers": outcome.workers,
        "rounds": outcome.rounds,
        "calls": len(outcome),
        "unfinished": outcome.unfinished,
        "errors": len(outcome) - len(outcome.values),
        "wall_ns": round(outcome.wall_time * 1e9),
        "peak": overlap.peak,
        "overlap_ns": round(overlap.seconds * 1e9),
        "skew_ns": round(overlap.skew * 1e9),
    }


def attach(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put what a test's journal holds on its report, where xdist carries it to the controller."""
    records = item.stash.get(records_key, None)
    if records:
        report.concurrency = {"v": WIRE_VERSION, "records": list(records)}  # type: ignore[attr-defined]
        records.clear()


def check_seen(item: pytest.Item) -> None:
    """Fail a test that passed though calls failed that it never looked at."""
    __tracebackhide__ = True
    unseen = [one for one in item.stash.get(outcomes_key, []) if one.has_unseen_errors]
    if not unseen:
        return
    from pytest_concurrency.plugin.settings import read

    policy = read(item.config, "concurrency_unseen")
    if policy == "warn":
        import warnings

        from pytest_concurrency.errors import ConcurrencyWarning

        failed = sum(one.failures for one in unseen)
        calls = "call failed, and nobody looked at it"
        if failed > 1:
            calls = "calls failed, and nobody looked at them"
        text = f"{item.nodeid}: {failed:,} concurrent {calls}. Write outcome.raise_errors()."
        warnings.warn(text, ConcurrencyWarning, stacklevel=1)
        _ = [one.errors for one in unseen]  # they count as looked at: said once is enough
    elif policy == "fail":
        unseen[0].raise_unseen()


def deliver(config: pytest.Config) -> None:
    """Hand the session's records to every sink."""
    from pytest_concurrency.plugin.exploring import save_tokens

    records = records_of(config)
    if records:
        save_tokens(config, records)
    for sink in config.hook.pytest_concurrency_sink(config=config):
        sink.write(records)


def records_of(config: pytest.Config) -> tuple[dict[str, Any], ...]:
    """Return what all reports of the session carried so far."""
    found = config.stash.get(records_key, None)
    return tuple(found or ())
