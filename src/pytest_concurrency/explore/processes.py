"""Processes and pools of them: what they do is in no order of ours, so they are refused at once.

A pool waits in threads of its own for its processes. Were those threads workers, they would wait
where no schedule can go on, and the processes would be left when the play ends. A process that is
forked in the middle of a play would wait for a baton that nobody in it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from pytest_concurrency.explore.awaits import here as line
from pytest_concurrency.explore.numbers import Replacement
from pytest_concurrency.explore.region import here
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.workers import Abandoned


def of_executors(module: Any) -> Iterator[Replacement]:
    """Refuse what is given to an executor of processes.

    Args:
        module: ``concurrent.futures.process``.
    """
    kind = module.ProcessPoolExecutor
    yield kind, "submit", _refusing(kind.submit)


def of_pools(module: Any) -> Iterator[Replacement]:
    """Refuse to make a pool of ``multiprocessing``, whose threads wait on pipes.

    Args:
        module: ``multiprocessing.pool``.
    """
    name = "_repopulate_pool"
    yield module.Pool, name, _refusing(getattr(module.Pool, name))


def of_processes(module: Any) -> Iterator[Replacement]:
    """Refuse to start a process once there are workers.

    Args:
        module: ``multiprocessing.process``.
    """
    kind = module.BaseProcess
    yield kind, "start", _refusing(kind.start, once=lambda stage: stage.started > 0)


def _refusing(
    real: Callable[..., Any], *, once: Callable[[Stage], bool] = lambda _stage: True
) -> Callable[..., Any]:
    @functools.wraps(real)
    def refuse(self: Any, /, *given: Any, **named: Any) -> Any:
        stage = here()
        if stage is None or not once(stage):
            return real(self, *given, **named)
        _refuse(stage, type(self).__name__)
        raise stage.verdict if stage.current.number == 0 and stage.verdict else Abandoned

    return refuse


def _refuse(stage: Stage, what: str) -> None:
    from pytest_concurrency.explore.outside import Uncontrolled

    at = line(stage.own)
    stage.verdict = Uncontrolled(
        f"{'explore' if at is None else at.place}: {what} works outside of the schedule, so its "
        "order cannot be controlled.\nWorkers are threads. Write Thread or ThreadPoolExecutor, "
        "whose threads become workers,\nor use concurrent_runner."
    )
