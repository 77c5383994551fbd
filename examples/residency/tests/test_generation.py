"""Schedule generation by a constraint solver, profiled (requirements 2.9)."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from pytest_concurrency import assert_slo
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from residency.data.roster import FIRST_DAY, LARGE, SMALL
from residency.services.compliance import validate
from residency.services.generation import generate
from residency.services.resilience import contingency
from residency.solver import model as models
from residency.solver.planner import make_planner
from residency.solver.plot import quality_svg
from residency.store.models import Absence, Assignment, Person, RotationTemplate, ScheduleRun

both = pytest.mark.backends("sqlite", "postgres")
TWO_WEEKS = {"first_day": FIRST_DAY, "last_day": SMALL.last_day}
WEEK = FIRST_DAY + timedelta(days=6)


def plan(engine, *, seconds=1.0, last_day=SMALL.last_day, **options):
    """Plan, in one thread and from one seed."""
    with Session(engine) as session:
        return make_planner(seconds=seconds, workers=1, **options)(session, FIRST_DAY, last_day)


@both
def test_generated_schedule_keeps_the_rules(small_dataset):
    """2.9: a real solver's schedule is compliant, and covers every place that it says it covers."""
    sessions = sessionmaker(small_dataset)
    run = generate(sessions, **TWO_WEEKS, planner=make_planner(seconds=1, workers=1))
    with sessions() as session:
        found = session.get_one(ScheduleRun, run)
        report = validate(session, **TWO_WEEKS)
        gaps = contingency(session, **TWO_WEEKS).broken_already
        planned = session.scalar(select(func.count()).where(Assignment.run_id == run))
    assert (found.status, found.statistics["empty"], gaps) == ("done", 0, ())
    assert report.violations == ()
    assert report.assignments == planned > 0


def test_effort_and_quality_are_tracked(small_dataset):
    """2.9: branches, conflicts, propagations, bound, memory and quality against time."""
    statistics = plan(small_dataset).statistics
    assert {"branches", "conflicts", "propagations", "restarts"} <= statistics.keys()
    assert statistics["propagations"] > 0
    assert statistics["peak_memory_bytes"] > 10_000_000
    assert json.loads(json.dumps(statistics)) == statistics
    costs = [one["objective"] for one in statistics["quality"]]
    times = [one["seconds"] for one in statistics["quality"]]
    assert costs == sorted(costs, reverse=True)
    assert times == sorted(times)
    assert statistics["bound"] <= statistics["objective"] == costs[-1]
    assert all(one["bound"] <= costs[-1] for one in statistics["bounds"])


def test_quality_is_drawn_against_time(small_dataset):
    """2.9: the plot is well-formed SVG with the two series, and both axes labelled."""
    drawn = ET.fromstring(quality_svg(plan(small_dataset, seconds=0.5).statistics))
    titles = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "Quality against time"
    assert "cost of the best schedule" in titles
    labels = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert labels[2] == "0 s"
    assert len(labels) == 4


def test_plot_of_known_series():
    """2.9: a step at half the time is drawn in the middle; a run without solutions has no line."""
    run = {
        "seconds": 2.0,
        "quality": [{"seconds": 0.0, "objective": 10.0}, {"seconds": 1.0, "objective": 5.0}],
        "bounds": [],
    }
    assert 'd="M80.0 20.0H350.0V280.0H620.0"' in quality_svg(run)
    assert 'stroke-width="2"' not in quality_svg({**run, "quality": []})


def test_search_is_no_worse_than_its_beginning(small_dataset):
    """2.9: the search begins from the greedy schedule and never returns a worse one."""
    beginning = plan(small_dataset, seconds=0.000001).statistics["objective"]
    assert plan(small_dataset, seconds=2).statistics["objective"] <= beginning < models.EMPTY * 2


def test_absent_people_are_not_planned(small_dataset):
    """2.9: who is absent gets nothing on those days."""
    with Session(small_dataset) as session:
        session.add(Absence(person_id=1, first_day=FIRST_DAY, last_day=WEEK))
        session.commit()
    places = plan(small_dataset).places
    assert {one.block_id > 14 for one in places if one.person_id == 1} <= {True}


def test_nobody_is_in_two_places(small_dataset):
    """2.9: one template at most for each person and block."""
    taken = Counter((one.block_id, one.person_id) for one in plan(small_dataset).places)
    assert set(taken.values()) == {1}


def test_too_few_people_leave_places_empty_and_say_so(small_dataset):
    """2.9: with rules that bind and people who are missing, cover gives way, and is counted."""
    with Session(small_dataset) as session:
        session.execute(delete(Assignment))
        session.execute(delete(Person).where(Person.year.is_not(None), Person.id > 5))
        session.commit()
        needed = session.scalar(select(func.sum(RotationTemplate.needs_residents)))
    draft = plan(small_dataset)
    residents = [one for one in draft.places if one.person_id <= 5]
    assert needed > 5
    assert draft.statistics["empty"] == 28 * needed - len(residents) >= 28 * (needed - 5)


def test_no_time_still_gives_a_schedule(small_dataset):
    """2.9: a search that finds nothing in its time returns the schedule that it began from."""
    draft = plan(small_dataset, seconds=0.000001)
    assert (draft.statistics["status"], draft.statistics["empty"]) == ("UNKNOWN", 0)
    assert len(draft.statistics["quality"]) == 1


def test_mutant_without_days_off_is_noticed(small_dataset, monkeypatch):
    """2.9: a model without its rule of rest makes schedules in which the validation finds runs."""
    sessions = sessionmaker(small_dataset)
    with sessions.begin() as session:
        session.execute(delete(Assignment))
        session.execute(delete(Person).where(Person.year > 1))

    def runs():
        generate(sessions, **TWO_WEEKS, planner=make_planner(seconds=0.5, workers=1))
        with sessions() as session:
            rules = [one.rule for one in validate(session, **TWO_WEEKS).violations]
        return rules.count("one day in seven free")

    assert runs() == 0
    monkeypatch.setattr(models, "WORK_DAYS", 14)
    monkeypatch.setattr("residency.domain.greedy.ROTA", 10_000_019)
    assert runs() > 0


@both
@pytest.mark.concurrent
@pytest.mark.performance
def test_ten_administrators_generate_at_once(small_dataset, concurrent_runner):
    """2.9: ten at once: every run is done, one after the other, and the last schedule is whole."""
    sessions = sessionmaker(small_dataset)
    planner = make_planner(seconds=0.2, workers=1)
    outcome = concurrent_runner(
        lambda: generate(sessions, **TWO_WEEKS, planner=planner), workers=10, timeout=60
    )
    outcome.raise_errors()
    assert outcome.distinct() == 10
    with sessions() as session:
        runs = session.scalars(select(ScheduleRun)).all()
        owners = session.scalars(select(Assignment.run_id).distinct()).all()
        assert [one.status for one in runs] == ["done"] * 10
        assert len(owners) == 1
        assert validate(session, **TWO_WEEKS).is_compliant
    assert max(outcome.durations) < 300


@pytest.mark.slow
@pytest.mark.performance
def test_large_generation_within_three_minutes(large_assignment_dataset, perf_timer):
    """2.9: 100 residents and four weeks: p95 under 180 s, reading, modelling and writing counted."""
    sessions = sessionmaker(large_assignment_dataset)
    planner = make_planner(seconds=20)
    with perf_timer:
        run = generate(sessions, first_day=FIRST_DAY, last_day=LARGE.last_day, planner=planner)
    with sessions() as session:
        assert session.get_one(ScheduleRun, run).statistics["empty"] == 0
        assert validate(session, first_day=FIRST_DAY, last_day=LARGE.last_day).is_compliant
    assert_slo(perf_timer, "p95 < 180s", undecided="pass")
