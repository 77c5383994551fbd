"""Find the race, deterministically; hold the objective, honestly.

The public names, each imported from its room on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_concurrency.errors import (
        BrokenPromise,
        ConcurrencyWarning,
        InternalError,
        MissingExtra,
        UsageError,
    )
    from pytest_concurrency.run.call import Call
    from pytest_concurrency.run.hang import HangError
    from pytest_concurrency.run.outcome import Outcome
    from pytest_concurrency.run.processes import WorkerDied
    from pytest_concurrency.run.runner import concurrent_runner
    from pytest_concurrency.run.worker import Worker
    from pytest_concurrency.slo.timing import (
        PerformanceTimer,
        Timing,
        assert_performance,
        measure_time,
    )

__all__ = [
    "BrokenPromise",
    "Call",
    "ConcurrencyWarning",
    "HangError",
    "InternalError",
    "MissingExtra",
    "Outcome",
    "PerformanceTimer",
    "Timing",
    "UsageError",
    "Worker",
    "WorkerDied",
    "assert_performance",
    "concurrent_runner",
    "measure_time",
]

_ROOMS = {
    "BrokenPromise": "errors",
    "Call": "run.call",
    "ConcurrencyWarning": "errors",
    "HangError": "run.hang",
    "InternalError": "errors",
    "MissingExtra": "errors",
    "Outcome": "run.outcome",
    "PerformanceTimer": "slo.timing",
    "Timing": "slo.timing",
    "UsageError": "errors",
    "Worker": "run.worker",
    "WorkerDied": "run.processes",
    "assert_performance": "slo.timing",
    "concurrent_runner": "run.runner",
    "measure_time": "slo.timing",
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
