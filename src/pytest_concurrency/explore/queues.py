"""Stand-in for ``queue.SimpleQueue``, which is written in C."""

from __future__ import annotations

import queue
from types import GenericAlias
from typing import Any, final

from pytest_concurrency.explore.region import caller, entered, here

_Real = queue.SimpleQueue


@final
class SimpleQueue:
    """Stands in for ``queue.SimpleQueue``; threads of no schedule get the real one."""

    __slots__ = ("__weakref__", "_real", "number", "play")

    __class_getitem__: Any = classmethod(GenericAlias)

    def __new__(cls) -> Any:
        """Make a stand-in for threads that are controlled, and the real thing for all others."""
        return _Real() if entered() is None else object.__new__(cls)

    def __init__(self) -> None:
        """Make an empty queue."""
        self._real: Any = _Real()
        self.number = 0
        self.play: object = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002
        """Add an item; there is always room."""
        _ = block, timeout
        stage = here()
        if stage is not None:
            stage.operate(("put", *caller(2)), ((("queue", stage.serials.of(self)), True),))
        self._real.put(item)
        if stage is not None:
            stage.refresh(self)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002
        """Take the oldest item, waiting for one if need be."""
        stage = here()
        if stage is None:
            return self._real.get(block, timeout)
        touched = ((("queue", stage.serials.of(self)), True),)
        if not block:
            stage.operate(("get", *caller(2)), touched)
        else:
            stage.operate(("get", *caller(2)), touched, self._filled, seconds=timeout, wants=self)
        item = self._real.get(block=False)
        stage.refresh(self)
        return item

    def _filled(self) -> bool:
        return not self._real.empty()

    def put_nowait(self, item: Any) -> None:
        """Add an item."""
        self.put(item)

    def get_nowait(self) -> Any:
        """Take the oldest item, if there is one."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Whether there is no item."""
        return self.qsize() == 0

    def qsize(self) -> int:
        """Count the items."""
        stage = here()
        if stage is not None:
            stage.operate(("size", *caller(2)), ((("queue", stage.serials.of(self)), False),))
        return int(self._real.qsize())
