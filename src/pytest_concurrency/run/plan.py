"""The plan of a run: who calls what, checked before anybody starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.run.settings import current_settings
from pytest_concurrency.run.worker import Worker

MOST_WORKERS = 10_000
"""More than any machine starts; a number beyond it is a slip of the keyboard."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One invocation that a worker makes in each round."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    wants_worker: bool = False

    def bind(self, worker: Worker) -> Callable[[], Any]:
        """Return the invocation with everything it needs."""
        if self.wants_worker:
            return partial(self.function, *self.arguments, worker=worker)
        if self.arguments:
            return partial(self.function, *self.arguments)
        return self.function


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every worker does, and how often."""

    steps: tuple[tuple[Step, ...], ...]
    """For each worker, what it calls in one round, in order."""
    rounds: int
    is_async: bool

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return len(self.steps)

    @property
    def calls(self) -> int:
        """How many calls a complete run makes."""
        return self.rounds * sum(map(len, self.steps))


def describe(function: object) -> str:
    """Name a callable as its author would."""
    if isinstance(function, partial):
        return describe(function.func)
    return getattr(function, "__qualname__", None) or repr(function)


def make_plan(
    calls: Sequence[Callable[..., Any]],
    *,
    workers: int | None,
    rounds: int,
    items: Iterable[Any] | None,
) -> Plan:
    """Lay out one call from N workers, N different calls, or a call per item.

    Raises:
        UsageError: The arguments do not make a run.
    """
    _check_count("workers", workers)
    _check_count("rounds", rounds)
    if not calls:
        msg = "concurrent_runner(): there is nothing to call. Pass a callable."
        raise UsageError(msg)
    is_async = _is_async(calls)
    if items is not None:
        steps = _per_item(calls, tuple(_iterate(items)), workers)
    else:
        steps = _per_worker(calls, workers)
    return Plan(steps=steps, rounds=rounds, is_async=is_async)


def _check_count(name: str, value: object) -> None:
    if value is None and name == "workers":
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"concurrent_runner({name}={value!r}): use an integer >= 1, such as {name}=8."
        raise UsageError(msg)
    if name == "workers" and value > MOST_WORKERS:
        msg = (
            f"concurrent_runner(workers={value!r}): at most {MOST_WORKERS:,} workers are started. "
            f"For more calls use rounds=."
        )
        raise UsageError(msg)


def _iterate(items: Iterable[Any]) -> Iterable[Any]:
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        msg = f"concurrent_runner(items={items!r}): use a list or another iterable of items."
        raise UsageError(msg)
    return items


def _is_async(calls: Sequence[Callable[..., Any]]) -> bool:
    kinds = set()
    for call in calls:
        if inspect.iscoroutine(call):
            call.close()
            msg = (
                f"concurrent_runner({call.__qualname__}(...)): this coroutine can run only once. "
                f"Pass the coroutine function itself: concurrent_runner({call.__qualname__})."
            )
            raise UsageError(msg)
        if not callable(call):
            msg = (
                f"concurrent_runner({call!r}): {type(call).__name__} is not callable. "
                f"Pass a function itself, not what it returns."
            )
            raise UsageError(msg)
        kinds.add(is_coroutine_function(call))
    if len(kinds) == 2:  # noqa: PLR2004 - both kinds
        msg = (
            "concurrent_runner(): coroutine functions and plain functions cannot run together. "
            "Use one kind; a plain function becomes the other with asyncio.to_thread."
        )
        raise UsageError(msg)
    return kinds.pop()


def is_coroutine_function(call: object) -> bool:
    """Say whether calling it gives a coroutine, through partials and callable objects."""
    while isinstance(call, partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(type(call), "__call__", None)  # noqa: B004 - its kind is asked, not its presence
    )


def _per_item(
    calls: Sequence[Callable[..., Any]], items: tuple[Any, ...], workers: int | None
) -> tuple[tuple[Step, ...], ...]:
    if len(calls) > 1:
        msg = (
            f"concurrent_runner(items=...): {len(calls)} callables are given. "
            f"With items, pass one; each item becomes its first argument."
        )
        raise UsageError(msg)
    if not items:
        msg = "concurrent_runner(items=...): there are no items, so nothing would run."
        raise UsageError(msg)
    count = min(workers or len(items), len(items))
    _check_count("workers", count)
    wants = _wants_worker(calls[0], given=1)
    return tuple(
        tuple(Step(function=calls[0], arguments=(item,), wants_worker=wants) for item in mine)
        for mine in (items[index::count] for index in range(count))
    )


def _per_worker(
    calls: Sequence[Callable[..., Any]], workers: int | None
) -> tuple[tuple[Step, ...], ...]:
    if workers is None:
        workers = len(calls) if len(calls) > 1 else current_settings().workers
        _check_count("workers", workers)
    if workers < len(calls):
        msg = (
            f"concurrent_runner(workers={workers}): {len(calls)} callables are given. "
            f"Use workers={len(calls)} or more; the callables are dealt out in turn."
        )
        raise UsageError(msg)
    steps = [Step(function=call, wants_worker=_wants_worker(call, given=0)) for call in calls]
    return tuple((steps[index % len(steps)],) for index in range(workers))


def _wants_worker(call: Callable[..., Any], *, given: int) -> bool:
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # built-ins do not always tell
        return False
    wants = "worker" in signature.parameters
    try:
        signature.bind(*[None] * given, **({"worker": None} if wants else {}))
    except TypeError as error:
        raise UsageError(_uncallable(call, signature, error, given=given)) from None
    return wants


def _uncallable(
    call: Callable[..., Any], signature: inspect.Signature, error: TypeError, *, given: int
) -> str:
    plain = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    arguments = str(inspect.Signature(plain))[1:-1]
    name = describe(call).rpartition("<locals>.")[2]
    where, what, bound = name, f"{name}({arguments})", f"{name}(...)"
    if name.endswith("<lambda>"):
        where, what, bound = f"{f'lambda {arguments}'.rstrip()}: ...", "it", "..."
    lacking = str(error).partition(": ")[2]
    wrong = f"{what} lacks {lacking}" if lacking else f"{what} takes no item"
    remedy = f"Write concurrent_runner(lambda: {bound})."
    if given:
        remedy = "Each item is its first argument."
    return f"concurrent_runner({where}): {wrong}. {remedy}"
