"""Error budgets: how many calls may fail, how many did, and what is left."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.figures import format_count
from pytest_concurrency.slo.verdicts import Verdict

__tracebackhide__ = is_on_purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """The calls that an objective allows to be bad.

    >>> budget = ErrorBudget(calls=10_000, allowed=10.0, spent=4)
    >>> budget.left, budget.burn_rate
    (6.0, 0.4)

    Attributes:
        calls: How many calls there were.
        allowed: How many of them may be bad.
        spent: How many were.
    """

    calls: int
    allowed: float
    spent: float

    @property
    def left(self) -> float:
        """How many more may be bad; below zero once the budget is overdrawn."""
        return self.allowed - self.spent

    @property
    def burn_rate(self) -> float:
        """How many times faster than allowed the budget is spent."""
        if not self.allowed:
            return float("inf") if self.spent else 0.0
        return self.spent / self.allowed

    def __str__(self) -> str:
        """Say what is allowed, spent and left."""
        left = f"{format_count(round(self.left, 1))} left"
        if self.left < 0:
            left = f"overdrawn by {format_count(round(-self.left, 1))}"
        return (
            f"error budget: {format_count(round(self.allowed, 1))} of "
            f"{format_count(self.calls)} calls allowed, {format_count(round(self.spent))} spent, "
            f"{left} (burn rate {self.burn_rate:.3g})"
        )


def error_budget(verdict: Verdict) -> ErrorBudget:
    """Return the budget behind a verdict about a rate or a quantile.

    A quantile has one too: a p95 allows 5 % of the calls to be over its limit.

    Raises:
        UsageError: The objective allows no share of the calls to be bad.
    """
    objective, calls = verdict.objective, verdict.calls
    if objective.quantile is not None and verdict.beyond is not None:
        allowed, spent = 1 - objective.quantile, verdict.beyond
    elif objective.kind == "ratio" and objective.metric != "pool":
        value = verdict.interval.value
        allowed = objective.limit if objective.is_lower_better else 1 - objective.limit
        spent = value if objective.is_lower_better else 1 - value
    else:
        msg = (
            f"{str(objective)!r}: it has no error budget. "
            "Write a rate or a quantile, such as 'errors < 1%'."
        )
        raise UsageError(msg)
    allowed_calls = round(allowed * calls, 6)
    return ErrorBudget(calls=calls, allowed=allowed_calls, spent=round(spent * calls, 6))
