"""Blocks of a test's own loop, in turn with those of the same loop at another revision."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from time import perf_counter_ns
from typing import IO, Final

from pytest_concurrency.slo.deciding import share_of_look
from pytest_concurrency.slo.intervals import fewest_samples
from pytest_concurrency.slo.pairs import ORDERS, Comparison, Ratios
from pytest_concurrency.slo.quantities import duration_ns
from pytest_concurrency.slo.rivals import Rival, RivalEnded

_ERROR: Final = 0.01

FEWEST_CALLS: Final = 2 * fewest_samples(0.5, _ERROR * share_of_look(0)) + 1
"""How many calls a loop makes at least for its comparison to be decided: one, then pairs of two."""


class RacingBlocks:
    """Has a rival make a call before or after each block, until the claim is decided.

    The first block warms up. The rival starts with the second, so that a test with a single one
    starts nothing.
    """

    def __init__(
        self,
        start: Callable[[], Rival | None],
        claim: str = "new <= 1.10x old",
        *,
        seconds: float | str = 10.0,
    ) -> None:
        """Race later.

        Args:
            start: Starts the same test at the other revision, and has it make a first call;
                returns None if it is not there.
            claim: What must hold of new, which is here, and old.
            seconds: The longest to go on.
        """
        self._start = start
        self._rival: Rival | None = None
        self._ratios = Ratios(claim, error=_ERROR)
        self._budget_ns = duration_ns(seconds, where="--slo-against")
        self._draw = Random(0)  # noqa: S311 - an order, not a secret
        self._order = self._draw.choice(ORDERS)
        self._new_ns: list[float] = []
        self._old_ns: list[float] = []
        self._began_ns = 0
        self._has_ended = False
        self.blocks: int = 0

    def before(self) -> None:
        """Let the rival go first if it is its turn."""
        self.blocks += 1
        if self.blocks > 1 and not self._has_ended:
            if self._rival is None:
                self._begin()
            elif not self._new_ns:
                self._order = self._draw.choice(ORDERS)
            if self._is_rival_first:
                self._take()

    def after(self, own_ns: int) -> None:
        """Let the rival go second if it did not go first, and look at what is known so far."""
        if self.blocks == 1 or self._has_ended:
            return
        if not self._is_rival_first:
            self._take()
        self._new_ns.append(own_ns)
        if len(self._new_ns) == len(self._old_ns) == len(ORDERS):
            self._ratios.add(self._new_ns, self._old_ns)
            self._new_ns, self._old_ns = [], []
            is_last = perf_counter_ns() - self._began_ns > self._budget_ns
            if self._ratios.look(is_last=is_last):
                self.close()

    def close(self) -> None:
        """Let the rival end."""
        self._has_ended = True
        if self._rival is not None:
            self._rival.close()

    def conclude(self) -> Comparison | None:
        """Return what was found, or None if there were too few blocks for that."""
        if not self._has_ended and self._ratios.pairs:
            self._ratios.look(is_last=True)
        self.close()
        return self._ratios.comparison() if self._ratios.pairs >= FEWEST_CALLS - 1 else None

    @property
    def _is_rival_first(self) -> bool:
        return self._order[2 * len(self._new_ns)]

    def _begin(self) -> None:
        self._rival = self._start()
        self._has_ended = self._rival is None
        self._began_ns = perf_counter_ns()

    def _take(self) -> None:
        if self._rival is None or self._has_ended:
            return
        try:
            self._old_ns += self._rival.take(1)
        except RivalEnded as error:
            self._has_ended = True
            if error.status:
                raise  # else its loop was the shorter one


class AnsweringBlocks:
    """Waits before each block to be asked for it, and tells how long it took.

    This is what a test's own loop does in the other interpreter.
    """

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        """Be asked and answer by text."""
        self._requests, self._answers = requests, answers
        self._asked = 0
        self._took: list[int] = []

    def before(self) -> None:
        """Wait for a request.

        Raises:
            SystemExit: There will be none: the other side has seen enough.
        """
        if len(self._took) < self._asked:
            return
        line = self._requests.readline()
        if not line:
            raise SystemExit(0)
        self._asked, self._took = json.loads(line)["take"], []

    def after(self, own_ns: int) -> None:
        """Answer once all calls asked for were made."""
        self._took.append(own_ns)
        if len(self._took) == self._asked:
            self._answers.write("\n" + json.dumps({"took": self._took}) + "\n")
            self._answers.flush()
