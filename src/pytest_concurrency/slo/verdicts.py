"""Verdicts: met, missed or undecided, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pytest_concurrency.slo.intervals import Interval
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.objectives import Objective

State = Literal["met", "missed", "undecided"]

ERROR: Final = 0.05
"""How often a verdict of met may be wrong, and how often one of missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How often each of the two verdicts may be wrong.

    Attributes:
        met: How often the verdict met may be wrong; 0 when it is not asked for now.
        missed: How often the verdict missed may be wrong; 0 when it is not asked for now.
    """

    met: float = ERROR
    missed: float = ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowest:
    """The slowest call.

    Attributes:
        ns: How long it took by the wall clock.
        position: Which one it was, from 0.
        waited_ns: How much of it was spent waiting for a processor.
        where: What else is known about it.
    """

    ns: int
    position: int
    waited_ns: int = 0
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the evidence says about an objective.

    Attributes:
        objective: What was to hold.
        state: Whether it does.
        interval: The figure with its bounds.
        calls: How many calls or samples it rests on.
        confidence: The probability with which each bound holds.
        needed: How many calls would be the fewest to meet it, if there were too few.
        beyond: The share of the calls that were over the limit, for a quantile.
        wall: The figure by the wall clock, if waits for a processor were taken out.
        slowest: The slowest call, for a latency.
        noise: What the machine did meanwhile.
        warm_up_ns: The slowest call that was set aside as warm-up.
        tier: The tier of the named SLO that the objective belongs to.
        slo: The name of that SLO.
    """

    objective: Objective
    state: State
    interval: Interval
    calls: int
    confidence: float = 1 - ERROR
    needed: int | None = None
    beyond: float | None = None
    wall: float | None = None
    slowest: Slowest | None = None
    noise: Noise | None = None
    warm_up_ns: int | None = None
    tier: str = ""
    slo: str = ""

    def __bool__(self) -> bool:
        """Return whether the objective is met.

        Raises:
            TypeError: It is undecided, which is neither.
        """
        if self.state == "undecided":
            msg = (
                f"{str(self.objective)!r} is undecided, which is neither true nor false. "
                "Read .state, or collect more samples."
            )
            raise TypeError(msg)
        return self.state == "met"
