"""A schedule without a solver: whoever has worked least does what is needed next.

It keeps every rule, and leaves a place empty rather than break one, so that a search can begin
from it. Hours are counted in halves, rounded up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import ceil

from residency.domain.supervision import RESIDENTS_PER_FACULTY

ROTA = 7
"""Days off go round: a seventh of the people is free on each day, whoever else is missing."""
MOST_HOURS = 80
WEEKS = 4
MONTH = WEEKS * 7
DAY = timedelta(days=1)
WORK_DAYS = 6
"""The most of seven days in a row."""
QUARTERS = 4
"""What one member of the faculty gives; a resident takes some."""


def halves(hours: float) -> int:
    """Return so many hours in half-hours, rounded up.

    >>> halves(6.5), halves(6.6)
    (13, 14)
    """
    return ceil(2 * hours)


def most_halves(days: int) -> int:
    """Return how many half-hours may be worked in so many days, of which a few are a week.

    >>> most_halves(28), most_halves(3)
    (640, 160)
    """
    return 2 * MOST_HOURS * max(7, days) // 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Somebody who can be assigned; faculty have no year."""

    id: int
    year: int | None
    absent: Container[date] = ()
    worked: Mapping[date, int] = field(default_factory=dict, hash=False)
    """Half-hours on the days before and after those that are planned, which they may break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What has to be covered in each block."""

    template_id: int
    residents: int
    hours: float
    is_supervised: bool

    def quarters(self, worker: Worker) -> int:
        """Return how much supervision a resident takes who does this."""
        if worker.year is None or not self.is_supervised:
            return 0
        return QUARTERS // RESIDENTS_PER_FACULTY[worker.year]


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


def span(blocks: Sequence[HalfDay]) -> int:
    """Return how many days there are from the first block to the last, free ones counted."""
    return (blocks[-1].day - blocks[0].day).days + 1 if blocks else 0


def fill(blocks: Sequence[HalfDay], needs: Sequence[Need], workers: Sequence[Worker]) -> Filled:
    """Fill what is needed in each block, in order, and give it the faculty that it needs."""
    filled = Filled()
    load = _Load(workers, days=span(blocks))
    residents = [one for one in workers if one.year is not None]
    faculty = [one for one in workers if one.year is None]
    for block in blocks:
        free = load.rested(residents, block.day)
        guards = load.rested(faculty, block.day)
        given = QUARTERS * len(guards)
        left = given
        for need in sorted(needs, key=lambda one: -one.residents):
            chosen = _take(load, free, need, block.day, left)
            left -= sum(need.quarters(one) for one in chosen)
            filled.wanted += need.residents
            filled.empty += need.residents - len(chosen)
            filled.places += [(block.id, one.id, need.template_id) for one in chosen]
        kinds = [need for need in needs if need.is_supervised]
        _supervise(filled, load, block, kinds=kinds, guards=guards, quarters=given - left)
    return filled


def _supervise(
    filled: Filled,
    load: _Load,
    block: HalfDay,
    *,
    kinds: Sequence[Need],
    guards: Sequence[Worker],
    quarters: int,
) -> None:
    """Let those of the faculty who have worked least supervise, as many as are needed."""
    chosen = sorted(guards, key=load.least)[: ceil(quarters / QUARTERS)]
    filled.wanted += len(chosen)
    for index, one in enumerate(chosen):
        kind = kinds[index % len(kinds)]
        filled.places.append((block.id, one.id, kind.template_id))
        load.work(one, block.day, kind.hours)


def _take(load: _Load, free: list[Worker], need: Need, day: date, quarters: int) -> list[Worker]:
    """Take those who have worked least, as far as hours and supervision reach."""
    chosen: list[Worker] = []
    for one in sorted(free, key=load.least):
        if len(chosen) == need.residents:
            break
        if need.quarters(one) <= quarters and load.has_room(one, day, need.hours):
            quarters -= need.quarters(one)
            chosen.append(one)
            load.work(one, day, need.hours)
    taken = {one.id for one in chosen}
    free[:] = [one for one in free if one.id not in taken]
    return chosen


class _Load:
    """What everybody has done so far, and whose turn it is to be free."""

    def __init__(self, workers: Sequence[Worker], *, days: int) -> None:
        self._window = min(days, WEEKS * 7)
        self._most = most_halves(self._window)
        self._halves: Counter[int] = Counter()
        self._by_day: defaultdict[int, Counter[date]] = defaultdict(Counter)
        self._all_days = {one.id: Counter(one.worked) for one in workers if one.worked}
        self._turn = {one.id: index % ROTA for index, one in enumerate(workers)}

    def rested(self, workers: Sequence[Worker], day: date) -> list[Worker]:
        """Return who may work on a day."""
        free = day.toordinal() % ROTA
        return [
            one
            for one in workers
            if day not in one.absent and self._turn[one.id] != free and self._may_go_on(one, day)
        ]

    def _may_go_on(self, one: Worker, day: date) -> bool:
        """Say whether a day of work joins no seven in a row, those before and after counted."""
        if not one.worked:
            return True
        days, begin, end = self._all_days[one.id], day, day
        while days[begin - DAY]:
            begin -= DAY
        while days[end + DAY]:
            end += DAY
        return (end - begin).days < WORK_DAYS

    def has_room(self, one: Worker, day: date, hours: float) -> bool:
        """Say whether somebody may work so many hours more in all weeks with a day."""
        if self._halves[one.id] + halves(hours) > self._most:
            begin = day - timedelta(days=self._window - 1)
            recent = sum(count for when, count in self._by_day[one.id].items() if when >= begin)
            if recent + halves(hours) > self._most:
                return False
        if not one.worked:
            return True
        near = [self._all_days[one.id][day + DAY * step] for step in range(1 - MONTH, MONTH)]
        fullest = max(sum(near[first : first + MONTH]) for first in range(MONTH))
        return fullest + halves(hours) <= most_halves(MONTH)

    def least(self, one: Worker) -> tuple[int, int]:
        return self._halves[one.id], one.id

    def work(self, one: Worker, day: date, hours: float) -> None:
        self._halves[one.id] += halves(hours)
        self._by_day[one.id][day] += halves(hours)
        if one.worked:
            self._all_days[one.id][day] += halves(hours)
