"""A schedule without a solver: whoever has worked least does what is needed next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil

from residency.domain.supervision import RESIDENTS_PER_FACULTY

ROTA = 7
"""Days off go round: a seventh of the people is free on each day, whoever else is missing."""
MOST_HOURS = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Somebody who can be assigned; faculty have no year."""

    id: int
    year: int | None
    absent: Container[date] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What has to be covered in each block."""

    template_id: int
    residents: int
    hours: float
    is_supervised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfDay:
    """One block."""

    id: int
    day: date


@dataclass(slots=True, kw_only=True)
class Filled:
    """Who does what, and how many places stayed empty."""

    places: list[tuple[int, int, int]] = field(default_factory=list)
    """Block, person, template."""
    wanted: int = 0
    empty: int = 0

    @property
    def share(self) -> float:
        """The share of places that are filled."""
        return 1 - self.empty / self.wanted if self.wanted else 1.0


def fill(blocks: Sequence[HalfDay], needs: Sequence[Need], workers: Sequence[Worker]) -> Filled:
    """Fill what is needed in each block, in order, and give it the faculty that it needs."""
    filled = Filled()
    load = _Load(workers, weeks=max(1.0, len({block.day for block in blocks}) / 7))
    residents = [one for one in workers if one.year is not None]
    faculty = [one for one in workers if one.year is None]
    for block in blocks:
        free = load.rested(residents, block.day)
        quarters = 0
        for need in sorted(needs, key=lambda one: -one.residents):
            chosen = _take(load, free, need.residents, need.hours)
            filled.wanted += need.residents
            filled.empty += need.residents - len(chosen)
            filled.places += [(block.id, one.id, need.template_id) for one in chosen]
            for one in chosen:
                load.work(one, need.hours)
                if need.is_supervised and one.year is not None:
                    quarters += 4 // RESIDENTS_PER_FACULTY[one.year]
        there = load.rested(faculty, block.day)
        _supervise(filled, load, block, needs=needs, free=there, quarters=quarters)
    return filled


def _supervise(
    filled: Filled,
    load: _Load,
    block: HalfDay,
    *,
    needs: Sequence[Need],
    free: list[Worker],
    quarters: int,
) -> None:
    kinds = [need for need in needs if need.is_supervised]
    wanted = ceil(quarters / 4)
    if not wanted or not kinds:
        return
    chosen = _take(load, free, wanted, 0.0)
    filled.wanted += wanted
    filled.empty += wanted - len(chosen)
    for index, one in enumerate(chosen):
        kind = kinds[index % len(kinds)]
        filled.places.append((block.id, one.id, kind.template_id))
        load.work(one, kind.hours)


def _take(load: _Load, free: list[Worker], count: int, hours: float) -> list[Worker]:
    """Take those who have worked least."""
    fit = [one for one in free if one.year is None or load.has_room(one, hours)]
    chosen = sorted(fit, key=load.least)[:count]
    taken = {one.id for one in chosen}
    free[:] = [one for one in free if one.id not in taken]
    return chosen


class _Load:
    """What everybody has done so far, and whose turn it is to be free."""

    def __init__(self, workers: Sequence[Worker], *, weeks: float) -> None:
        self._most = MOST_HOURS * weeks
        self._hours: defaultdict[int, float] = defaultdict(float)
        self._turn = {one.id: index % ROTA for index, one in enumerate(workers)}

    def rested(self, workers: Sequence[Worker], day: date) -> list[Worker]:
        """Return who may work on a day."""
        free = day.toordinal() % ROTA
        return [one for one in workers if day not in one.absent and self._turn[one.id] != free]

    def has_room(self, one: Worker, hours: float) -> bool:
        return self._hours[one.id] + hours <= self._most

    def least(self, one: Worker) -> tuple[float, int]:
        return self._hours[one.id], one.id

    def work(self, one: Worker, hours: float) -> None:
        self._hours[one.id] += hours
