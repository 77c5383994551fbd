"""Two of the faculty want one shift (requirements 2.2 concurrent editing)."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from editing import owners, wish
from mutation import ALWAYS, no_lock, rewritten
from residency.services import swaps
from residency.services.assignments import append_note, edit_assignment
from residency.services.errors import StaleVersion, SwapConflict
from residency.services.swaps import request_swap
from residency.store.models import Absence, Assignment, Block, Person, RotationTemplate, SwapRequest


def test_one_gets_the_shift_and_the_other_is_told_why(
    separate_sessions, sessions, concurrent_edit_scenario
):
    """2.2: two of the faculty want a third's shift: one gets it, the other is told who has it."""
    scenario = concurrent_edit_scenario
    with separate_sessions("ann", "bob") as (ann, bob):
        assert request_swap(ann, **wish(scenario, scenario.faculty[0])).status == "done"
        waiting = bob.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[1]))
        )
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        with pytest.raises(SwapConflict) as refused:
            waiting.result()
        bob.rollback()
    assert refused.value.detail == "Dr. Ann has the shift Mon 05 Jan AM by now. Ask them."
    assert owners(sessions) == {(scenario.block, scenario.faculty[0])}


def test_hundred_want_one_shift_over_http(
    service, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.2: of 100 people who want one shift one gets it; all others are told why, with 409."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        people = [Person(name=f"Dr. {number}", role="faculty") for number in range(100)]
        session.add_all(people)
        session.flush()
        takers = [one.id for one in people]
    outcome = concurrent_runner(
        lambda taker: service.post("/swaps", json=wish(scenario, taker)), items=takers
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {201: 1, 409: 99}
    winner = next(answer.json()["taker_id"] for answer in outcome.values if answer.is_success)
    reasons = {answer.json()["detail"] for answer in outcome.values if not answer.is_success}
    name = f"Dr. {takers.index(winner)}"
    assert reasons == {f"{name} has the shift Mon 05 Jan AM by now. Ask them."}
    assert owners(sessions) == {(scenario.block, winner)}
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(SwapRequest)) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_two_compatible_swaps_never_double_book(separate_sessions, sessions, swap_scenario, first):
    """2.2: an exchange and a gift of one assignment, in both orders: nobody is in a block twice."""
    (ann_id, bob_id), (monday, tuesday) = swap_scenario.faculty, swap_scenario.assignments
    both = [
        {
            "assignment_id": monday,
            "owner_id": ann_id,
            "taker_id": bob_id,
            "return_assignment_id": tuesday,
        },
        {"assignment_id": tuesday, "owner_id": bob_id, "taker_id": ann_id},
    ]
    with separate_sessions("one", "two") as (one, two):
        assert request_swap(one, **both[first]).status == "done"
        waiting = two.start(lambda session: request_swap(session, **both[1 - first]))
        assert waiting.blocked_by == ["one"]
        one.commit()
        with pytest.raises(SwapConflict, match=r"(by now|already)"):
            waiting.result()
        two.rollback()
    days = {block for block, _ in owners(sessions)}
    assert days == set(swap_scenario.blocks)


def test_hundred_exchanges_leave_every_shift_taken_once(sessions, swap_scenario, concurrent_runner):
    """2.2: 100 exchanges of two shifts, back and forth: each shift has one owner in the end."""
    (ann, bob), (monday, tuesday) = swap_scenario.faculty, swap_scenario.assignments

    def exchange(worker):
        owner, taker = (ann, bob) if worker.index % 2 else (bob, ann)
        with sessions.begin() as session:
            request_swap(
                session,
                assignment_id=monday,
                owner_id=owner,
                taker_id=taker,
                return_assignment_id=tuesday,
            )

    outcome = concurrent_runner(exchange, workers=100)
    assert {type(error) for error in outcome.errors} <= {SwapConflict}
    assert len(outcome.values) >= 1
    pairs = owners(sessions)
    assert len(pairs) == 2
    assert {block for block, _ in pairs} == set(swap_scenario.blocks)
    assert {person for _, person in pairs} == {ann, bob}


@pytest.mark.backends("postgres")
def test_mutant_without_locks_gives_one_shift_to_both(
    separate_sessions, sessions, concurrent_edit_scenario, monkeypatch
):
    """2.2 mutant: without the schedule's lock and FOR UPDATE both are told that they have it."""
    scenario = concurrent_edit_scenario
    monkeypatch.setattr(swaps, "take_lock", no_lock)
    monkeypatch.setattr(
        swaps, "lock_assignment", lambda session, number: session.get(Assignment, number)
    )
    with separate_sessions("ann", "bob") as (ann, bob):
        bob.get(Assignment, scenario.assignment)
        assert request_swap(ann, **wish(scenario, scenario.faculty[0])).status == "done"
        waiting = bob.start(
            lambda session: request_swap(session, **wish(scenario, scenario.faculty[1]))
        )
        ann.commit()
        assert waiting.result().status == "done"
        bob.commit()
    assert owners(sessions) == {(scenario.block, scenario.faculty[1])}


def test_exchange_that_breaks_half_way_changes_nothing(sessions, swap_scenario, monkeypatch):
    """2.2: a swap is never applied half-way: whatever breaks, both shifts stay as they were."""
    before = owners(sessions)
    plain = swaps._exchange

    def broken(*args, **kwargs):
        plain(*args, **kwargs)
        message = "the process dies"
        raise RuntimeError(message)

    monkeypatch.setattr(swaps, "_exchange", broken)
    with pytest.raises(RuntimeError), sessions.begin() as session:
        request_swap(
            session,
            assignment_id=swap_scenario.assignments[0],
            owner_id=swap_scenario.faculty[0],
            taker_id=swap_scenario.faculty[1],
            return_assignment_id=swap_scenario.assignments[1],
        )
    assert owners(sessions) == before


def test_absent_taker_is_told_so(sessions, concurrent_edit_scenario):
    """2.2: the reason of a refusal names what stands in the way: an absence, with its days."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        day = session.get_one(Block, scenario.block).day
        session.add(Absence(person_id=scenario.faculty[0], first_day=day, last_day=day))
    absent = pytest.raises(SwapConflict, match=r"Ann is absent from 2026-01-05 to 2026-01-05")
    with absent, sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))


def test_exchange_within_one_block_changes_what_each_does(sessions, concurrent_edit_scenario):
    """2.2: two who work in one block exchange what they do there, and stay in it once each."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        ward = RotationTemplate(name="Ward", hours=6.0)
        other = Assignment(block_id=scenario.block, person_id=scenario.faculty[0], template=ward)
        session.add(other)
        session.flush()
        swap = {**wish(scenario, scenario.faculty[0]), "return_assignment_id": other.id}
        request_swap(session, **swap)
        ward_id = ward.id
    with sessions() as session:
        does = dict(session.execute(select(Assignment.person_id, Assignment.template_id)).all())
    assert does == {scenario.owner: ward_id, scenario.faculty[0]: scenario.template}


def swap_during_a_note(ann, bob, scenario):
    """Let Ann take a shift while Bob is adding to its note; return its version then."""
    append_note(bob, scenario.assignment, "Room 4")
    taking = ann.start(lambda session: request_swap(session, **wish(scenario, scenario.faculty[0])))
    assert taking.blocked_by == ["bob"]
    bob.commit()
    taking.result()
    ann.commit()
    return bob.get_one(Assignment, scenario.assignment).version


def test_swap_and_note_are_both_counted(separate_sessions, sessions, concurrent_edit_scenario):
    """2.2: a swap waits for who edits the shift, and both edits have a version of their own."""
    with separate_sessions("ann", "bob") as (ann, bob):
        assert swap_during_a_note(ann, bob, concurrent_edit_scenario) == 3


@pytest.mark.backends("postgres")
def test_mutant_swap_without_for_update_counts_one_version_twice(
    separate_sessions, engine, concurrent_edit_scenario
):
    """2.2 mutant: a swap that locks no row gives out a version that the note has already."""
    without = rewritten(engine, r"\s+FOR UPDATE", "")
    with without, separate_sessions("ann", "bob") as (ann, bob):
        assert swap_during_a_note(ann, bob, concurrent_edit_scenario) == 2


def edit_after_a_swap(sessions, scenario):
    """Edit a shift, as it was seen before it changed hands."""
    with sessions.begin() as session:
        request_swap(session, **wish(scenario, scenario.faculty[0]))
    with sessions.begin() as session:
        return edit_assignment(session, scenario.assignment, version=1, changes={"note": "x"})


def test_edit_of_a_shift_that_changed_hands_is_refused(sessions, concurrent_edit_scenario):
    """2.2: a swap counts as an edit: who saw the shift before edits it no more."""
    with pytest.raises(StaleVersion, match="Assignment 1 is at version 2, not 1"):
        edit_after_a_swap(sessions, concurrent_edit_scenario)


def test_mutant_that_asks_for_no_version_edits_somebody_elses_shift(
    sessions, engine, concurrent_edit_scenario
):
    """2.2 mutant: without the condition the edit ends up in a shift of somebody else."""
    with rewritten(engine, r"assignment\.version = \S+", ALWAYS):
        edited = edit_after_a_swap(sessions, concurrent_edit_scenario)
    assert (edited.person_id, edited.note) == (concurrent_edit_scenario.faculty[0], "x")
