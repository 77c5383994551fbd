"""The model of a schedule: what the solver may choose, and which rules bind it.

Residents get a template or nothing in each block, faculty are there or not. Rules bind; cover is
wanted: a place that stays empty costs more than any unfairness, so there is always a schedule, and
it says what it lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, product

from ortools.sat.python.cp_model import CpModel, IntVar

from residency.domain.greedy import (
    DAY,
    MONTH,
    QUARTERS,
    WORK_DAYS,
    Filled,
    HalfDay,
    Need,
    Worker,
    fill,
    halves,
    most_halves,
    span,
)

EMPTY = 1000
"""What an empty place costs, in half-hours of unfairness."""

Key = tuple[int, int, int]
"""Block, person, template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What has to be planned."""

    blocks: Sequence[HalfDay]
    needs: Sequence[Need]
    workers: Sequence[Worker]

    @property
    def residents(self) -> list[Worker]:
        """Those who cover places."""
        return [one for one in self.workers if one.year is not None]

    @property
    def faculty(self) -> list[Worker]:
        """Those who supervise."""
        return [one for one in self.workers if one.year is None]


class Model:
    """The variables and constraints of one problem."""

    def __init__(self, problem: Problem) -> None:
        """Build the model, with a schedule to begin from."""
        self.problem = problem
        self.model = CpModel()
        self._halves = {need.template_id: halves(need.hours) for need in problem.needs}
        self.places: dict[Key, IntVar] = {}
        self.present: dict[tuple[int, int], IntVar] = {}
        self.empty: dict[tuple[int, Need], IntVar] = {}
        self._work: dict[tuple[int, int], IntVar] = {}
        self._days: list[list[int]] = [[] for _ in range(span(problem.blocks))]
        self._first_day = problem.blocks[0].day if problem.blocks else date.min
        for block in problem.blocks:
            self._days[(block.day - self._first_day).days].append(block.id)
        self._choose()
        self._cover()
        self._supervise()
        self._rest()
        self._share()
        self._begin_from(fill(problem.blocks, problem.needs, problem.workers))

    def _choose(self) -> None:
        """Give each resident at most one template in each block, on days when they are there."""
        new = self.model.new_bool_var
        wanted = [need for need in self.problem.needs if need.residents]
        for block, one in product(self.problem.blocks, self.problem.residents):
            if block.day in one.absent:
                continue
            keys = [(block.id, one.id, need.template_id) for need in wanted]
            self.places.update((key, new("")) for key in keys)
            self.model.add_at_most_one(self.places[key] for key in keys)
        for block, one in product(self.problem.blocks, self.problem.faculty):
            if block.day not in one.absent:
                self.present[block.id, one.id] = new("")

    def _cover(self) -> None:
        for block, need in product(self.problem.blocks, self.problem.needs):
            if not need.residents:
                continue
            there = [
                self.places[key]
                for one in self.problem.residents
                if (key := (block.id, one.id, need.template_id)) in self.places
            ]
            short = self.model.new_int_var(0, need.residents, "")
            self.model.add(sum(there) + short == need.residents)
            self.empty[block.id, need] = short

    def _supervise(self) -> None:
        """Count in quarters of a member of the faculty, as the rule does."""
        for block in self.problem.blocks:
            taken = [
                need.quarters(one) * self.places[key]
                for one, need in product(self.problem.residents, self.problem.needs)
                if (key := (block.id, one.id, need.template_id)) in self.places
            ]
            given = [
                QUARTERS * self.present[block.id, one.id]
                for one in self.problem.faculty
                if (block.id, one.id) in self.present
            ]
            self.model.add(sum(taken) <= sum(given))

    def _rest(self) -> None:
        """Keep one day in seven free for everybody."""
        for one in self.problem.workers:
            for day, blocks in enumerate(self._days):
                chosen = [var for block in blocks for var in self._of(one, block)]
                works = self._work[one.id, day] = self.model.new_bool_var("")
                for var in chosen:
                    self.model.add_implication(var, works)
            days = range(len(self._days) - WORK_DAYS)
            for first in days:
                window = [self._work[one.id, first + step] for step in range(WORK_DAYS + 1)]
                self.model.add(sum(window) <= WORK_DAYS)
            for inside, outside in self._across(one, WORK_DAYS + 1):
                worked = sum(map(bool, outside))
                self.model.add(sum(self._work[one.id, day] for day in inside) <= WORK_DAYS - worked)

    def _across(self, one: Worker, length: int) -> Iterator[tuple[range, list[int]]]:
        """Yield the planned days and the half-hours of others of each so many days with both."""
        if not (one.worked and self._days):
            return
        days = len(self._days)
        for first in range(1 - length, days):
            last = first + length
            inside = range(max(first, 0), min(last, days))
            around = [*range(first, min(last, 0)), *range(max(first, days), last)]
            outside = [one.worked.get(self._first_day + DAY * day, 0) for day in around]
            if any(outside):
                yield inside, outside

    def _of(self, one: Worker, block: int) -> Iterator[IntVar]:
        """Yield what somebody may do in a block."""
        if one.year is None:
            if (block, one.id) in self.present:
                yield self.present[block, one.id]
            return
        for need in self.problem.needs:
            if (key := (block, one.id, need.template_id)) in self.places:
                yield self.places[key]

    def _share(self) -> None:
        """Keep to eighty hours a week, and make the busiest resident's hours few."""
        days = len(self._days)
        window = min(days, MONTH)
        most = most_halves(window)
        busiest = self._busiest = self.model.new_int_var(0, most * max(1, days), "busiest")
        for one in self.problem.residents:
            by_day = [
                [
                    self._halves[need.template_id] * self.places[key]
                    for block in blocks
                    for need in self.problem.needs
                    if (key := (block, one.id, need.template_id)) in self.places
                ]
                for blocks in self._days
            ]
            for first in range(days - window + 1):
                self.model.add(sum(chain.from_iterable(by_day[first : first + window])) <= most)
            for inside, outside in self._across(one, MONTH):
                left = max(0, most_halves(MONTH) - sum(outside))
                self.model.add(sum(chain.from_iterable(by_day[day] for day in inside)) <= left)
            self.model.add(sum(chain.from_iterable(by_day)) <= busiest)
        guards = sum(self.present.values())
        self.model.minimize(EMPTY * sum(self.empty.values()) + 10 * busiest + guards)

    def _begin_from(self, filled: Filled) -> None:
        """Let the search begin from the greedy schedule, every variable of it."""
        chosen = set(filled.places)
        there = {(block, person) for block, person, _ in chosen}
        covered = Counter((block, template) for block, _, template in chosen & self.places.keys())
        for key, var in self.places.items():
            self.model.add_hint(var, key in chosen)
        for pair, var in self.present.items():
            self.model.add_hint(var, pair in there)
        for (block, need), short in self.empty.items():
            self.model.add_hint(short, need.residents - covered[block, need.template_id])
        for (person, day), works in self._work.items():
            is_there = any((block, person) in there for block in self._days[day])
            self.model.add_hint(works, is_there)
        work: Counter[int] = Counter()
        for _, person, template in chosen & self.places.keys():
            work[person] += self._halves[template]
        self.model.add_hint(self._busiest, max(work.values(), default=0))
