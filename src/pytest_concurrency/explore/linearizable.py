"""`linearizable`: does an object, asked by several workers, answer as if they took turns?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, overload

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.case import Case
from pytest_concurrency.explore.check import Check, Linearizable
from pytest_concurrency.explore.history import Key
from pytest_concurrency.explore.limits import Limits, check_factory
from pytest_concurrency.explore.machines import is_machine
from pytest_concurrency.explore.operations import operations

__all__ = ["Linearizable", "linearizable"]


@overload
def linearizable(
    factory: Callable[[], Any],
    /,
    *,
    model: Callable[[], Any] | None = ...,
    key: Key | None = ...,
    workers: int = ...,
    operations_each: int = ...,
    examples: int = ...,
    schedules: int = ...,
    preemptions: int = ...,
    seconds: float = ...,
    seed: int = ...,
    packages: Sequence[str] = ...,
    replay: Case | None = ...,
    **methods: Any,
) -> Linearizable: ...
@overload
def linearizable(
    factory: Callable[[], Any], calls: Mapping[str, Any], /, **options: Any
) -> Linearizable: ...
def linearizable(
    factory: Callable[[], Any], calls: Mapping[str, Any] | None = None, /, **given: Any
) -> Linearizable:
    """Check that concurrent calls of an object are answered as in some order, one by one.

    Programs of calls are drawn by Hypothesis; each runs under explored schedules; each answer
    must be what the object gives to one worker alone, in an order that keeps who came after whom.
    Within a test that Hypothesis runs, one program is drawn for each example of that test.

    >>> from hypothesis import strategies as st
    >>> from queue import Queue
    >>> print(linearizable(Queue, put=st.integers(), qsize=(), examples=3).programs)
    3

    Args:
        factory: A class, or a function without arguments, that makes a fresh object.
        calls: The operations as a mapping, where their names cannot be keywords.
        given: For each operation the strategies of its arguments, as a tuple, a function that
            takes the object perhaps before them; and the options of `Limits`.

    Returns:
        What was tried, when every answer could be explained.

    Raises:
        NotLinearizable: With the smallest program found, its history and its schedule.
    """
    __tracebackhide__ = True
    try:
        check_factory(factory)
        options = {each.name: given.pop(each.name) for each in fields(Limits) if each.name in given}
        limits = Limits(**options)
        given = {**(calls or {}), **given}
        named = operations(given, factory) if given or not is_machine(factory) else None
    except UsageError as error:
        raise error.with_traceback(None) from None
    check = Check(factory, named, limits)
    return check.many() if limits.replay is None else check.one(limits.replay)
