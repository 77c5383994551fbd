"""Verdicts on their way to the table at the end, with tiers and error budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_concurrency.plugin.journal import note_record

if TYPE_CHECKING:
    from pytest_concurrency.slo.goals import Goal
    from pytest_concurrency.slo.verdicts import Verdict

judged_key: pytest.StashKey[bool] = pytest.StashKey()
"""On an item whose samples an objective was held against."""


def note_verdict(item: pytest.Item, verdict: Verdict) -> None:
    """Note a verdict for the table at the end."""
    from pytest_concurrency.slo.wording import row, verdict_text

    item.stash[judged_key] = True
    record = {
        "kind": "verdict",
        "nodeid": item.nodeid,
        "objective": str(verdict.objective),
        "state": verdict.state,
        "value": verdict.interval.value,
        "low": verdict.interval.low,
        "high": verdict.interval.high,
        "calls": verdict.calls,
        "slo": verdict.slo,
        "tier": verdict.tier,
        "row": list(row(verdict)),
        "text": verdict_text(verdict),
        "budget": _budget(verdict),
    }
    note_record(item, record)


def note_row(item: pytest.Item, row: tuple[str, ...]) -> None:
    """Note what came of a comparison, of a growth or of a leak for the same table."""
    record = {"kind": "comparison", "nodeid": item.nodeid, "state": row[-1], "row": list(row)}
    note_record(item, record)


def _budget(verdict: Verdict) -> str:
    """Return the error budget of a named SLO's rate, in words."""
    from pytest_concurrency.slo.budgets import error_budget

    if not verdict.slo or verdict.objective.kind != "ratio" or verdict.objective.metric == "pool":
        return ""
    return f"{verdict.objective}: {error_budget(verdict)}"


def note_tiers(item: pytest.Item, source: Any, goals: Sequence[Goal]) -> None:
    """Note which tiers of the SLOs named on a test held."""
    from pytest_concurrency.plugin.objectives import named_slos
    from pytest_concurrency.slo.named import held_text

    slos = named_slos(item.config)
    for name in dict.fromkeys(goal.slo for goal in goals if goal.slo):
        slo = slos[name]
        if slo.tiers:
            text = f"{item.nodeid}: SLO {name!r}: {held_text(slo.held(source))}"
            note_record(item, {"kind": "tiers", "nodeid": item.nodeid, "text": text})
