"""Resilience calculations (requirements 2.7)."""

from __future__ import annotations

from itertools import combinations

import circuitbreaker
import numpy as np
import pytest
from pytest_concurrency import assert_slo
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from residency.data.roster import FIRST_DAY, LARGE, SMALL
from residency.domain.burnout import contacts, spread
from residency.domain.contingency import Cover
from residency.domain.defence import Defence
from residency.services import fallback
from residency.services.compliance import read_plan, validate
from residency.services.fallback import FallbackRefused, deploy_fallback, roll_back
from residency.services.generation import Draft
from residency.services.resilience import (
    Breaker,
    burnout,
    contingency,
    cover_of,
    defence,
    guarded,
)
from residency.store.models import Assignment, Block, ScheduleRun

both = pytest.mark.backends("sqlite", "postgres")
FOUR_WEEKS = {"first_day": FIRST_DAY, "last_day": LARGE.last_day}
TWO_WEEKS = {"first_day": FIRST_DAY, "last_day": SMALL.last_day}


def broken_without(plan, missing):
    """Return the blocks that break without some people, counted one by one."""
    broken = set()
    rows = list(zip(plan.person.tolist(), plan.block.tolist(), plan.template.tolist(), strict=True))
    for block, (_, day, half) in enumerate(plan.blocks):
        there = [(who, what) for who, when, what in rows if when == block and who not in missing]
        residents = [(plan.people[who].year, what) for who, what in there if plan.people[who].year]
        faculty = len(there) - len(residents)
        for number, kind in enumerate(plan.templates):
            if sum(what == number for _, what in residents) < kind.needs_residents:
                broken.add((day, half, kind.name))
        taken = sum(
            0.5 if year == 1 else 0.25
            for year, what in residents
            if plan.templates[what].is_supervised
        )
        if faculty < taken:
            broken.add((day, half, "supervision"))
    return broken


def named(loss):
    """Return the gaps of a loss as the brute force writes them."""
    return {(one.day, one.half, one.what) for one in loss.gaps}


# --- contingency ---


@both
def test_contingency_as_by_brute_force(small_dataset):
    """2.7: N-1 and N-2 name the blocks that taking people out one by one would break."""
    with Session(small_dataset) as session:
        plan = read_plan(session, **TWO_WEEKS)
        found = contingency(session, **TWO_WEEKS)
    nobody = broken_without(plan, ())
    alone = {who: broken_without(plan, {who}) - nobody for who in range(len(plan.people))}
    wanted = {(plan.people[who].name,): gaps for who, gaps in alone.items() if gaps}
    assert {one.missing: named(one) for one in found.singles} == wanted
    pairs = {one.missing: named(one) for one in found.pairs}
    for one, other in list(combinations(range(len(plan.people)), 2))[::7]:
        gaps = broken_without(plan, {one, other}) - nobody - alone[one] - alone[other]
        assert pairs.get((plan.people[one].name, plan.people[other].name), set()) == gaps


@pytest.mark.performance
@both
def test_contingency_of_all_pairs_of_130_people(large_assignment_dataset, perf_timer):
    """2.7: all 130 singles and 8,385 pairs under 5 s; ours under 0.5 s."""
    with Session(large_assignment_dataset) as session:
        for _ in perf_timer.until_decided("p50 < 500ms", seconds=3):
            with perf_timer:
                found = contingency(session, **FOUR_WEEKS)
    assert found.broken_already == ()
    assert (len(found.singles), len(found.pairs)) == (30, 330)
    assert all(one.gaps for one in (*found.singles, *found.pairs))
    assert_slo(perf_timer, "p50 < 500ms")


def test_mutant_that_counts_only_heads_is_noticed(monkeypatch):
    """2.7: without the faculty's four quarters, a missing supervisor would break nothing."""
    cover = Cover(
        names=["Res", "Fac"],
        blocks=[(FIRST_DAY, "AM")],
        templates=["Ward"],
        place=np.array([[0], [-1]]),
        quarters=np.array([[-2], [4]]),
        spare=np.array([[1]]),
    )
    assert [one.missing for one in cover.single_losses()] == [("Fac",)]
    monkeypatch.setitem(cover.__dict__, "quarters", np.array([[-2], [0]]))
    assert cover.single_losses() == []


# --- defence ---


@pytest.mark.performance
@both
def test_defence_is_rated_within_a_second(large_assignment_dataset, perf_timer):
    """2.7: the defence-level score under 1 s."""
    with Session(large_assignment_dataset) as session:
        for _ in perf_timer.until_decided("p50 < 1s", seconds=3):
            with perf_timer:
                found = defence(session, **FOUR_WEEKS)
        one, two = cover_of(read_plan(session, **FOUR_WEEKS)).safe_shares()
    assert (found.prevention, found.one_missing, found.two_missing) == (1.0, one, two)
    assert (found.level, found.one_missing) == (2, pytest.approx(100 / 130))
    assert_slo(perf_timer, "p50 < 1s")


def test_level_counts_layers_up_to_the_first_gap():
    """2.7: a whole layer behind a broken one does not raise the level; it does the score."""
    layers = {"prevention": 1.0, "reserve": 0.5, "one_missing": 1.0, "two_missing": 1.0}
    assert Defence(**layers, fallback=1.0).level == 1
    assert Defence(**layers, fallback=1.0).score == 90.0
    assert Defence(**layers, fallback=0.0).score == 70.0


# --- burnout ---


@pytest.mark.parametrize("people", [2, 10, 50])
def test_reproduction_number_of_a_ward_is_known(people):
    """2.7: among n equals who all meet, Rt is chance x meetings x weeks x (n - 1)."""
    met = contacts(np.zeros((people, 10), dtype=np.int64))
    hours = np.full(people, 80.0)
    names = [str(one) for one in range(people)]
    found = spread(met, hours, names, observed_weeks=1, per_contact=0.01, weeks=2)
    assert found.reproduction_number == pytest.approx(0.01 * 10 * 2 * (people - 1))


def test_reproduction_number_is_that_of_generations():
    """2.7: Rt is the factor by which generations of cases grow in the end."""
    draw = np.random.default_rng(1)
    met = contacts(draw.integers(-1, 4, size=(30, 28)))
    hours = draw.uniform(40, 100, size=30)
    found = spread(met, hours, [str(one) for one in range(30)], observed_weeks=2)
    cases = np.ones(30)
    for _ in range(300):
        following = 0.001 * 2 * (hours / 80) * (met @ cases)
        growth, cases = following.sum() / cases.sum(), following / following.sum()
    assert found.reproduction_number == pytest.approx(growth, rel=1e-6)


@pytest.mark.performance
@both
def test_burnout_of_130_people(large_assignment_dataset, perf_timer):
    """2.7: the burnout reproduction number over the contact network under 10 s; ours under 1 s."""
    with Session(large_assignment_dataset) as session:
        for _ in perf_timer.until_decided("p50 < 1s", seconds=3):
            with perf_timer:
                found = burnout(session, **FOUR_WEEKS)
    assert 0.5 < found.reproduction_number < 0.8
    assert not found.is_growing
    assert len(found.drivers) == 5
    assert_slo(perf_timer, "p50 < 1s")


# --- the circuit breaker ---


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock that the breaker reads."""
    made = Clock()
    monkeypatch.setattr(circuitbreaker, "monotonic", made)
    return made


def fail():
    """Fail."""
    raise OSError


def refuse():
    """Do what is done otherwise."""
    return "fallback"


def test_breaker_opens_tries_once_and_closes(clock):
    """2.7: three failures open it, nothing is asked meanwhile, one success closes it."""
    breaker, asked = Breaker("planner", recovery_seconds=30), []
    for _ in range(3):
        assert breaker.state == "closed"
        breaker.call(fail, otherwise=refuse)
    assert breaker.state == "open"
    assert breaker.call(lambda: asked.append(1), otherwise=refuse) == "fallback"
    assert not asked
    clock.now += 30
    assert breaker.call(fail, otherwise=refuse) == "fallback"
    assert breaker.state == "open"
    clock.now += 30
    assert breaker.state == "half_open"
    assert breaker.call(lambda: "planned", otherwise=refuse) == "planned"
    assert breaker.state == "closed"


@pytest.mark.performance
def test_breaker_opens_and_closes_within_half_a_second(clock, perf_timer):
    """2.7: opening and closing take under 500 ms, whatever the recovery time that is configured."""
    for _ in perf_timer.until_decided("p95 < 500ms", max_calls=500):
        breaker = Breaker("planner")
        with perf_timer:
            for _ in range(3):
                breaker.call(fail, otherwise=refuse)
            assert breaker.state == "open"
            clock.now += 60
            assert breaker.call(lambda: "planned", otherwise=refuse) == "planned"
            assert breaker.state == "closed"
    assert_slo(perf_timer, "p95 < 500ms")


def half_open(clock, kind=Breaker):
    """Return a breaker whose time is up."""
    breaker = kind("planner", failures=1, recovery_seconds=30)
    breaker.call(fail, otherwise=refuse)
    clock.now += 30
    return breaker


def probes_at_once(breaker):
    """Let a second caller come while the first one is trying; return how many were let through."""
    asked = []

    def first():
        asked.append("first")
        breaker.call(lambda: asked.append("second"), otherwise=refuse)

    breaker.call(first, otherwise=refuse)
    return len(asked)


def test_half_open_lets_one_through(clock):
    """2.7: while one caller finds out whether it recovered, others are not let through."""
    assert probes_at_once(half_open(clock)) == 1


class Everybody(Breaker):
    """A mutant: the library's own half-open state."""

    def call(self, function, *, otherwise):
        if self._counts.opened:
            return otherwise()
        with self._counts:
            return function()


def test_mutant_that_lets_everybody_through_is_noticed(clock):
    """2.7: without the lock a second caller gets through to what may still be failing."""
    breaker = half_open(clock)
    assert probes_at_once(Everybody("planner")) == 2
    assert breaker.state == "half_open"


def test_planner_that_fails_is_replaced_by_the_fallback(small_dataset):
    """2.7: after three failed searches the fallback plans at once, without another search."""
    searches = []

    def broken(session, first_day, last_day):
        searches.append(first_day)
        raise TimeoutError

    plan = guarded(broken, Breaker("planner"))
    with Session(small_dataset) as session:
        drafts = [plan(session, FIRST_DAY, SMALL.last_day) for _ in range(5)]
    assert len(searches) == 3
    assert {draft.statistics["planner"] for draft in drafts} == {"fallback"}


# --- the fallback schedule ---


def snapshot(session):
    """Return every assignment as it is."""
    columns = [getattr(Assignment, name) for name in fallback.KEPT]
    return session.execute(select(*columns).order_by(Assignment.id)).all()


@both
def test_fallback_is_deployed_and_rolled_back(large_assignment_dataset):
    """2.7: a fallback without three residents covers everything, and is taken back without trace."""
    with Session(large_assignment_dataset) as session:
        session.execute(update(Assignment).where(Assignment.id == 7).values(note="x", version=3))
        session.commit()
        before = snapshot(session)
        run = deploy_fallback(session, **FOUR_WEEKS, missing={1, 2, 101})
        session.commit()
        during = snapshot(session)
        assert {row.run_id for row in during} == {run.id}
        assert not {1, 2, 101} & {row.person_id for row in during}
        assert validate(session, **FOUR_WEEKS).is_compliant
        assert contingency(session, **FOUR_WEEKS).broken_already == ()
        assert (run.is_fallback, run.statistics["filled"]) == (True, 1.0)
        roll_back(session, run.id)
        session.commit()
        assert snapshot(session) == before
        assert session.get_one(ScheduleRun, run.id).status == "rolled back"
        free = Assignment(block_id=1, person_id=1, template_id=6)
        session.execute(Assignment.__table__.delete().where(Assignment.block_id == 1))
        session.add(free)
        session.commit()
        assert free.id > 5_600


@both
def test_fallback_waits_for_a_generation(small_dataset):
    """2.7: a fallback that a running generation would replace is refused; nothing is changed."""
    with Session(small_dataset) as session:
        session.add(ScheduleRun(**TWO_WEEKS, status="running"))
        session.commit()
        before = snapshot(session)
        with pytest.raises(FallbackRefused, match="would replace the fallback"):
            deploy_fallback(session, **TWO_WEEKS)
        assert snapshot(session) == before


def replace(session, run):
    """Let a newer schedule replace a fallback."""
    session.add(ScheduleRun(**TWO_WEEKS, status="done"))
    session.execute(update(Assignment).values(note="newer"))
    session.commit()
    return run.id


@both
def test_replaced_fallback_is_not_rolled_back(small_dataset):
    """2.7: what a newer schedule replaced is not put in its place again, nor twice put back."""
    with Session(small_dataset) as session:
        run = deploy_fallback(session, **TWO_WEEKS)
        session.commit()
        number = replace(session, run)
        with pytest.raises(FallbackRefused, match="replaced by a newer schedule"):
            roll_back(session, number)
        assert {row.note for row in snapshot(session)} == {"newer"}


def test_mutant_that_rolls_back_anything_is_noticed(small_dataset, monkeypatch):
    """2.7: without the check the newer schedule is lost."""
    monkeypatch.setattr(fallback, "_is_replaced", lambda _session, _run: False)
    with Session(small_dataset) as session:
        run = deploy_fallback(session, **TWO_WEEKS)
        session.commit()
        roll_back(session, replace(session, run))
        assert {row.note for row in snapshot(session)} == {""}


@both
def test_fallback_is_whole_or_not_there(small_dataset, monkeypatch):
    """2.7: a deployment that fails half-way leaves what was planned."""
    draft = Draft(places=[fallback.Place(block_id=0, person_id=1, template_id=1)], statistics={})
    monkeypatch.setattr(fallback, "fallback_draft", lambda *_, **__: draft)
    with Session(small_dataset) as session:
        before = snapshot(session)
        with pytest.raises(Exception, match=r"(?i)foreign key"):
            deploy_fallback(session, **TWO_WEEKS)
            session.flush()
            session.commit()
        session.rollback()
        assert snapshot(session) == before
        assert session.scalar(select(Block.id).limit(1)) == 1
