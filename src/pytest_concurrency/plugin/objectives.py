"""Objectives under pytest: where samples come from, what verdicts do, and where they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_concurrency.plugin.journal import open_journal, timer_key
from pytest_concurrency.plugin.settings import read

if TYPE_CHECKING:
    from pytest_concurrency.slo.assertions import Policy
    from pytest_concurrency.slo.evidence import Evidence
    from pytest_concurrency.slo.goals import Goal
    from pytest_concurrency.slo.named import NamedSlo
    from pytest_concurrency.slo.perf import PerfTimer

slos_key: pytest.StashKey[Mapping[str, NamedSlo]] = pytest.StashKey()
"""On the config: the named SLOs, once they were read."""
memory_key: pytest.StashKey[int] = pytest.StashKey()
"""On an item: the peak of its memory, in bytes."""


def slo_policy(item: pytest.Item) -> Policy:
    """Return how a test's verdicts are reached and what follows from them."""
    from pytest_concurrency.plugin import against, canary, verdicts
    from pytest_concurrency.slo.assertions import Policy
    from pytest_concurrency.slo.wording import command

    config = item.config
    mode = read(config, "slo")
    undecided = undecided_of(item) or read(config, "slo_undecided")
    return Policy(
        undecided="pass" if mode == "off" else undecided,  # type: ignore[arg-type]
        missed={"enforce": "fail", "warn": "warn", "off": "pass"}[str(mode)],  # type: ignore[arg-type]
        by_wall=read(config, "slo_clock") == "wall",
        is_quick=bool(read(config, "slo_quick")),
        again=command(item.nodeid),
        observe=lambda verdict: verdicts.note_verdict(item, verdict),
        tell=lambda row: verdicts.note_row(item, row),
        collect=against.collector_of(item),
        reference_ns=canary.reference_ns(config),
        on_canary=lambda fastest_ns: canary.note_fastest(config, fastest_ns),
        slos=named_slos(config),
        tier=run_tier_of(config),
        on_goals=lambda source, goals: verdicts.note_tiers(item, source, goals),
    )


def marker_policy(item: pytest.Item) -> Policy:
    """Return the same for what a test's markers ask for, whose warnings point at them."""
    from pytest_concurrency.plugin.pointing import warn_at_test

    return replace(slo_policy(item), warn=partial(warn_at_test, item, marker="slo"))


def undecided_of(item: pytest.Item) -> str | None:
    """Return what the nearest marker that says so lets an undecided objective do."""
    given = (mark.kwargs.get("undecided") for mark in item.iter_markers("slo"))
    return next((each for each in given if each is not None), None)


def goals_of(item: pytest.Item) -> list[Goal]:
    """Return what a test's markers ask to be held, nearest marker first.

    Raises:
        pytest.UsageError: One cannot be read.
    """
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.goals import read_goals

    goals: list[Goal] = []
    slos, run_tier = named_slos(item.config), run_tier_of(item.config)
    where = f"{item.nodeid}: slo"
    for mark in item.iter_markers("slo"):
        tier = mark.kwargs.get("tier", "")
        try:
            goals += read_goals(mark.args, slos, tier=tier, run_tier=run_tier, where=where)
        except UsageError as error:
            raise pytest.UsageError(_with_where(str(error), where)) from None
    return goals


def _with_where(text: str, where: str) -> str:
    return text if text.startswith(where) else f"{where}: {text}"


def run_tier_of(config: pytest.Config) -> str:
    """Return the tier that the run asks for, empty if none."""
    return str(read(config, "slo_tier") or "")


def named_slos(config: pytest.Config) -> Mapping[str, NamedSlo]:
    """Return the SLOs that the project has written down.

    Raises:
        pytest.UsageError: A file cannot be read, or no SLO has the tier of the run.
    """
    if slos_key not in config.stash:
        from pytest_concurrency.errors import MissingExtra, UsageError
        from pytest_concurrency.slo.files import load_slos
        from pytest_concurrency.slo.goals import check_run_tier

        found: dict[str, NamedSlo] = {}
        given = str(read(config, "slo_file") or "")
        project = config.rootpath / "pyproject.toml"
        try:
            if project.exists():
                found.update(load_slos(project))
            if given:
                found.update(_slos_of_file(from_root(config, "slo_file", given)))
            check_run_tier(found, run_tier_of(config))
        except (UsageError, MissingExtra) as error:
            raise pytest.UsageError(str(error)) from None
        config.stash[slos_key] = found
    return config.stash[slos_key]


def _slos_of_file(path: Path) -> Mapping[str, NamedSlo]:
    """Return the SLOs of a file that was named for them."""
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.files import load_slos

    slos = load_slos(path)
    if not slos:
        remedy = "a document with kind: SLO"
        if path.suffix not in (".yaml", ".yml"):
            table = "tool.pytest_concurrency.slo" if path.name == "pyproject.toml" else "slo"
            remedy = f"[{table}.api] with objectives"
        msg = f"{path}: it has no SLO. Write {remedy} into it."
        raise UsageError(msg)
    return slos


def from_root(config: pytest.Config, ini: str, path: str) -> Path:
    """Return a path: as typed, from where pytest was started; as written, from the root."""
    typed = config.getoption(ini)
    return config.invocation_params.dir / path if typed else config.rootpath / path


@contextmanager
def measuring(item: pytest.Item) -> Iterator[None]:
    """Measure the memory of a test that has an objective about it."""
    if item.get_closest_marker("slo") is None or not _asks_for(item, "memory"):
        yield
        return
    from pytest_concurrency.slo.memory import track_memory

    with track_memory() as memory:
        yield
    item.stash[memory_key] = memory.peak_bytes


def _asks_for(item: pytest.Item, metric: str) -> bool:
    return any(goal.objective.metric == metric for goal in goals_of(item))


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
    from pytest_concurrency.errors import BrokenPromise, UsageError
    from pytest_concurrency.plugin.against import judge_comparison
    from pytest_concurrency.plugin.pointing import raise_at_test

    if read(item.config, "slo") == "off":
        return
    try:
        if not judge_comparison(item) and item.get_closest_marker("slo") is not None:
            _judge(item, seconds)
    except UsageError as error:
        raise_at_test(item, UsageError(f"{item.nodeid}: {error}"), marker="slo")
    except (BrokenPromise, Warning) as error:  # a warning, where warnings are errors
        raise_at_test(item, error, marker="slo")


def _judge(item: pytest.Item, seconds: float) -> None:
    from pytest_concurrency.plugin.measured import complete, evidence_of_item
    from pytest_concurrency.slo.assertions import assert_goals

    timer = item.stash.get(timer_key, None)
    source: Evidence | PerfTimer
    if timer is not None and len(timer):
        complete(item, timer)
        source = timer
    else:
        source = evidence_of_item(item, seconds)
    assert_goals(source, goals_of(item), marker_policy(item))


def make_timer(item: pytest.Item) -> PerfTimer:
    """Make the timer of a test, which decides about the objectives of its markers."""
    from pytest_concurrency.plugin import against
    from pytest_concurrency.plugin.marked import join
    from pytest_concurrency.slo.perf import PerfTimer

    join(item.config)
    decidable = [goal.objective for goal in goals_of(item) if goal.is_decided_by_calls]
    policy, turns = slo_policy(item), against.turns_of(item)
    timer = PerfTimer(item.nodeid, objectives=decidable, policy=policy, turns=turns)
    item.stash[timer_key] = timer
    open_journal(item.config)
    return timer
