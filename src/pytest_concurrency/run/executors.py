"""Workers as jobs of an executor that the caller brings."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor, wait
from time import monotonic_ns
from typing import Any

from pytest_concurrency.errors import UsageError
from pytest_concurrency.run.gate import Gate, GateAborted
from pytest_concurrency.run.hang import Hanging, examine_threads
from pytest_concurrency.run.plan import Step, describe
from pytest_concurrency.run.recording import Ending, Recording, is_fatal
from pytest_concurrency.run.threads import GRACE, record_worker
from pytest_concurrency.run.worker import Worker

PATIENCE = 0.25
"""Seconds to wait for all workers of a pool that may run fewer at a time."""


def run_executor(recording: Recording, executor: Executor, timeout: float | None) -> Ending:
    """Run all workers on an executor, which is used and left open."""
    if shares_memory(executor):
        return _run_here(recording, executor, timeout)
    return _run_elsewhere(recording, executor, timeout)


def shares_memory(executor: Executor) -> bool:
    """Say whether its jobs run in this interpreter, so that they can wait at one gate."""
    isolated = type(executor).__name__ == "InterpreterPoolExecutor"
    return isinstance(executor, ThreadPoolExecutor) and not isolated


def _pickles(executor: Executor) -> bool:
    """Say whether it is one of Python's own that send their jobs by pickle."""
    kinds = (("process", "ProcessPoolExecutor"), ("interpreter", "InterpreterPoolExecutor"))
    modules = ((sys.modules.get(f"concurrent.futures.{module}"), name) for module, name in kinds)
    return any(module and isinstance(executor, getattr(module, name)) for module, name in modules)


def _run_here(recording: Recording, executor: Executor, timeout: float | None) -> Ending:
    from threading import get_ident

    gate = Gate(recording.plan.workers, patience=PATIENCE)
    idents: dict[int, int] = {}

    def work(index: int) -> None:
        idents[index] = get_ident()
        try:
            record_worker(recording, gate, index)
        except GateAborted:
            pass
        finally:
            recording.has_ended[index] = True

    futures = _submit(recording, executor, lambda worker: (work, worker.index))
    try:
        _, pending = wait(futures, timeout)
    except BaseException:
        gate.abort()
        raise
    recording.is_partial = gate.late
    if not pending:
        return Ending()
    gate.abort()
    running = [future for future in pending if not future.cancel()]
    started = {index: idents[index] for index in recording.stuck() if index in idents}
    hanging = examine_threads(started)
    hanging += [_never_started(index) for index in recording.stuck() if index not in idents]
    _, left = wait(running, GRACE)
    names = tuple(recording.workers[futures.index(future)].name for future in left)
    return Ending(hanging=tuple(hanging), left_running=names)


def _never_started(index: int) -> Hanging:
    return Hanging(worker=index, places=(), reason="waits for a free place in the executor")


def _submit(
    recording: Recording, executor: Executor, job: Callable[[Worker], tuple[Any, ...]]
) -> list[Future[Any]]:
    try:
        return [executor.submit(*job(worker)) for worker in recording.workers]
    except RuntimeError as error:
        msg = f"concurrent_runner(on={executor!r}): {error}. Pass an executor that is open."
        raise UsageError(msg) from None


Row = tuple[int, int, int, int, Any, BaseException | None]


def make_calls(
    steps: tuple[Step, ...], index: int, seed: int, title: str, rounds: int
) -> list[Row]:
    """Make all calls of one worker where no gate reaches, and return what came of them."""
    worker = Worker(index=index, seed=seed, title=title)
    rows: list[Row] = []
    for round_ in range(rounds):
        worker.round = round_
        for step in steps:
            value, error = None, None
            begun = monotonic_ns()
            try:
                value = step.bind(worker)()
            except BaseException as raised:  # noqa: BLE001 - nothing a worker raises is lost
                error = raised
            rows.append((worker.index, round_, begun, monotonic_ns(), value, error))
    return rows


def _run_elsewhere(recording: Recording, executor: Executor, timeout: float | None) -> Ending:
    plan = recording.plan
    if _pickles(executor):
        check_sendable(plan.steps, "the executor's workers")
    futures = _submit(
        recording,
        executor,
        lambda worker: (
            make_calls,
            plan.steps[worker.index],
            worker.index,
            worker.seed,
            worker.title,
            plan.rounds,
        ),
    )
    recording.is_partial = True
    done, pending = wait(futures, timeout)
    for index, future in enumerate(futures):
        if future in done:
            recording.has_ended[index] = True
            _take(recording, index, future)
    for future in pending:
        future.cancel()
    hanging = [
        Hanging(worker=index, places=(), reason="runs in the executor, which keeps its stack")
        for index in recording.stuck()
    ]
    return Ending(hanging=tuple(hanging))


def _take(recording: Recording, index: int, future: Future[list[Row]]) -> None:
    try:
        error = future.exception()
    except CancelledError as cancelled:  # by whoever else has the executor
        error = cancelled
    if error is not None:
        now = monotonic_ns()
        recording.rows[index].append((index, 0, now, now, None, error))
        return
    recording.rows[index] = future.result()
    for row in recording.rows[index]:
        if row[5] is not None and is_fatal(row[5]):
            recording.fatal = recording.fatal or row[5]


def check_sendable(steps: tuple[tuple[Step, ...], ...], where: str) -> None:
    """Refuse what cannot be sent to another process, and say what to do.

    Raises:
        UsageError: A callable or an item cannot be pickled.
    """
    for step in {id(step): step for mine in steps for step in mine}.values():
        try:
            pickle.dumps(step)
        except Exception as error:  # noqa: BLE001 - a __reduce__ of the user's may do anything
            name = describe(step.function)
            msg = (
                f"concurrent_runner({name}): it cannot be sent to {where}: {error}. "
                f"Define it at the top of its module and give it plain items, or use on='threads'."
            )
            raise UsageError(msg) from None
