"""A swap while a schedule is generated (requirements 2.2 concurrent editing)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from editing import owners, wish
from mutation import no_lock, rewritten
from residency.services import generation, swaps
from residency.services.errors import RunOver
from residency.services.generation import begin_run, complete_run, finish_run, start_next, work_off
from residency.services.swaps import request_swap
from residency.store.models import Block, ScheduleRun, SwapRequest
from waiting import wait_until


def start_run(sessions, scenario):
    with sessions.begin() as session:
        day = session.get_one(Block, scenario.block).day
        begin_run(session, first_day=day, last_day=day + timedelta(days=1))
        return start_next(session)


def keep_owner(scenario):
    """Return a planner that gives the shift to whom it belongs, in a new row."""

    def planner(session, first_day, last_day):
        place = generation.Place(
            block_id=scenario.block, person_id=scenario.owner, template_id=scenario.template
        )
        return generation.Draft(places=[place], statistics={})

    return planner


def test_swap_during_a_run_of_500_ms_is_queued_and_then_made(
    serve, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.2: swaps asked for during a run of 500 ms are queued: one is made, one is told why not."""
    scenario = concurrent_edit_scenario
    begun, both_asked = threading.Event(), threading.Event()

    def plan_for_500_ms(session, first_day, last_day):
        begun.set()
        threading.Event().wait(0.5)
        assert both_asked.wait(20)  # which takes longer on a busy machine
        return keep_owner(scenario)(session, first_day, last_day)

    service = serve(planner=plan_for_500_ms)
    service.post(
        "/schedule-runs",
        json={"first_day": "2026-01-05", "last_day": "2026-01-06"},
        headers={"Idempotency-Key": "k1"},
    )
    assert begun.wait(20)
    asked = concurrent_runner(
        lambda taker: service.post("/swaps", json=wish(scenario, taker)), items=scenario.faculty
    ).raise_errors()
    both_asked.set()
    assert asked.tally(lambda answer: (answer.status_code, answer.json()["status"])) == {
        (202, "queued"): 2
    }

    def decided():
        found = {one["status"]: one for one in service.get("/swaps").json()}
        return found if found.keys() == {"done", "refused"} else None

    made, refused = (wait_until(decided)[status] for status in ("done", "refused"))
    assert made["id"] < refused["id"]
    assert refused["reason"].endswith("has the shift Mon 05 Jan AM by now. Ask them.")
    assert owners(sessions) == {(scenario.block, made["taker_id"])}


def test_swap_queued_for_a_shift_that_is_no_more_is_refused(sessions, concurrent_edit_scenario):
    """2.2: a new schedule may take the shift away; the queued swap then says so."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    with sessions.begin() as session:
        assert request_swap(session, **wish(scenario, scenario.faculty[0])).status == "queued"
    with sessions.begin() as session:
        finish_run(session, run_id, generation.Draft(places=[], statistics={}))
    with sessions() as session:
        found = session.scalars(select(SwapRequest)).one()
        assert found.status == "refused"
        assert found.reason == "Dr. Chen does not work on Mon 05 Jan AM in the new schedule."
        assert found.assignment_id is None


def test_swap_waits_for_all_runs_that_wait(sessions, concurrent_edit_scenario):
    """2.2: between two runs no swap is made that the second would undo."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    with sessions() as session:
        assert session.scalars(select(SwapRequest.status)).all() == ["queued"]
    work_off(sessions, planner=keep_owner(scenario))
    with sessions() as session:
        assert session.scalars(select(SwapRequest.status)).all() == ["done"]
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_swap_and_the_beginning_of_a_run_in_both_orders(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: whichever comes first, the other waits for it; then the swap is queued, or is made."""
    scenario = concurrent_edit_scenario
    day = {"first_day": "2026-01-05", "last_day": "2026-01-05"}
    with separate_sessions("planner", "ann") as (planner, ann):
        days = {name: planner.get(Block, scenario.block).day for name in day}
        planner.rollback()
        begin_run(planner, **days)
        waiting = ann.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[0]))
        )
        assert waiting.blocked_by == ["planner"]
        planner.commit()
        assert waiting.result().status == "queued"
        ann.rollback()
        planner.execute(text("DELETE FROM schedule_run"))
        planner.commit()

        request_swap(ann, **wish(scenario, scenario.faculty[0]))
        waiting = planner.start(lambda session: begin_run(session, **days).status)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        assert waiting.result() == "waiting"
        planner.commit()
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_run_that_fails_leaves_the_old_schedule_and_lets_swaps_go_on(
    sessions, concurrent_edit_scenario
):
    """2.2: after a failed run the schedule is the old one, and the queued swap is made on it."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))

    def planner(*_):
        message = "no schedule satisfies the rules"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no schedule"):
        complete_run(sessions, run_id, planner=planner)
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_run_that_was_given_up_cannot_write_any_more(sessions, concurrent_edit_scenario):
    """2.2: a run left behind is given up after 15 minutes; if it wakes up, it writes nothing."""
    scenario = concurrent_edit_scenario
    left = start_run(sessions, scenario)
    with sessions.begin() as session:
        session.get_one(ScheduleRun, left).started_at -= generation.LONGEST_RUN
    assert start_run(sessions, scenario) == left + 1
    before = owners(sessions)
    with pytest.raises(RunOver, match=f"Schedule run {left} is failed, not running"):
        complete_run(sessions, left, planner=lambda *_: generation.Draft(places=[], statistics={}))
    assert owners(sessions) == before


def swap_behind_a_dead_run(sessions, scenario):
    """Queue a swap during a run whose process dies, and let 15 minutes pass; return its state."""
    left = start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))
        session.get_one(ScheduleRun, left).started_at -= generation.LONGEST_RUN
    work_off(sessions, planner=keep_owner(scenario))
    with sessions() as session:
        return session.scalars(select(SwapRequest.status)).one()


def test_swap_behind_a_run_that_was_given_up_is_made(sessions, concurrent_edit_scenario):
    """2.2: a swap waits for no run that is dead, also if no other run follows it."""
    scenario = concurrent_edit_scenario
    assert swap_behind_a_dead_run(sessions, scenario) == "done"
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_mutant_that_forgets_swaps_behind_a_dead_run_keeps_them_waiting(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: where a run is given up and nobody looks at the swaps, they wait for nothing."""
    monkeypatch.setattr(generation, "decide_queued", lambda _session: None)
    assert swap_behind_a_dead_run(sessions, concurrent_edit_scenario) == "queued"


def test_mutant_swap_that_does_not_look_for_a_run_is_lost(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: a swap made during a run is undone by the new schedule, and nobody is told."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    monkeypatch.setattr(swaps, "is_generating", lambda _session: False)
    with sessions.begin() as session:
        assert request_swap(session, **wish(scenario, scenario.faculty[0])).status == "done"
    monkeypatch.undo()
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    assert owners(sessions) == {(scenario.block, scenario.owner)}


@pytest.mark.backends("postgres")
def test_mutant_without_the_schedules_lock_lets_a_swap_slip_in(
    separate_sessions, sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without the lock a swap does not see the run that is just beginning."""
    scenario = concurrent_edit_scenario
    monkeypatch.setattr(swaps, "take_lock", no_lock)
    with separate_sessions("planner", "ann") as (planner, ann):
        day = planner.get(Block, scenario.block).day
        begin_run(planner, first_day=day, last_day=day)
        run_id = start_next(planner)
        slipped = ann.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[0]))
        )
        assert slipped.result().status == "done"
        ann.commit()
        planner.commit()
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    assert owners(sessions) == {(scenario.block, scenario.owner)}


def two_runs(sessions, scenario):
    """Enter two runs that wait."""
    with sessions.begin() as session:
        day = session.get_one(Block, scenario.block).day
        return [begin_run(session, first_day=day, last_day=day).id for _ in range(2)]


def test_two_who_start_the_next_run_start_one(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: of two processes that look for work at once one gets a run, the other none."""
    first, _ = two_runs(sessions, concurrent_edit_scenario)
    with separate_sessions("one", "two") as (one, two):
        assert start_next(one) == first
        waiting = two.start(start_next)
        assert waiting.blocked_by == ["one"]
        one.commit()
        assert waiting.result() is None


@pytest.mark.backends("postgres")
def test_mutant_without_the_schedules_lock_starts_a_run_twice(
    separate_sessions, sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without the lock two processes are both told to work out one run."""
    first, _ = two_runs(sessions, concurrent_edit_scenario)
    monkeypatch.setattr(generation, "take_lock", no_lock)
    with separate_sessions("one", "two") as (one, two):
        assert start_next(one) == first
        waiting = two.start(start_next)
        one.commit()
        assert waiting.result() == first


def test_mutant_that_looks_for_no_running_one_starts_both(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without a look for a run that is going two are going at once."""
    plain = generation._first
    monkeypatch.setattr(
        generation,
        "_first",
        lambda session, status: None if status == "running" else plain(session, status),
    )
    runs = two_runs(sessions, concurrent_edit_scenario)
    started = []
    for _ in runs:
        with sessions.begin() as session:
            started.append(start_next(session))
    assert started == runs


def leave_behind(sessions, scenario):
    """Start a run whose process dies, longer ago than any run takes; return its number."""
    left = start_run(sessions, scenario)
    with sessions.begin() as session:
        session.get_one(ScheduleRun, left).started_at -= timedelta(minutes=15)
    return left


def test_mutant_that_gives_no_run_up_waits_for_the_dead(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: where no run is given up one that was left behind keeps all others waiting."""
    leave_behind(sessions, concurrent_edit_scenario)
    monkeypatch.setattr(generation, "LONGEST_RUN", timedelta(days=3650))
    assert start_run(sessions, concurrent_edit_scenario) is None


def test_mutant_that_lets_an_ended_run_write_undoes_the_next_one(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: a run that was given up and wakes up wipes out what was planned after it."""
    scenario = concurrent_edit_scenario
    left = leave_behind(sessions, scenario)
    complete_run(sessions, start_run(sessions, scenario), planner=keep_owner(scenario))
    monkeypatch.setattr(generation, "_running", generation.get_run)
    complete_run(sessions, left, planner=lambda *_: generation.Draft(places=[], statistics={}))
    assert owners(sessions) == set()


def test_mutant_that_decides_between_two_runs_loses_the_swap(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: a swap that is made between two runs is undone by the second."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))
    monkeypatch.setattr(generation, "is_generating", lambda _session: False)
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    work_off(sessions, planner=keep_owner(scenario))
    with sessions() as session:
        assert session.scalars(select(SwapRequest.status)).all() == ["done"]
    assert owners(sessions) == {(scenario.block, scenario.owner)}


def test_mutant_that_gives_no_failed_run_up_keeps_swaps_waiting(
    sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: a run that fails and does not say so keeps every swap queued."""
    scenario = concurrent_edit_scenario
    run_id = start_run(sessions, scenario)
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))
    monkeypatch.setattr(generation, "fail_run", lambda *_: None)
    with pytest.raises(ZeroDivisionError):
        complete_run(sessions, run_id, planner=lambda *_: 1 / 0)
    with sessions() as session:
        assert session.scalars(select(SwapRequest.status)).all() == ["queued"]


def two_queued(sessions, scenario):
    """Queue the wishes of both of the faculty during a run, and end it; return who has it."""
    run_id = start_run(sessions, scenario)
    for taker in scenario.faculty:
        with sessions.begin() as session:
            request_swap(session, **wish(scenario, taker))
    complete_run(sessions, run_id, planner=keep_owner(scenario))
    return owners(sessions)


def test_who_asked_first_gets_the_shift(sessions, concurrent_edit_scenario):
    """2.2: queued swaps are decided in the order in which they were asked for."""
    scenario = concurrent_edit_scenario
    assert two_queued(sessions, scenario) == {(scenario.block, scenario.faculty[0])}


def test_mutant_that_decides_in_another_order_is_noticed(
    sessions, engine, concurrent_edit_scenario
):
    """2.2 mutant: decided from the end of the queue, who asked last gets the shift."""
    scenario = concurrent_edit_scenario
    with rewritten(engine, r"ORDER BY swap_request\.id", r"\g<0> DESC"):
        assert two_queued(sessions, scenario) == {(scenario.block, scenario.faculty[1])}
