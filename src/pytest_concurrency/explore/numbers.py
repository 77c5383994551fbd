"""Futures and threads that come out of sets in one order, whatever their addresses are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, final

from pytest_concurrency.explore.region import entered

Replacement: TypeAlias = tuple[Any, str, Any]
"""Whose attribute, its name, and what it is while a schedule is played."""

_NUMBER = "_explored_number"


@final
class Numbers:
    """Numbers the futures and threads of each play, and lets numbers stand for addresses."""

    def __init__(self) -> None:
        """Begin with none."""
        self._next = itertools.count()

    def restart(self) -> None:
        """Begin to count anew, for another play."""
        self._next = itertools.count()

    def of_futures(self, module: Any) -> Iterator[Replacement]:
        """Replace what makes and compares futures; waiting functions take them by number.

        Args:
            module: ``concurrent.futures._base``.
        """
        yield from self.of_class(module.Future)
        yield module._AcquireFutures, "__init__", _ordered  # noqa: SLF001

    def of_class(self, kind: Any) -> Iterator[Replacement]:
        """Replace what makes and compares objects of a class."""
        yield kind, "__init__", self._numbering(kind.__init__)
        yield kind, "__hash__", _number

    def _numbering(self, make: Callable[..., None]) -> Callable[..., None]:
        def __init__(made: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807
            make(made, *arguments, **named)
            if entered() is not None:
                setattr(made, _NUMBER, next(self._next))

        return __init__


def _number(made: Any) -> int:
    number = made.__dict__.get(_NUMBER)
    return object.__hash__(made) if number is None else int(number)


def _ordered(waiting: Any, futures: Iterable[Any]) -> None:
    waiting.futures = sorted(futures, key=hash)
