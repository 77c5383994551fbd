"""Who can run on a loop, and who comes after a callback."""

# ruff: noqa: SLF001 - asyncio lets loops be written against these names and no others.
from __future__ import annotations

from asyncio import Handle
from collections.abc import Callable
from typing import TypeAlias, final

Step: TypeAlias = "Callable[[], object]"


@final
class Ready:
    """The next step of each worker that can run.

    Tasks come in any order. A callback comes as asyncio promises: before all that is made ready
    after it within the same step.

    Attributes:
        steps: The next step, by worker.
        on_able: Called when a worker can go on.
        on_unable: Called when it can no longer, because its step was cancelled.
    """

    __slots__ = ("_ahead", "_behind", "_handles", "on_able", "on_unable", "steps")

    def __init__(self) -> None:
        """Begin with nobody."""
        self.steps: dict[int, Step] = {}
        self.on_able: Callable[[int], object] = nothing
        self.on_unable: Callable[[int], object] = nothing
        self._handles: dict[int, Handle] = {}
        self._ahead: list[int] = []
        self._behind: dict[int, tuple[list[int], Step]] = {}

    def add(self, worker: int, step: Step) -> None:
        """Make a worker ready, or let it wait for callbacks that come before."""
        if self._ahead:
            ahead = [each for each in self._ahead if each in self.steps or each in self._behind]
            if ahead:
                self._behind[worker] = ahead, step
                return
        self.steps[worker] = step
        self.on_able(worker)

    def add_handle(self, worker: int, handle: Handle, *, ordered: bool) -> None:
        """Make a callback ready; what comes after it in this step waits for it, if it is so."""
        self._handles[worker] = handle
        self.add(worker, handle._run)
        if ordered:
            self._ahead.append(worker)

    def begin(self) -> None:
        """Begin a step: what it makes ready comes in no order with what others did."""
        if self._ahead:
            self._ahead.clear()

    def take(self, worker: int) -> Step:
        """Return the next step of a worker, which is about to be made."""
        return self.steps.pop(worker)

    def end(self) -> None:
        """End a step: whoever waited for it is ready."""
        for worker, (ahead, step) in list(self._behind.items()):
            if not any(each in self.steps or each in self._behind for each in ahead):
                del self._behind[worker]
                self.steps[worker] = step
                self.on_able(worker)

    def able(self) -> list[int]:
        """Return the workers that can run, in ascending order."""
        if self._handles:
            self._drop_cancelled()
        if self._behind:
            self.end()
        steps = self.steps
        return sorted(steps) if len(steps) > 1 else list(steps)

    def _drop_cancelled(self) -> None:
        for worker, handle in list(self._handles.items()):
            if not handle._cancelled:
                if worker not in self.steps and worker not in self._behind:
                    del self._handles[worker]
                continue
            del self._handles[worker]
            self._behind.pop(worker, None)
            if self.steps.pop(worker, None) is not None:
                self.on_unable(worker)


def nothing(*_: object) -> None:
    """Ignore that a worker came, or became able."""
