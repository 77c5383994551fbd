"""Resilience: what may go wrong before a schedule does, over the plan between two dates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from circuitbreaker import STATE_HALF_OPEN, STATE_OPEN, CircuitBreaker  # type: ignore[import-untyped]
from sqlalchemy.orm import Session

from residency.domain.burnout import Spread, contacts, spread
from residency.domain.contingency import NOWHERE, QUARTERS, Cover, Gap, Loss
from residency.domain.defence import Defence, reserve_of
from residency.domain.hours import weekly_averages
from residency.domain.supervision import RESIDENTS_PER_FACULTY, faculty_needed
from residency.services.compliance import (
    Plan,
    read_plan,
    report_on,
    resident_hours,
    supervision_counts,
)
from residency.services.fallback import fallback_draft
from residency.services.generation import Draft, Planner

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contingency:
    """Who cannot be missing.

    Attributes:
        broken_already: What is broken with nobody missing.
        singles: People whose absence breaks blocks (N-1).
        pairs: Pairs who break blocks that neither of them breaks alone (N-2).
    """

    broken_already: tuple[Gap, ...]
    singles: tuple[Loss, ...]
    pairs: tuple[Loss, ...]


def contingency(session: Session, *, first_day: date, last_day: date) -> Contingency:
    """Try everybody, and all pairs, as missing from one day to another."""
    cover = cover_of(read_plan(session, first_day=first_day, last_day=last_day))
    return Contingency(
        broken_already=cover.broken_already,
        singles=tuple(cover.single_losses()),
        pairs=tuple(cover.pair_losses()),
    )


def cover_of(plan: Plan) -> Cover:
    """Lay a plan out by person and block."""
    shape = (len(plan.people), len(plan.blocks))
    years = plan.years
    is_resident = years[plan.person] > 0
    place = np.full(shape, NOWHERE, dtype=np.int64)
    place[plan.person[is_resident], plan.block[is_resident]] = plan.template[is_resident]
    weights = np.array(
        [-QUARTERS // RESIDENTS_PER_FACULTY[year] if year else QUARTERS for year in years.tolist()],
        dtype=np.int64,
    )
    counted = ~is_resident | plan.is_supervised
    quarters = np.zeros(shape, dtype=np.int64)
    quarters[plan.person[counted], plan.block[counted]] = weights[plan.person[counted]]
    spare = np.zeros((len(plan.templates), len(plan.blocks)), dtype=np.int64)
    np.add.at(spare, (plan.template[is_resident], plan.block[is_resident]), 1)
    spare -= np.array([one.needs_residents for one in plan.templates], dtype=np.int64)[:, None]
    return Cover(
        names=plan.names,
        blocks=[(one.day, one.half) for one in plan.blocks],
        templates=[one.name for one in plan.templates],
        place=place,
        quarters=quarters,
        spare=spare,
    )


def burnout(session: Session, *, first_day: date, last_day: date) -> Spread:
    """Work out how burnout spreads among those who work together."""
    plan = read_plan(session, first_day=first_day, last_day=last_day)
    activities = np.full((len(plan.people), len(plan.blocks)), NOWHERE, dtype=np.int64)
    activities[plan.person, plan.block] = plan.template
    if not plan.blocks:
        return spread(contacts(activities[:0]), np.zeros(0), [], observed_weeks=1)
    weeks = ((plan.blocks[-1].day - plan.blocks[0].day).days + 1) / 7
    hours = np.bincount(plan.person, weights=plan.hours, minlength=len(plan.people)) / weeks
    return spread(contacts(activities), hours, plan.names, observed_weeks=weeks)


def defence(session: Session, *, first_day: date, last_day: date) -> Defence:
    """Rate each layer of the defence of what is planned."""
    plan = read_plan(session, first_day=first_day, last_day=last_day)
    report = report_on(plan)
    people = {one.person for one in report.violations if one.person}
    residents, faculty = supervision_counts(plan)
    unsupervised = int((faculty < faculty_needed(residents)).sum())
    judged = int((plan.years > 0).sum()) + len(plan.blocks)
    averages = weekly_averages(resident_hours(plan))
    one, two = cover_of(plan).safe_shares()
    filled = fallback_draft(session, first_day=first_day, last_day=last_day)
    return Defence(
        prevention=1 - (len(people) + unsupervised) / judged if judged else 1.0,
        reserve=reserve_of(max(averages.ravel().tolist(), default=0.0)),
        one_missing=one,
        two_missing=two,
        fallback=float(filled.statistics["filled"]),
    )


class Breaker:
    """Stops asking what keeps failing, and lets one caller at a time find out whether it recovered.

    The counting is the library's. What it lacks is the one caller: once its time is up, it would
    let everybody through to something that may still be failing.
    """

    def __init__(self, name: str, *, failures: int = 3, recovery_seconds: float = 60.0) -> None:
        """Make a closed breaker.

        Args:
            name: What it guards.
            failures: So many in a row open it.
            recovery_seconds: How long it stays open before somebody tries again.
        """
        self._counts = CircuitBreaker(
            failure_threshold=failures, recovery_timeout=recovery_seconds, name=name
        )
        self._trying = threading.Lock()
        self._counting = threading.Lock()

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return str(self._counts.state)

    def call(self, function: Callable[[], T], *, otherwise: Callable[[], T]) -> T:
        """Call a function, or what is done otherwise if it fails or is not to be asked."""
        with self._admission() as admitted:
            if admitted != STATE_OPEN:
                try:
                    found = function()
                except Exception as error:  # noqa: BLE001 - whatever fails, it failed
                    self._note(error, admitted)
                else:
                    self._note(None, admitted)
                    return found
        return otherwise()

    @contextmanager
    def _admission(self) -> Iterator[str]:
        """Say in which state a caller goes on, which is open for those who do not.

        If half open, only the first one does.
        """
        state = self.state
        if state != STATE_HALF_OPEN:
            yield state
            return
        is_first = self._trying.acquire(blocking=False)
        try:
            yield self.state if is_first else STATE_OPEN
        finally:
            if is_first:
                self._trying.release()

    def _note(self, error: Exception | None, admitted: str) -> None:
        """Count how a call ended, unless it began before the breaker opened or closed."""
        with self._counting:
            if self.state == admitted:
                self._counts.__exit__(type(error) if error else None, error, None)


def guarded(planner: Planner, breaker: Breaker) -> Planner:
    """Return a planner that plans by the fallback's rule while the first one keeps failing."""

    def plan(session: Session, first_day: date, last_day: date) -> Draft:
        return breaker.call(
            lambda: planner(session, first_day, last_day),
            otherwise=lambda: fallback_draft(session, first_day=first_day, last_day=last_day),
        )

    return plan
