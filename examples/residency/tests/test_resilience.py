"""Resilience calculations (requirements 2.7)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations

import circuitbreaker
import numpy as np
import pytest
from pytest_concurrency import assert_slo
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from mutation import NoLock, no_lock, redefine
from residency.data.datasets import write
from residency.data.roster import FIRST_DAY, LARGE, SMALL, Size, make_blocks, make_roster
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

FOUR_WEEKS = {"first_day": FIRST_DAY, "last_day": LARGE.last_day}
TINY = Size(residents=8, weeks=1)
WEEK = {"first_day": FIRST_DAY, "last_day": FIRST_DAY + timedelta(days=6)}
TWO_WEEKS = {"first_day": FIRST_DAY, "last_day": SMALL.last_day}


def rosters(plan):
    """Return who does what in each block."""
    found = [[] for _ in plan.blocks]
    columns = (plan.person.tolist(), plan.block.tolist(), plan.template.tolist())
    for who, when, what in zip(*columns, strict=True):
        found[when].append((who, what))
    return found


def broken_without(plan, missing):
    """Return the blocks that break without some people, counted one by one."""
    broken = set()
    for (_, day, half), roster in zip(plan.blocks, rosters(plan), strict=True):
        there = [(who, what) for who, what in roster if who not in missing]
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
    tried = list(combinations(range(len(plan.people)), 2))
    safe = 0
    for one, other in tried:
        gaps = broken_without(plan, {one, other}) - nobody - alone[one] - alone[other]
        assert pairs.pop((plan.people[one].name, plan.people[other].name), set()) == gaps
        safe += not (gaps or alone[one] or alone[other])
    assert (len(tried), pairs) == (528, {})
    shares = (1 - len(wanted) / len(plan.people), safe / len(tried))
    assert cover_of(plan).safe_shares() == pytest.approx(shares)


@pytest.mark.performance
def test_contingency_of_all_pairs_of_130_people(large_assignment_dataset, perf_timer):
    """2.7: all 130 singles and 8,385 pairs under 5 s; ours under 0.5 s."""
    with Session(large_assignment_dataset) as session:
        for _ in perf_timer.until_decided("p50 < 500ms", seconds=20):
            with perf_timer:
                found = contingency(session, **FOUR_WEEKS)
    assert found.broken_already == ()
    assert (len(found.singles), len(found.pairs)) == (30, 330)
    assert all(one.gaps for one in (*found.singles, *found.pairs))
    assert_slo(perf_timer, "p50 < 500ms")


def test_nobody_planned_is_no_loss(database_engine):
    """2.7, edge: without people, and without blocks, nothing breaks and nothing is divided by."""
    with Session(database_engine) as session:
        found = contingency(session, **FOUR_WEEKS)
        assert (found.broken_already, found.singles, found.pairs) == ((), (), ())
        assert defence(session, **FOUR_WEEKS).score == 100.0
        assert burnout(session, **FOUR_WEEKS).reproduction_number == 0.0


def test_all_times_are_those_with_blocks(small_dataset):
    """2.7, edge: asked about years 1 to 9999, the answers are those of the planned weeks."""
    always = {"first_day": date.min, "last_day": date.max}
    with Session(small_dataset) as session:
        assert contingency(session, **always) == contingency(session, **TWO_WEEKS)
        assert burnout(session, **always) == burnout(session, **TWO_WEEKS)


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
def test_defence_is_rated_within_a_second(large_assignment_dataset, perf_timer):
    """2.7: the defence-level score under 1 s."""
    with Session(large_assignment_dataset) as session:
        for _ in perf_timer.until_decided("p50 < 1s", seconds=20):
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
def test_burnout_of_130_people(large_assignment_dataset, perf_timer):
    """2.7: the burnout reproduction number over the contact network under 10 s; ours under 1 s."""
    with Session(large_assignment_dataset) as session:
        for _ in perf_timer.until_decided("p50 < 1s", seconds=20):
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


@pytest.mark.parametrize("outcome", ["planned", "failed"])
def test_late_answers_do_not_move_an_open_breaker(clock, outcome):
    """2.7: a call that began before the breaker opened neither closes it nor keeps it open."""
    breaker = Breaker("planner", failures=1, recovery_seconds=30)

    def late():
        breaker.call(fail, otherwise=refuse)
        clock.now += 29
        return fail() if outcome == "failed" else "planned"

    assert breaker.call(late, otherwise=refuse) == ("fallback" if outcome == "failed" else outcome)
    assert breaker.state == "open"
    clock.now += 1
    assert breaker.state == "half_open"


class Late(Breaker):
    """A mutant: counts what ends, whenever it began."""

    def _note(self, error, admitted):
        self._counts.__exit__(type(error) if error else None, error, None)


def test_mutant_that_counts_late_answers_is_noticed(clock):
    """2.7: a late success would close a breaker that is open for good reason."""
    breaker = Late("planner", failures=1)

    def late():
        breaker.call(fail, otherwise=refuse)
        return "planned"

    breaker.call(late, otherwise=refuse)
    assert breaker.state == "closed"


def one_of_two_is_asked(interleave, clock, kind):
    """Explore two callers of a half-open breaker around something that still fails."""

    @interleave(packages=["circuitbreaker"], seconds=20)
    def body(run):
        breaker, asked = half_open(clock, kind), []

        def still_failing():
            asked.append(1)
            fail()

        def call():
            return breaker.call(still_failing, otherwise=refuse)

        assert run(call, call) == ["fallback", "fallback"]
        assert len(asked) == 1
        assert breaker.state == "open"


def test_one_caller_tries_in_every_order(interleave, clock):
    """2.7: of two callers who find it half open one asks what still fails, in every order."""
    one_of_two_is_asked(interleave, clock, Breaker)


class Unlocked(Breaker):
    """A mutant: nobody waits for anybody."""

    @contextmanager
    def _admission(self):
        yield self.state


def test_mutant_without_the_one_caller_is_found(interleave, clock):
    """2.7 mutant: there is an order in which both ask."""
    with pytest.raises(AssertionError, match=r"assert 2 == 1"):
        one_of_two_is_asked(interleave, clock, Unlocked)


class Uncounted(Breaker):
    """A mutant: failures are counted without a lock."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self._counting = NoLock()


def two_failures_open_it(interleave, clock, kind):
    """Explore two callers who fail at once."""

    @interleave(packages=["circuitbreaker"], seconds=20)
    def body(run):
        breaker = kind("planner", failures=2)

        def call():
            return breaker.call(fail, otherwise=refuse)

        run(call, call)
        assert breaker.state == "open"


def test_failures_at_once_are_all_counted(interleave, clock):
    """2.7: two failures at once are two, in every order."""
    two_failures_open_it(interleave, clock, Breaker)


def test_mutant_that_counts_without_a_lock_is_found(interleave, clock):
    """2.7 mutant: there is an order in which one of the two failures is lost."""
    with pytest.raises(AssertionError, match="closed"):
        two_failures_open_it(interleave, clock, Uncounted)


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


def test_fallback_over_http(service, sessions):
    """2.7: deployed and rolled back over HTTP; the answers tell what it filled, not what it keeps."""
    with sessions.begin() as session:
        write(session, make_roster(SMALL))
        before = snapshot(session)
    days = {name: str(day) for name, day in TWO_WEEKS.items()}
    answer = service.post("/fallbacks", json={**days, "missing": [1]})
    run = answer.json()
    assert (answer.status_code, run["is_fallback"]) == (201, True)
    assert run["statistics"].keys() == {"planner", "filled", "empty"}
    shifts = service.get("/resilience/contingency", params=days).json()
    assert shifts["broken_already"] == []
    again = service.post(f"/fallbacks/{run['id']}/roll-back")
    assert (again.status_code, again.json()["status"]) == (200, "rolled back")
    with sessions() as session:
        assert snapshot(session) == before
    refused = service.post(f"/fallbacks/{run['id']}/roll-back")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"Run {run['id']} is no fallback that is in force.",
    )


def test_fallback_without_blocks_is_refused(service):
    """2.7: days without blocks are refused with what to name, and no run is entered."""
    days = {"first_day": "2031-01-05", "last_day": "2031-01-06"}
    answer = service.post("/fallbacks", json=days)
    assert (answer.status_code, answer.json()["title"]) == (422, "No blocks")
    assert service.get("/schedule-runs").json() == []


def test_calculations_over_http(service, sessions):
    """2.7: contingency, defence and burnout as the service works them out."""
    with sessions.begin() as session:
        write(session, make_roster(SMALL))
        cover = contingency(session, **TWO_WEEKS)
        rated = defence(session, **TWO_WEEKS)
        grown = burnout(session, **TWO_WEEKS)
    days = {name: str(day) for name, day in TWO_WEEKS.items()}
    found = service.get("/resilience/contingency", params={**days, "limit": 3}).json()
    assert (found["critical_people"], found["critical_pairs"]) == (
        len(cover.singles),
        len(cover.pairs),
    )
    assert found["singles"][0]["missing"] == list(cover.singles[0].missing)
    assert found["singles"][0]["gaps"][0]["day"] == str(cover.singles[0].gaps[0].day)
    told = service.get("/resilience/defence", params=days).json()
    assert (told["level"], told["score"]) == (rated.level, rated.score)
    rt = service.get("/resilience/burnout", params=days).json()
    assert rt["reproduction_number"] == pytest.approx(grown.reproduction_number)
    assert [one["person"] for one in rt["drivers"]] == [name for name, _ in grown.drivers]


def back_after_another_week(engine):
    """Roll a fallback back after another week was planned; return what was there, and what is."""
    roster = make_roster(TINY)
    second = {name: day + timedelta(days=7) for name, day in WEEK.items()}
    with Session(engine) as session:
        write(session, replace(roster, blocks=make_blocks(2)))
        before = snapshot(session)
        run = deploy_fallback(session, **WEEK, missing=range(1, 8))
        deploy_fallback(session, **second)
        roll_back(session, run.id)
        session.commit()
        return before, [row for row in snapshot(session) if row.run_id is None]


def test_fallback_goes_back_after_another_week_was_planned(engine):
    """2.7: the numbers of what a fallback replaced are kept for it, whatever is planned since."""
    before, after = back_after_another_week(engine)
    assert after == before


@pytest.mark.backends("sqlite")
def test_mutant_that_gives_numbers_again_cannot_put_them_back(engine):
    """2.7 mutant: where numbers are given again, those of what was replaced are taken by then."""
    redefine(engine, "assignment", " AUTOINCREMENT", "")
    with pytest.raises(IntegrityError, match="UNIQUE constraint failed: assignment.id"):
        back_after_another_week(engine)


def test_two_fallbacks_at_once_both_go_back(small_dataset, concurrent_runner):
    """2.7: the second one replaces the first whole; rolled back in turn, both leave no trace."""
    sessions = sessionmaker(small_dataset)
    with sessions() as session:
        before = snapshot(session)

    def deploy():
        with sessions.begin() as session:
            return deploy_fallback(session, **TWO_WEEKS).id

    runs = concurrent_runner(deploy, workers=8).raise_errors().values
    for run in sorted(runs, reverse=True):
        with sessions.begin() as session:
            roll_back(session, run)
    with sessions() as session:
        assert snapshot(session) == before


def test_fallback_waits_for_whoever_changes_the_schedule(separate_sessions, sessions):
    """2.7: a deployment waits for one that is not committed yet, and replaces what that one made."""
    with sessions.begin() as session:
        write(session, make_roster(TINY))
    with separate_sessions("ann", "bob") as (ann, bob):
        first = deploy_fallback(ann, **WEEK).id
        waiting = bob.start(deploy_fallback, **WEEK)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        replaced = waiting.result().statistics["replaced"]
        bob.commit()
    assert {row[fallback.KEPT.index("run_id")] for row in replaced} == {first}


@pytest.mark.backends("postgres")
def test_mutant_fallback_without_the_lock_is_noticed(separate_sessions, sessions, monkeypatch):
    """2.7 mutant: without the lock two deployments put people into one block twice, or lose one."""
    monkeypatch.setattr(fallback, "take_lock", no_lock)
    with sessions.begin() as session:
        write(session, make_roster(TINY))
    with separate_sessions("ann", "bob") as (ann, bob):
        deploy_fallback(ann, **WEEK)
        waiting = bob.start(deploy_fallback, **WEEK)
        ann.commit()
        with pytest.raises(IntegrityError, match="assignment"):
            waiting.result()


@pytest.mark.parametrize("step", ["deploy", "roll back"])
def test_mutant_fallback_that_ignores_a_generation_is_noticed(small_dataset, monkeypatch, step):
    """2.7 mutant: without the check both go ahead though a run will replace what they write."""
    with Session(small_dataset) as session:
        run = deploy_fallback(session, **TWO_WEEKS)
        session.add(ScheduleRun(**TWO_WEEKS, status="running"))
        session.flush()
        act = {
            "deploy": lambda: deploy_fallback(session, **TWO_WEEKS),
            "roll back": lambda: roll_back(session, run.id),
        }[step]
        with pytest.raises(FallbackRefused):
            act()
        monkeypatch.setattr(fallback, "is_generating", lambda _session: False)
        assert act().status in {"done", "rolled back"}


def test_fallback_waits_for_a_generation(small_dataset):
    """2.7: a fallback that a running generation would replace is refused; nothing is changed."""
    with Session(small_dataset) as session:
        session.add(ScheduleRun(**TWO_WEEKS, status="running"))
        session.commit()
        before = snapshot(session)
        with pytest.raises(FallbackRefused, match="would replace the fallback"):
            deploy_fallback(session, **TWO_WEEKS)
        assert snapshot(session) == before


def let_a_newer_one_replace(session, run):
    """Let a newer schedule replace a fallback."""
    session.add(ScheduleRun(**TWO_WEEKS, status="done"))
    session.execute(update(Assignment).values(note="newer"))
    session.commit()
    return run.id


def test_replaced_fallback_is_not_rolled_back(small_dataset):
    """2.7: what a newer schedule replaced is not put in its place again, nor twice put back."""
    with Session(small_dataset) as session:
        run = deploy_fallback(session, **TWO_WEEKS)
        session.commit()
        number = let_a_newer_one_replace(session, run)
        with pytest.raises(FallbackRefused, match="replaced by a newer schedule"):
            roll_back(session, number)
        assert {row.note for row in snapshot(session)} == {"newer"}


def test_mutant_that_rolls_back_anything_is_noticed(small_dataset, monkeypatch):
    """2.7: without the check the newer schedule is lost."""
    monkeypatch.setattr(fallback, "_is_replaced", lambda _session, _run: False)
    with Session(small_dataset) as session:
        run = deploy_fallback(session, **TWO_WEEKS)
        session.commit()
        roll_back(session, let_a_newer_one_replace(session, run))
        assert {row.note for row in snapshot(session)} == {""}


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
