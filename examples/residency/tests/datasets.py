"""The synthetic datasets as fixtures, each built once in a run and fresh for every test."""

from __future__ import annotations

import pytest
from pytest_concurrency import dataset

from residency.data.datasets import filled, write
from residency.data.roster import (
    HUGE,
    LARGE,
    MEDIUM,
    SMALL,
    VAST,
    Roster,
    make_blocks,
    make_people,
    make_templates,
)


def part(**rows):
    """Return what fills a database with some of a roster's rows."""
    empty = {"people": [], "templates": [], "blocks": [], "assignments": []}
    return lambda session: write(session, Roster(**{**empty, **rows}))


PEOPLE = make_people(LARGE)
RESIDENTS = dataset("residents", part(people=[one for one in PEOPLE if one["year"]]))
FACULTY = dataset("faculty", part(people=[one for one in PEOPLE if not one["year"]]))
TEMPLATES = dataset("templates", part(templates=make_templates(LARGE)))
BLOCKS = dataset("blocks", part(blocks=make_blocks(4)))
SMALL_PLAN = dataset("700 assignments", filled(SMALL))
MEDIUM_PLAN = dataset("2800 assignments", filled(MEDIUM))
LARGE_PLAN = dataset("5600 assignments", filled(LARGE))
HUGE_PLAN = dataset("16800 assignments", filled(HUGE))
VAST_PLAN = dataset("168000 assignments", filled(VAST))


@pytest.fixture
def large_resident_dataset(large_dataset):
    """100 residents: 40 of year 1, 35 of year 2, 25 of year 3."""
    return large_dataset(RESIDENTS)


@pytest.fixture
def large_faculty_dataset(large_dataset):
    """30 faculty."""
    return large_dataset(FACULTY)


@pytest.fixture
def large_rotation_template(large_dataset):
    """The rotation templates of 100 residents."""
    return large_dataset(TEMPLATES)


@pytest.fixture
def four_week_blocks(large_dataset):
    """56 half-day blocks."""
    return large_dataset(BLOCKS)


@pytest.fixture
def small_dataset(large_dataset):
    """25 residents, two weeks, 700 assignments."""
    return large_dataset(SMALL_PLAN)


@pytest.fixture
def medium_dataset(large_dataset):
    """50 residents, four weeks, 2,800 assignments."""
    return large_dataset(MEDIUM_PLAN)


@pytest.fixture
def large_assignment_dataset(large_dataset):
    """100 residents, four weeks, 5,600 assignments."""
    return large_dataset(LARGE_PLAN)


@pytest.fixture
def huge_dataset(large_dataset):
    """100 residents, twelve weeks, 16,800 assignments."""
    return large_dataset(HUGE_PLAN)


@pytest.fixture
def vast_dataset(large_dataset):
    """1,000 residents, twelve weeks, 168,000 assignments."""
    return large_dataset(VAST_PLAN)
