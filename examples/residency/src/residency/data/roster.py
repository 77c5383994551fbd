"""Synthetic rosters: people, templates, blocks and who works when, by arithmetic from a seed.

Each block has as many assignments as there are residents: three quarters of them are residents at
work, the rest faculty. Days off go round, so that nobody works for more than six days in a row,
and residents of year 1 are sent to conferences first, so that there are always enough faculty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from random import Random

FIRST_DAY = date(2026, 1, 5)
"""A Monday."""
HALVES = ("AM", "PM")
YEAR_SHARES = {1: 0.40, 2: 0.35, 3: 0.25}
FACULTY_SHARE = 0.3
RESIDENTS_AT_WORK = 0.75
THIN = 0.05
"""The share of blocks in which intensive care has nobody to spare."""

FIRST_NAMES = (  # noqa: SIM905 - forty lines otherwise
    "Ada Aldo Amal Anna Bela Bram Cleo Dana Davi Edda Elif Emil Enzo Fadi Faye Gita Hana Hugo "
    "Ines Ivan Jana Joel Juno Kai Kira Lena Luca Maya Milo Nadia Nils Olga Omar Pia Rami Rosa "
    "Sami Tara Uma Yuri"
).split()
LAST_NAMES = (  # noqa: SIM905 - forty lines otherwise
    "Abel Adler Baker Banda Bauer Chen Cohen Costa Diaz Dunn Eriksen Farah Fox Gupta Haas "
    "Hall Ibarra Ito Jensen Kaya Khan Kim Lang Lopez Meyer Mori Nkosi Novak Okafor Patel "
    "Quinn Reyes Rossi Sato Silva Singh Tran Weber Wolf Zhou"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a roster is."""

    residents: int
    weeks: int
    seed: int = 0

    @property
    def faculty(self) -> int:
        """How many faculty there are."""
        return round(FACULTY_SHARE * self.residents)

    @property
    def assignments(self) -> int:
        """How many assignments there are: in each block as many as residents."""
        return self.residents * self.weeks * 14

    @property
    def last_day(self) -> date:
        """The last day with blocks."""
        return FIRST_DAY + timedelta(weeks=self.weeks, days=-1)


SMALL = Size(residents=25, weeks=2)
"""700 assignments."""
MEDIUM = Size(residents=50, weeks=4)
"""2,800 assignments."""
LARGE = Size(residents=100, weeks=4)
"""5,600 assignments."""
HUGE = Size(residents=100, weeks=12)
"""16,800 assignments."""
VAST = Size(residents=1000, weeks=12)
"""168,000 assignments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What residents do, and what share of those at work does it."""

    name: str
    hours: float
    share: float
    reserve: int
    is_supervised: bool = True


ACTIVITIES = (
    Activity(name="Ward", hours=6.0, share=0.28, reserve=2),
    Activity(name="Clinic", hours=5.0, share=0.24, reserve=2),
    Activity(name="Emergency", hours=6.0, share=0.18, reserve=2),
    Activity(name="Surgery", hours=6.5, share=0.14, reserve=2),
    Activity(name="Intensive care", hours=6.0, share=0.08, reserve=1),
    Activity(name="Conference", hours=4.0, share=0.0, reserve=0, is_supervised=False),
)
INTENSIVE_CARE, CONFERENCE = 4, 5

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The rows of each table."""

    people: list[Row]
    templates: list[Row]
    blocks: list[Row]
    assignments: list[Row]


def make_roster(size: Size) -> Roster:
    """Make the roster of a size; the same size makes the same roster, everywhere."""
    return Roster(
        people=make_people(size),
        templates=make_templates(size),
        blocks=make_blocks(size.weeks),
        assignments=list(make_assignments(size)),
    )


def make_people(size: Size) -> list[Row]:
    """Make residents, their years spread evenly, and then faculty."""
    names = [f"Dr. {first} {last}" for first, last in product(FIRST_NAMES, LAST_NAMES)]
    Random(size.seed).shuffle(names)  # noqa: S311 - the same for a seed
    years: list[int | None] = [*years_of(size.residents), *[None] * size.faculty]
    return [
        {
            "id": number,
            "name": names[number % len(names)],
            "role": "faculty" if year is None else "resident",
            "year": year,
        }
        for number, year in enumerate(years, start=1)
    ]


def years_of(residents: int) -> list[int]:
    """Return the year of each resident, such that any few in a row have the right mixture.

    >>> years = years_of(100)
    >>> [years.count(year) for year in (1, 2, 3)]
    [40, 35, 25]
    """
    places: list[tuple[float, int]] = []
    for year, share in YEAR_SHARES.items():
        count = round(share * residents)
        if year == max(YEAR_SHARES):
            count = residents - len(places)
        places += [((index + 0.5) / count, year) for index in range(count)]
    return [year for _, year in sorted(places)]


def make_templates(size: Size) -> list[Row]:
    """Make the templates; each needs a little less than it gets."""
    return [
        {
            "id": number,
            "name": activity.name,
            "hours": activity.hours,
            "needs_residents": count - activity.reserve if activity.share else 0,
            "is_supervised": activity.is_supervised,
        }
        for number, (activity, count) in enumerate(
            zip(ACTIVITIES, _counts(size), strict=True), start=1
        )
    ]


def make_blocks(weeks: int) -> list[Row]:
    """Make two blocks for each day."""
    days = [FIRST_DAY + timedelta(days=number) for number in range(weeks * 7)]
    return [
        {"id": number, "day": day, "half": half}
        for number, (day, half) in enumerate(product(days, HALVES), start=1)
    ]


def make_assignments(size: Size) -> Iterator[Row]:
    """Yield who does what, block by block."""
    random = Random(size.seed + 1)  # noqa: S311 - the same for a seed
    years = years_of(size.residents)
    counts = _counts(size)
    number = 0
    for block in range(size.weeks * 14):
        day = block // 2
        residents = at_work(size.residents, sum(counts), day)
        faculty = at_work(size.faculty, size.residents - sum(counts), day)
        is_thin = random.random() < THIN
        activities = _activities(residents, years, counts, block, is_thin=is_thin)
        pairs = [*zip(residents, activities, strict=True)]
        pairs += [
            (size.residents + person, index % CONFERENCE) for index, person in enumerate(faculty)
        ]
        for person, activity in pairs:
            number += 1
            yield {
                "id": number,
                "block_id": block + 1,
                "person_id": person + 1,
                "template_id": activity + 1,
            }


def at_work(people: int, working: int, day: int) -> list[int]:
    """Return who works on a day: those who are off are neighbours, the next ones the day after.

    >>> at_work(6, 4, day=0), at_work(6, 4, day=1)
    ([2, 3, 4, 5], [0, 1, 4, 5])
    """
    off = people - working
    free = {(day * off + step) % people for step in range(off)}
    return [person for person in range(people) if person not in free]


def _counts(size: Size) -> list[int]:
    """Return how many residents do each activity in a block; conferences take the rest."""
    working = round(RESIDENTS_AT_WORK * size.residents)
    counts = [
        max(activity.reserve + 1, int(activity.share * working))
        for activity in ACTIVITIES[:CONFERENCE]
    ]
    return [*counts, working - sum(counts)]


def _activities(
    residents: list[int], years: list[int], counts: list[int], block: int, *, is_thin: bool
) -> list[int]:
    """Return the activity of each resident at work in a block."""
    turn = block // 2 * 7
    by_turn = sorted(
        range(len(residents)),
        key=lambda at: (years[residents[at]] != 1, (residents[at] + turn) % len(years)),
    )
    chosen = set(by_turn[: counts[CONFERENCE]])
    wanted = [activity for activity, count in enumerate(counts[:CONFERENCE]) for _ in range(count)]
    if is_thin:
        wanted[wanted.index(INTENSIVE_CARE)] = 0
    shift = turn % len(wanted)
    others = iter(wanted[shift:] + wanted[:shift])
    return [CONFERENCE if at in chosen else next(others) for at in range(len(residents))]
