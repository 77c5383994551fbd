"""A worker: one of the callers that are released together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import final

from pytest_concurrency.errors import UsageError


@final
class Worker:
    """One caller, handed to every call that has a parameter named ``worker``.

    Attributes:
        index: Its number, from 0.
        name: Its name, ``worker 3``; its thread or task carries it.
        round: The round that is running, from 0.

    >>> Worker(index=3, seed=7).random.random() == Worker(index=3, seed=7).random.random()
    True
    """

    __slots__ = ("_random", "_room", "_tmp_path", "index", "name", "round", "seed", "title")

    def __init__(
        self, *, index: int, seed: int, title: str = "", room: Callable[[], Path] | None = None
    ) -> None:
        """Make a worker.

        Args:
            index: Its number.
            seed: The run's seed, from which its own generator is derived.
            title: What it works for; the generators of two tests differ.
            room: Makes the place for its temporary directory; the system's own if not given.
        """
        self.index: int = index
        self.name: str = f"worker {index}"
        self.round: int = 0
        self.seed: int = seed
        self.title: str = title
        self._room = room
        self._random: Random | None = None
        self._tmp_path: Path | None = None

    @property
    def random(self) -> Random:
        """Its own generator, with the same numbers for the same seed whatever the others draw."""
        if self._random is None:
            self._random = Random(f"{self.seed}:{self.title}:{self.index}")  # noqa: S311 - not for secrets
        return self._random

    @property
    def has_drawn(self) -> bool:
        """Whether its generator was used, so that a failure depends on the seed."""
        return self._random is not None

    @property
    def tmp_path(self) -> Path:
        """A directory of its own, made on first use and removed as the test's own are."""
        if self._tmp_path is None:
            if self._room is None:
                msg = f"{self!r} was made by hand, without a place for directories."
                raise UsageError(msg)
            self._tmp_path = self._room() / f"worker-{self.index}"
            self._tmp_path.mkdir(parents=True, exist_ok=True)
        return self._tmp_path

    def __repr__(self) -> str:
        return f"Worker(index={self.index}, seed={self.seed})"
