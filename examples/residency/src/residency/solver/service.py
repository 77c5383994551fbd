"""The solver as the service has it: loaded when it is first used, guarded where it fails."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from residency.services.generation import Draft, Planner
from residency.services.resilience import Breaker, guarded


def service_planner(*, seconds: float) -> Planner:
    """Return the constraint solver, and the fallback's rule while that keeps failing.

    Args:
        seconds: The longest to search.
    """

    def plan(session: Session, first_day: date, last_day: date) -> Draft:
        from residency.solver.planner import Limits, make_planner

        planner = make_planner(Limits(seconds=seconds))
        return planner(session, first_day, last_day)

    return guarded(plan, Breaker("solver"))
