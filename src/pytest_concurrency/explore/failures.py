"""What an exploration can find, as exceptions."""

from __future__ import annotations

from pytest_concurrency.errors import BrokenPromise


class Deadlock(BrokenPromise):
    """Workers wait for each other, or for something that nobody will ever do."""

    __module__ = "pytest_concurrency"


class Hang(BrokenPromise):
    """A worker went on without end, or waited where it cannot be controlled."""

    __module__ = "pytest_concurrency"


class NothingExplored(BrokenPromise):
    """There was nothing to explore, so a pass would promise nothing."""

    __module__ = "pytest_concurrency"


class NotDeterministic(BrokenPromise):
    """The same schedule went two ways, so no schedule can be replayed."""

    __module__ = "pytest_concurrency"
