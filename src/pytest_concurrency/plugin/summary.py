"""What the end of a run says: nothing, when there is nothing to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_concurrency.plugin.journal import records_of

TITLE = "concurrency and objectives"
MOST_LINES = 20


def write_summary(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the section of this plugin, if it has any line."""
    lines = list(_lines(config))
    if not lines:
        return
    terminal.section(TITLE, sep="-")
    shown = lines if config.get_verbosity() > 0 else lines[:MOST_LINES]
    for line in shown:
        terminal.write_line(line)
    if len(lines) > len(shown):
        terminal.write_line(f"and {len(lines) - len(shown)} more: pytest -v shows all")


def _lines(config: pytest.Config) -> Iterator[str]:
    records = records_of(config)
    yield from _objectives(records)
    yield from dict.fromkeys(one["text"] for one in records if one["kind"] == "database")
    for record in records:
        if record["kind"] == "outcome" and _ran_apart(record):
            yield _never_overlapped(record)
    explored = [record for record in records if record["kind"] == "exploration"]
    yield from (f"{one['nodeid']}: {note}" for one in explored for note in one["notes"])
    if explored:
        yield _explored(explored)


def _objectives(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return a row for each verdict, and what is said about tiers."""
    verdicts = [record for record in records if record["kind"] in ("verdict", "comparison")]
    if verdicts:
        from pytest_concurrency.slo.wording import table

        yield from table([(one["nodeid"], *one["row"]) for one in verdicts])
    for record in verdicts:
        if record.get("budget"):
            yield f"{record['nodeid']}: SLO {record['slo']!r}: {record['budget']}"
    told = ("tiers", "against", "baseline")
    yield from (record["text"] for record in records if record["kind"] in told)
    waits = [record["seconds"] for record in records if record["kind"] == "waited"]
    if waits:
        from pytest_concurrency.slo.figures import format_duration

        tests = f"{len(waits)} timed test{'' if len(waits) == 1 else 's'}"
        yield f"{tests} waited {format_duration(sum(waits) * 1e9)} to run alone"


def _explored(explored: Sequence[Mapping[str, Any]]) -> str:
    """Sum all explorations up in one line."""
    from pytest_concurrency.slo.figures import format_duration

    schedules = sum(one["schedules"] for one in explored)
    seconds = format_duration(sum(one["seconds"] for one in explored) * 1e9)
    ends = Counter(_end(one) for one in explored)
    parts = ", ".join(f"{number} {end}" for end, number in ends.items())
    tests = f"{len(explored)} test{'' if len(explored) == 1 else 's'}"
    many = f"{schedules:,} schedule{'' if schedules == 1 else 's'}"
    return f"explored {tests}: {many} in {seconds}; {parts}"


def _end(one: Mapping[str, Any]) -> str:
    if one["exhausted"]:
        return "complete"
    if one["budget"] is None and one["complete"] is not None:
        return f"complete to {one['complete']} preemptions"
    if one["budget"] is None:
        return "not complete"
    return "replayed" if one["budget"] == "replay" else "stopped at its budget"


def _ran_apart(record: Mapping[str, Any]) -> bool:
    """Say whether a whole run had workers that never met.

    One that was ended early, or of which every call was skipped or failed, has more to tell.
    """
    returned = record["calls"] - record["errors"]
    return (
        record["workers"] > 1 and record["peak"] == 1 and not record["unfinished"] and returned > 0
    )


def _never_overlapped(record: Mapping[str, Any]) -> str:
    from pytest_concurrency.slo.figures import format_duration

    mean = format_duration(record["wall_ns"] / record["calls"])
    return (
        f"{record['nodeid']}: the {record['workers']} workers never overlapped "
        f"({record['calls']:,} calls of about {mean}). Such calls need interleave."
    )
