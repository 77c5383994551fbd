"""Find the race, deterministically; hold the objective, honestly.

The public names, each imported from its room on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_concurrency.db.database import Database
    from pytest_concurrency.db.datasets import Dataset, dataset
    from pytest_concurrency.db.generated import rows
    from pytest_concurrency.db.leaks import LeakReport, find_leaks
    from pytest_concurrency.db.pool import PoolWatch
    from pytest_concurrency.db.servers import open_server
    from pytest_concurrency.db.sessions import separate_sessions
    from pytest_concurrency.db.watch import EngineWatch
    from pytest_concurrency.errors import (
        BrokenPromise,
        ConcurrencyWarning,
        InternalError,
        MissingExtra,
        UsageError,
    )
    from pytest_concurrency.explore.case import Case
    from pytest_concurrency.explore.check import Linearizable
    from pytest_concurrency.explore.exploration import Exploration
    from pytest_concurrency.explore.failures import (
        Deadlock,
        Hang,
        NotDeterministic,
        NothingExplored,
    )
    from pytest_concurrency.explore.interleave import interleave
    from pytest_concurrency.explore.linearizable import linearizable
    from pytest_concurrency.explore.operations import Made
    from pytest_concurrency.explore.outside import Uncontrolled
    from pytest_concurrency.explore.trial import NotLinearizable
    from pytest_concurrency.explore.unawaited import NeverAwaited
    from pytest_concurrency.run.call import Call
    from pytest_concurrency.run.eventually import eventually
    from pytest_concurrency.run.hang import HangError
    from pytest_concurrency.run.outcome import Outcome
    from pytest_concurrency.run.processes import WorkerDied
    from pytest_concurrency.run.runner import concurrent_runner
    from pytest_concurrency.run.worker import Worker
    from pytest_concurrency.slo.assertions import (
        MissedObjective,
        MissedWarning,
        UndecidedObjective,
        UndecidedWarning,
        assert_slo,
    )
    from pytest_concurrency.slo.budgets import error_budget
    from pytest_concurrency.slo.evidence import Evidence
    from pytest_concurrency.slo.grammar import parse_objective
    from pytest_concurrency.slo.growth import assert_scales
    from pytest_concurrency.slo.leaks import assert_no_leak
    from pytest_concurrency.slo.memory import track_memory
    from pytest_concurrency.slo.pairs import Comparison, compare
    from pytest_concurrency.slo.perf import PerfTimer
    from pytest_concurrency.slo.timing import (
        PerformanceTimer,
        Timing,
        assert_performance,
        measure_time,
    )
    from pytest_concurrency.slo.verdicts import Verdict

__all__ = [
    "BrokenPromise",
    "Call",
    "Case",
    "Comparison",
    "ConcurrencyWarning",
    "Database",
    "Dataset",
    "Deadlock",
    "EngineWatch",
    "Evidence",
    "Exploration",
    "Hang",
    "HangError",
    "InternalError",
    "LeakReport",
    "Linearizable",
    "Made",
    "MissedObjective",
    "MissedWarning",
    "MissingExtra",
    "NeverAwaited",
    "NotDeterministic",
    "NotLinearizable",
    "NothingExplored",
    "Outcome",
    "PerfTimer",
    "PerformanceTimer",
    "PoolWatch",
    "Timing",
    "Uncontrolled",
    "UndecidedObjective",
    "UndecidedWarning",
    "UsageError",
    "Verdict",
    "Worker",
    "WorkerDied",
    "assert_no_leak",
    "assert_performance",
    "assert_scales",
    "assert_slo",
    "compare",
    "concurrent_runner",
    "dataset",
    "error_budget",
    "eventually",
    "find_leaks",
    "interleave",
    "linearizable",
    "measure_time",
    "open_server",
    "parse_objective",
    "rows",
    "separate_sessions",
    "track_memory",
]

_ROOMS = {
    "BrokenPromise": "errors",
    "Call": "run.call",
    "Case": "explore.case",
    "Comparison": "slo.pairs",
    "ConcurrencyWarning": "errors",
    "Database": "db.database",
    "Dataset": "db.datasets",
    "Deadlock": "explore.failures",
    "EngineWatch": "db.watch",
    "Evidence": "slo.evidence",
    "Exploration": "explore.exploration",
    "Hang": "explore.failures",
    "HangError": "run.hang",
    "InternalError": "errors",
    "LeakReport": "db.leaks",
    "Linearizable": "explore.check",
    "Made": "explore.operations",
    "MissedObjective": "slo.assertions",
    "MissedWarning": "slo.assertions",
    "MissingExtra": "errors",
    "NeverAwaited": "explore.unawaited",
    "NotDeterministic": "explore.failures",
    "NotLinearizable": "explore.trial",
    "NothingExplored": "explore.failures",
    "Outcome": "run.outcome",
    "PerfTimer": "slo.perf",
    "PerformanceTimer": "slo.timing",
    "PoolWatch": "db.pool",
    "Timing": "slo.timing",
    "Uncontrolled": "explore.outside",
    "UndecidedObjective": "slo.assertions",
    "UndecidedWarning": "slo.assertions",
    "UsageError": "errors",
    "Verdict": "slo.verdicts",
    "Worker": "run.worker",
    "WorkerDied": "run.processes",
    "assert_no_leak": "slo.leaks",
    "assert_performance": "slo.timing",
    "assert_scales": "slo.growth",
    "assert_slo": "slo.assertions",
    "compare": "slo.pairs",
    "concurrent_runner": "run.runner",
    "dataset": "db.datasets",
    "error_budget": "slo.budgets",
    "eventually": "run.eventually",
    "find_leaks": "db.leaks",
    "interleave": "explore.interleave",
    "linearizable": "explore.linearizable",
    "measure_time": "slo.timing",
    "open_server": "db.servers",
    "parse_objective": "slo.grammar",
    "rows": "db.generated",
    "separate_sessions": "db.sessions",
    "track_memory": "slo.memory",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("pytest-concurrency-slo")
    room = _ROOMS.get(name)
    if room is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{room}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
