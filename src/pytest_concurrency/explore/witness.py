"""What the tasks of one play read and write, line by line, for its timeline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from types import SimpleNamespace
from typing import Self

from pytest_concurrency.explore.explanation import Explanation
from pytest_concurrency.explore.points import Decoder
from pytest_concurrency.explore.program import Touch, Trace
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.tracer import tracer
from pytest_concurrency.explore.workers import Worker


class Witness:
    """Watches one thread while tasks take turns on it; slow, so only plays that explain have one.

    Attributes:
        number: The worker whose step is running, if one is.
        ident: The thread.
        started: Always: each point is of interest.
        aborting: Never: a task is ended from outside.
        current: What the tracer remembers for the worker that runs.
        telling: Whether values are being shown: what a ``repr`` does is of no interest.
        workers: None: locks of threads that tasks hold are not told.
        polling: Set where a lock of threads is met, which tells a stage something.
    """

    def __init__(self, trace: Trace, scope: Scope) -> None:
        """Write events into a trace.

        Args:
            trace: Where to.
            scope: What is looked into.
        """
        self.number: int | None = None
        self.ident: int = threading.get_ident()
        self.started = 1
        self.aborting = False
        self.current: SimpleNamespace = SimpleNamespace(open=None, held={})
        self.telling = False
        self.workers: tuple[Worker, ...] = ()
        self.polling = False
        self._explanation = Explanation(trace, scope.has)
        self._tracer = tracer(scope, Decoder(scope))

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._tracer.open()
        self._tracer.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._tracer.leave()
        self._tracer.close()
        self._explanation.finish()

    def point(self, label: Hashable, touches: tuple[Touch, ...]) -> None:
        """Note what the running task is about to touch."""
        if self.number is None or self.telling:
            return
        self.telling = True
        try:
            self._explanation.watch(self, label, touches)  # type: ignore[arg-type]
        finally:
            self.telling = False

    def operate(
        self,
        label: Hashable,
        touches: tuple[Touch, ...],
        ready: Callable[[], bool] | None = None,
        **_: object,
    ) -> bool:
        """Note an operation of a lock of threads, which is made at once or blocks the loop."""
        self.point(label, touches)
        return ready is None or ready()
