"""The operations of a class, with what their arguments may be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from pytest_concurrency.errors import UsageError, nearest

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that workers can ask of the object.

    Attributes:
        name: What it is called in texts; the name of a method, unless ``function`` is given.
        arguments: A strategy for each argument.
        function: What it does: takes the object and the arguments.
        makes: Names of the bundles that take what it returns.
        turn: Whether it is called once, before or after all others.
        is_conditional: Whether it may only be called in some states.
    """

    name: str
    arguments: tuple[SearchStrategy[Any], ...] = ()
    function: Callable[..., Any] | None = None
    makes: tuple[str, ...] = ()
    turn: Literal["first", "last"] | None = None
    is_conditional: bool = False


@final
@dataclass(frozen=True, slots=True)
class Made:
    """Stands for what an earlier call put into a bundle: ``Made(0)`` for the first one."""

    place: int

    def __repr__(self) -> str:
        """Show it as it would be typed."""
        return f"Made({self.place})"


class Unmet(Exception):
    """A rule was called whose precondition does not hold."""


def operations(given: Mapping[str, Any], factory: Callable[[], Any]) -> dict[str, Operation]:
    """Read the operations as they are given to `linearizable`.

    Args:
        given: For each operation a strategy, a tuple of strategies, or a function that takes the
            object, alone or first in such a tuple.
        factory: What makes the object: its methods are what can be named.
    """
    if not given:
        msg = (
            f"linearizable: there is no operation of {_name(factory)} to call. "
            "Name its methods with strategies for their arguments: put=(st.integers(),), get=()."
        )
        raise UsageError(msg)
    return {name: _operation(name, value, factory) for name, value in given.items()}


def _operation(name: str, value: Any, factory: Callable[[], Any]) -> Operation:
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    function = None
    if parts and callable(parts[0]) and not _is_strategy(parts[0]):
        function, *rest = parts
        parts = tuple(rest)
    for part in parts:
        if not _is_strategy(part):
            msg = (
                f"linearizable: {name}={value!r}: {part!r} is not a strategy. "
                f"Write {name}=(st.just({part!r}),), or {name}=() for no arguments."
            )
            raise UsageError(msg)
    if function is None:
        _check_method(name, factory)
    return Operation(name=name, arguments=parts, function=function)


def _check_method(name: str, factory: Callable[[], Any]) -> None:
    if not isinstance(factory, type) or callable(getattr(factory, name, None)):
        return
    if hasattr(factory, name) or "__getattr__" in dir(factory):
        msg = (
            f"linearizable: {_name(factory)}.{name} is not a method. "
            f"Write a function that takes the object: {name}=lambda it: it.{name}."
        )
        raise UsageError(msg)
    methods = [each for each in dir(factory) if not each.startswith("_")]
    near = nearest(name, methods)
    hint = f"Did you mean {near!r}?" if near else f"It has {', '.join(methods) or 'none'}."
    msg = f"linearizable: {_name(factory)} has no method {name!r}. {hint}"
    raise UsageError(msg)


def is_asynchronous(given: Mapping[str, Operation], factory: Callable[[], Any]) -> bool:
    """Tell whether an operation is a coroutine function, so that await points are explored."""
    return any(
        inspect.iscoroutinefunction(operation.function or getattr(factory, name, None))
        for name, operation in given.items()
    )


def _is_strategy(value: object) -> bool:
    from hypothesis.strategies import SearchStrategy

    return isinstance(value, SearchStrategy)


def _name(factory: Callable[[], Any]) -> str:
    return str(getattr(factory, "__name__", type(factory).__name__))
