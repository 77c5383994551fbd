"""Objectives under pytest: where samples come from, what verdicts do, and where they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_concurrency.plugin.journal import note_record, open_journal, outcomes_key, timer_key
from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from pytest_concurrency.slo.assertions import Policy
    from pytest_concurrency.slo.evidence import Evidence
    from pytest_concurrency.slo.named import NamedSlo
    from pytest_concurrency.slo.objectives import Objective
    from pytest_concurrency.slo.perf import PerfTimer
    from pytest_concurrency.slo.verdicts import Verdict

slos_key: pytest.StashKey[Mapping[str, NamedSlo]] = pytest.StashKey()
"""On the config: the named SLOs, once they were read."""
judged_key: pytest.StashKey[bool] = pytest.StashKey()
"""On an item whose samples were judged by ``assert_slo`` already."""


def slo_policy(item: pytest.Item) -> Policy:
    """Return how a test's verdicts are reached and what follows from them."""
    from pytest_concurrency.slo.assertions import Policy
    from pytest_concurrency.slo.wording import command

    config = item.config
    mode = read(config, "slo")
    return Policy(
        undecided="pass" if mode == "off" else read(config, "slo_undecided"),  # type: ignore[arg-type]
        missed={"enforce": "fail", "warn": "warn", "off": "pass"}[str(mode)],  # type: ignore[arg-type]
        by_wall=read(config, "slo_clock") == "wall",
        is_quick=bool(read(config, "slo_quick")),
        again=command(item.nodeid),
        observe=lambda verdict: note_verdict(item, verdict),
    )


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
    }
    note_record(item, record)


def marked_objectives(item: pytest.Item) -> tuple[tuple[Objective, ...], tuple[NamedSlo, ...]]:
    """Return the objectives of a test's markers, and the named SLOs among them.

    Raises:
        pytest.UsageError: One cannot be read.
    """
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.grammar import parse_objective
    from pytest_concurrency.slo.named import find_slo

    written: list[Objective] = []
    named: list[NamedSlo] = []
    for mark in item.iter_markers("slo"):
        for text in mark.args:
            where = f"{item.nodeid}: slo({text!r})"
            try:
                if isinstance(text, str) and text.replace("-", "_").isidentifier():
                    named.append(find_slo(named_slos(item.config), text, where=where))
                else:
                    written.append(parse_objective(text, where=where))
            except UsageError as error:
                raise pytest.UsageError(str(error)) from None
    return tuple(written), tuple(named)


def named_slos(config: pytest.Config) -> Mapping[str, NamedSlo]:
    """Return the SLOs that the project has written down.

    Raises:
        pytest.UsageError: A file cannot be read.
    """
    if slos_key not in config.stash:
        from pytest_concurrency.errors import MissingExtra, UsageError
        from pytest_concurrency.slo.files import load_slos

        found: dict[str, NamedSlo] = {}
        given = str(read(config, "slo_file") or "")
        project = config.rootpath / "pyproject.toml"
        try:
            if project.exists():
                found.update(load_slos(project))
            if given:
                found.update(load_slos(_from_root(config, given)))
        except (UsageError, MissingExtra) as error:
            raise pytest.UsageError(str(error)) from None
        config.stash[slos_key] = found
    return config.stash[slos_key]


def _from_root(config: pytest.Config, path: str) -> Path:
    typed = config.getoption("slo_file")
    return config.invocation_params.dir / path if typed else config.rootpath / path


@contextmanager
def measuring(item: pytest.Item) -> Iterator[None]:
    """Measure the memory of a test that has an objective about it."""
    if item.get_closest_marker("slo") is None:
        yield
        return
    written, named = marked_objectives(item)
    tier = str(read(item.config, "slo_tier") or "")
    wanted = [*written, *(each for slo in named for each in slo.objectives_of(tier))]
    if not any(each.metric == "memory" for each in wanted):
        yield
        return
    from pytest_concurrency.slo.memory import track_memory

    with track_memory() as memory:
        yield
    timer = item.stash.get(timer_key, None)
    if timer is not None:
        timer.memory_bytes = memory.peak_bytes
    item.stash[memory_key] = memory.peak_bytes


memory_key: pytest.StashKey[int] = pytest.StashKey()
"""On an item: the peak of its memory, in bytes."""


def judge_item(item: pytest.Item, seconds: float) -> None:
    """Hold what a passed test measured against the objectives of its markers.

    Args:
        item: The test.
        seconds: How long its body took.

    Raises:
        MissedObjective: One is missed.
        UndecidedObjective: One is undecided, and that was to fail.
    """
    __tracebackhide__ = True
    if item.get_closest_marker("slo") is None or read(item.config, "slo") == "off":
        return
    from pytest_concurrency.errors import BrokenPromise, UsageError
    from pytest_concurrency.plugin.pointing import raise_at_test

    try:
        _judge(item, _source(item, seconds))
    except UsageError as error:
        raise_at_test(item, UsageError(f"{item.nodeid}: {error}"), marker="slo")
    except BrokenPromise as error:
        raise_at_test(item, error, marker="slo")


def _judge(item: pytest.Item, source: Any) -> None:
    from pytest_concurrency.slo.assertions import assert_slo, enforce
    from pytest_concurrency.slo.named import held_text

    written, named = marked_objectives(item)
    policy = slo_policy(item)
    tier = str(read(item.config, "slo_tier") or "")
    if written:
        assert_slo(source, *written, policy=policy)
    for slo in named:
        chosen = tier if tier in slo.tiers else ""
        verdicts = slo.judge(source, tier=chosen, by_wall=policy.by_wall)
        if slo.tiers:
            text = f"{item.nodeid}: SLO {slo.name!r}: {held_text(slo.held(source))}"
            note_record(item, {"kind": "tiers", "nodeid": item.nodeid, "text": text})
        enforce(verdicts, policy)


def _source(item: pytest.Item, seconds: float) -> Any:
    """Return what a test measured: its timer, else its outcomes, else its own duration."""
    timer = item.stash.get(timer_key, None)
    if timer is not None and len(timer):
        return timer
    from pytest_concurrency.slo.evidence import Evidence, merge_evidence
    from pytest_concurrency.slo.samples import Samples

    memory = item.stash.get(memory_key, None)
    outcomes = item.stash.get(outcomes_key, None) or []
    if outcomes:
        merged: Evidence = merge_evidence([each.evidence() for each in outcomes])
    else:
        own = Samples.of([round(seconds * 1e9)])
        merged = Evidence(latency=own, calls=1, seconds=seconds)
    return replace(merged, memory_bytes=memory, **_pool(item))


def _pool(item: pytest.Item) -> dict[str, Any]:
    """Return what is known of the test's pool, if it was watched."""
    from pytest_concurrency.plugin.databases import pool_key
    from pytest_concurrency.slo.samples import Samples

    watch = item.stash.get(pool_key, None)
    if watch is None:
        return {}
    use = watch.use
    share = use.saturation if use.capacity is not None else None
    return {"pool_use": share, "series": {"pool wait": Samples.of(use.waits_ns)}}


def make_timer(item: pytest.Item) -> PerfTimer:
    """Make the timer of a test, which decides about the objectives of its markers."""
    from pytest_concurrency.plugin.marked import join
    from pytest_concurrency.slo.perf import PerfTimer

    join(item.config)
    written, named = marked_objectives(item)
    tier = str(read(item.config, "slo_tier") or "")
    every = [*written]
    for slo in named:
        every.extend(slo.objectives_of(tier if tier in slo.tiers else ""))
    timer = PerfTimer(item.nodeid, objectives=every, policy=slo_policy(item))
    item.stash[timer_key] = timer
    open_journal(item.config)
    return timer
