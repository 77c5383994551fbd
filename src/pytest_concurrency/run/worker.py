"""A worker: one of the callers that are released together."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import final


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

    __slots__ = ("_random", "_room", "_tmp_path", "index", "name", "round", "seed")

    def __init__(self, *, index: int, seed: int, room: Path | None = None) -> None:
        """Make a worker.

        Args:
            index: Its number.
            seed: The run's seed, from which its own generator is derived.
            room: Where its temporary directory is made; the system's own place if not given.
        """
        self.index = index
        self.name = f"worker {index}"
        self.round = 0
        self.seed = seed
        self._room = room
        self._random: Random | None = None
        self._tmp_path: Path | None = None

    @property
    def random(self) -> Random:
        """Its own generator: the same numbers for the same seed, whatever the others draw."""
        if self._random is None:
            self._random = Random(f"{self.seed}:{self.index}")  # noqa: S311 - not for secrets
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
                from tempfile import mkdtemp

                self._tmp_path = Path(mkdtemp(prefix=f"worker-{self.index}-"))
            else:
                self._tmp_path = self._room / f"worker-{self.index}"
                self._tmp_path.mkdir(parents=True, exist_ok=True)
        return self._tmp_path

    @property
    def litter(self) -> Path | None:
        """The directory that nobody else will remove, if one was made."""
        return self._tmp_path if self._room is None else None

    def __repr__(self) -> str:
        return f"Worker(index={self.index}, seed={self.seed})"
