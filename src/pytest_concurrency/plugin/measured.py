"""What a test measured: by its timer, by its runs, or by its own duration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_concurrency.plugin.journal import outcomes_key, timer_key

if TYPE_CHECKING:
    from pytest_concurrency.slo.evidence import Evidence
    from pytest_concurrency.slo.perf import PerfTimer
    from pytest_concurrency.slo.samples import Samples


def evidence_of_item(item: pytest.Item, seconds: float) -> Evidence:
    """Return what a test without a timer measured: its outcomes, else its own duration."""
    from pytest_concurrency.plugin.objectives import memory_key
    from pytest_concurrency.slo.evidence import Evidence, merge_evidence
    from pytest_concurrency.slo.samples import Samples

    outcomes = item.stash.get(outcomes_key, None) or []
    if outcomes:
        merged = merge_evidence([each.evidence() for each in outcomes])
    else:
        own = Samples.of([round(seconds * 1e9)])
        merged = Evidence(latency=own, calls=1, seconds=seconds)
    memory_bytes = item.stash.get(memory_key, None)
    pool_use, waits = pool_of(item)
    series = {**waits, **merged.series}
    return replace(merged, memory_bytes=memory_bytes, pool_use=pool_use, series=series)


def complete(item: pytest.Item, timer: PerfTimer) -> None:
    """Tell a timer what was measured beside its calls."""
    from pytest_concurrency.plugin.objectives import memory_key

    timer.facts.memory_bytes = item.stash.get(memory_key, None)
    timer.facts.pool_use, waits = pool_of(item)
    for name, samples in waits.items():
        timer.facts.series.setdefault(name, samples)


def pool_of(item: pytest.Item) -> tuple[float | None, dict[str, Samples]]:
    """Return how full the test's pool was, if it was watched, and how long who waited."""
    from pytest_concurrency.plugin.databases import pool_key
    from pytest_concurrency.plugin.leftovers import lock_waits_of
    from pytest_concurrency.slo.samples import Samples

    waits = lock_waits_of(item)
    watch = item.stash.get(pool_key, None)
    if watch is None:
        return None, waits
    use = watch.use
    share = use.saturation if use.capacity is not None else None
    return share, {**waits, "pool wait": Samples.of(use.waited_ns)}


def samples_record(item: pytest.Item) -> dict[str, Any] | None:
    """Return a test's samples as they travel on its report, if it measured any.

    Those of its runs travel only if an objective was held against them; a run that only looks
    for races has durations that nobody asked for.
    """
    timer = item.stash.get(timer_key, None)
    if timer is not None and len(timer):
        evidence = timer.evidence()
    else:
        from pytest_concurrency.plugin.verdicts import judged_key

        if not item.stash.get(judged_key, False) or not item.stash.get(outcomes_key, None):
            return None
        evidence = evidence_of_item(item, 0.0)
    return {"kind": "samples", "nodeid": item.nodeid, "evidence": evidence.to_wire()}
