"""The planner: reads what has to be planned, lets CP-SAT search, and says how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Any

from ortools.sat.python.cp_model import FEASIBLE, OPTIMAL, CpSolver
from sqlalchemy.orm import Session

from residency.services.fallback import read_problem
from residency.services.generation import Draft, Place, Planner
from residency.solver.model import Model, Problem
from residency.solver.progress import Progress, effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to search, and how.

    Attributes:
        seconds: The longest to search; reading and writing come on top.
        workers: In how many threads; 0 for one on each processor.
        seed: Of the search.
        gap: How far from the best possible is good enough.
        work: The most work to do, in the solver's own units, which no busy machine changes. One
            worker that stops there finds the same schedule every time.
    """

    seconds: float
    workers: int = 0
    seed: int = 0
    gap: float = 0.01
    work: float = float("inf")


def make_planner(limits: Limits) -> Planner:
    """Return a planner that searches within limits."""

    def plan(session: Session, first_day: date, last_day: date) -> Draft:
        blocks, needs, people = read_problem(session, first_day=first_day, last_day=last_day)
        begun = perf_counter()
        model = Model(Problem(blocks=blocks, needs=needs, workers=people))
        modelled = perf_counter() - begun
        solver, found = _search(model, limits)
        statistics = {
            "planner": "cp-sat",
            **found,
            "modelling_seconds": round(modelled, 4),
            "empty": sum(solver.value(short) for short in model.empty.values()),
        }
        return Draft(places=_places(model, solver), statistics=statistics)

    return plan


def _search(model: Model, limits: Limits) -> tuple[CpSolver, dict[str, Any]]:
    """Search, and return what knows the best schedule: at worst the one that it began from."""
    solver, progress = CpSolver(), Progress()
    solver.parameters.max_time_in_seconds = limits.seconds
    solver.parameters.max_deterministic_time = limits.work
    solver.parameters.num_workers = limits.workers
    solver.parameters.random_seed = limits.seed
    solver.parameters.relative_gap_limit = limits.gap
    # Breaking symmetries would rule out the schedule that the search begins from.
    solver.parameters.symmetry_level = 0
    begun = perf_counter()
    solver.best_bound_callback = lambda bound: progress.on_bound(perf_counter() - begun, bound)
    status = solver.solve(model.model, progress)
    found = effort(solver)
    if status not in (OPTIMAL, FEASIBLE):
        solver = CpSolver()
        solver.parameters.fix_variables_to_their_hinted_value = True
        if solver.solve(model.model, progress) not in (OPTIMAL, FEASIBLE):
            message = "the schedule that the search began from breaks a rule"
            raise RuntimeError(message)
        found["objective"] = solver.objective_value
    return solver, {
        "status": status.name,
        **found,
        "quality": progress.points,
        "bounds": progress.bounds,
    }


def _places(model: Model, solver: CpSolver) -> list[Place]:
    """Read the schedule; faculty get the supervised templates in turn."""
    found = [
        Place(block_id=block, person_id=person, template_id=template)
        for (block, person, template), var in model.places.items()
        if solver.boolean_value(var)
    ]
    kinds = [need.template_id for need in model.problem.needs if need.is_supervised]
    there = [pair for pair, var in model.present.items() if solver.boolean_value(var)]
    found += [
        Place(block_id=block, person_id=person, template_id=kinds[index % len(kinds)])
        for index, (block, person) in enumerate(there)
        if kinds
    ]
    return found
