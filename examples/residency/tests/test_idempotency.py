"""Idempotent schedule generation (requirements 2.1)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, MultipleResultsFound

from mutation import ALWAYS, NEVER, drop_constraint, no_lock, rewritten
from residency.services import idempotency
from residency.services.errors import InProgress, KeyReused
from residency.services.idempotency import (
    LIFETIME,
    Claim,
    clean_up,
    create_request,
    hash_body,
    mark_completed,
    recorded_answer,
)
from residency.store.models import IdempotencyRecord, ScheduleRun
from residency.web import runs
from waiting import wait_until

BODY = {"first_day": "2026-01-05", "last_day": "2026-01-06"}
OTHER_BODY = {"first_day": "2026-01-05", "last_day": "2026-01-05"}
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def count(sessions, table):
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(table))


def claim(sessions, *, key="k1", body=None, at=None):
    """Claim a key as the endpoint does; return whether the caller was first, and the record."""
    with sessions.begin() as session:
        claimed = create_request(session, key=key, body=body or BODY, at=at)
        return claimed.is_new, claimed.record.id


def ask(service, *, key="k1", body=None, **options):
    return service.post(
        "/schedule-runs", json=body or BODY, headers={"Idempotency-Key": key}, **options
    )


# --- the record ---


def test_hash_depends_on_values_and_not_on_their_order():
    """2.1: a body is hashed whatever the order of its fields."""
    assert hash_body({"a": 1, "b": [1, 2]}) == hash_body({"b": [1, 2], "a": 1})
    assert hash_body({"a": 1, "b": [1, 2]}) != hash_body({"a": 1, "b": [2, 1]})


def test_record_is_unique_on_key_and_hash(engine):
    """2.1: the table itself refuses a second record of one key and body."""
    row = {"key": "k1", "body_hash": "h", "status": "started", "created_at": NOON}
    insert = IdempotencyRecord.__table__.insert().values(expires_at=NOON, **row)
    with engine.begin() as connection:
        connection.execute(insert)
    with pytest.raises(Exception, match=r"(?i)unique"), engine.begin() as connection:
        connection.execute(insert)


def test_expired_key_may_create_again(sessions):
    """2.1: after 24 hours a key is free, for the same body and for another."""
    _, first = claim(sessions, at=NOON)
    assert claim(sessions, at=NOON + LIFETIME - timedelta(seconds=1)) == (False, first)
    is_new, second = claim(sessions, body=OTHER_BODY, at=NOON + LIFETIME)
    assert is_new
    assert count(sessions, IdempotencyRecord) == 1
    assert claim(sessions, body=OTHER_BODY, at=NOON + LIFETIME) == (False, second)


def test_clean_up_removes_the_expired_and_no_other(sessions):
    """2.1: records expire after 24 hours, to the second; the clean-up takes those alone."""
    for hours in (0, 1, 2):
        claim(sessions, key=f"k{hours}", at=NOON + timedelta(hours=hours))
    with sessions.begin() as session:
        assert clean_up(session, at=NOON + LIFETIME - timedelta(seconds=1)) == 0
        assert clean_up(session, at=NOON + LIFETIME + timedelta(hours=1)) == 2
        assert session.scalars(select(IdempotencyRecord.key)).all() == ["k2"]


def test_clean_up_leaves_what_is_claimed_anew_meanwhile(separate_sessions):
    """2.1: a record that somebody renews is not removed by a clean-up that waited for it."""
    later = NOON + LIFETIME
    with separate_sessions("ann", "janitor") as (ann, janitor):
        create_request(ann, key="k1", body=BODY, at=NOON)
        ann.commit()
        assert create_request(ann, key="k1", body=BODY, at=later).is_new
        waiting = janitor.start(clean_up, at=later)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        assert waiting.result() == 0
        janitor.commit()
        assert janitor.scalar(select(func.count()).select_from(IdempotencyRecord)) == 1


# --- who comes at the same time ---


def test_hundred_claims_make_one_record(sessions, concurrent_runner):
    """2.1: racing create_request with the same key and hash yields one record."""
    outcome = concurrent_runner(lambda: claim(sessions), workers=100)
    outcome.raise_errors()
    assert outcome.tally(lambda value: value[0]) == {True: 1, False: 99}
    assert outcome.distinct(lambda value: value[1]) == 1
    assert count(sessions, IdempotencyRecord) == 1


def test_hundred_claims_for_ten_bodies_let_one_body_win(sessions, concurrent_runner):
    """2.1: the same key with another body is refused, for all but one body, however they race."""
    bodies = [{"day": number % 10} for number in range(100)]
    outcome = concurrent_runner(lambda body: claim(sessions, body=body), items=bodies)
    assert outcome.tally(lambda value: value[0]) == {True: 1, False: 9}
    assert len(outcome.errors) == 90
    assert {type(error) for error in outcome.errors} == {KeyReused}
    assert count(sessions, IdempotencyRecord) == 1


def test_hundred_completions_keep_the_first_answer(sessions, concurrent_runner):
    """2.1: racing mark_completed is harmless: one call keeps its answer, all others none."""
    _, record = claim(sessions)

    def complete(worker):
        with sessions.begin() as session:
            answer = {"id": worker.index}
            return mark_completed(session, record, status_code=202, answer=answer), worker.index

    outcome = concurrent_runner(complete, workers=100).raise_errors()
    winners = [index for won, index in outcome.values if won]
    assert len(winners) == 1
    with sessions() as session:
        assert session.get_one(IdempotencyRecord, record).answer == {"id": winners[0]}


# --- in each order that matters, statement by statement ---


@pytest.mark.parametrize("first_ends", ["commit", "rollback"])
def test_second_claim_waits_for_the_end_of_the_first(separate_sessions, first_ends):
    """2.1: while the first is at work the second waits; then it replays, or does the work."""
    with separate_sessions("ann", "bob") as (ann, bob):
        first = create_request(ann, key="k1", body=BODY)
        mark_completed(ann, first.record.id, status_code=202, answer={"id": 7})
        waiting = bob.start(create_request, key="k1", body=BODY)
        assert waiting.blocked_by == ["ann"]
        getattr(ann, first_ends)()
        second = waiting.result()
        assert second.is_new is (first_ends == "rollback")
        if first_ends == "commit":
            assert recorded_answer(second) == (202, {"id": 7})


def test_claim_for_another_body_waits_and_is_refused(separate_sessions):
    """2.1: who comes with another body does not slip in before the first has committed."""
    with separate_sessions("ann", "bob") as (ann, bob):
        create_request(ann, key="k1", body=BODY)
        waiting = bob.start(create_request, key="k1", body=OTHER_BODY)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        with pytest.raises(KeyReused, match="The key 'k1' was used for a request with another"):
            waiting.result()


def test_other_key_waits_on_sqlite_only(separate_sessions, database_backend):
    """2.1: keys do not disturb each other on PostgreSQL; SQLite has one lock for everything."""
    with separate_sessions("ann", "bob") as (ann, bob):
        create_request(ann, key="k1", body=BODY)
        other = bob.start(create_request, key="k2", body=BODY)
        assert other.blocked_by == (["ann"] if database_backend == "sqlite" else [])
        ann.commit()
        assert other.result().is_new


# --- over HTTP ---


def test_hundred_requests_make_one_run(
    service, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.1: 100 identical requests: one run, one id in all answers, all but the first replayed."""
    outcome = concurrent_runner(lambda: ask(service), workers=100).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {202: 100}
    assert outcome.distinct(lambda answer: answer.json()["id"]) == 1
    replayed = outcome.tally(lambda answer: answer.headers.get("X-Idempotency-Replayed"))
    assert replayed == {None: 1, "true": 99}
    assert count(sessions, ScheduleRun) == 1


def test_replayed_answer_is_the_first_one_to_the_byte(service, concurrent_edit_scenario):
    """2.1: a repeat is answered as the first was, whatever has become of the run by then."""
    first, second = ask(service), ask(service)
    assert second.content == first.content
    assert second.headers["X-Idempotency-Replayed"] == "true"
    assert "X-Idempotency-Replayed" not in first.headers


def test_same_key_with_another_body_is_422(service, sessions, concurrent_edit_scenario):
    """2.1: same key, other body: HTTP 422 with what to do, and no run."""
    ask(service)
    refused = ask(service, body=OTHER_BODY)
    assert refused.status_code == 422
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json() == {
        "type": "about:blank",
        "status": 422,
        "title": "Idempotency key reused",
        "detail": "The key 'k1' was used for a request with another body.",
        "advice": "Send a new Idempotency-Key for a new request.",
    }
    assert count(sessions, ScheduleRun) == 1


def expire(sessions):
    """Let a day pass for every record."""
    with sessions.begin() as session:
        session.execute(update(IdempotencyRecord).values(expires_at=NOON))


def test_expired_key_makes_another_run(service, sessions, concurrent_edit_scenario):
    """2.1: after 24 hours the same request is a new one: another run, and not replayed."""
    first = ask(service)
    expire(sessions)
    second = ask(service)
    assert (first.status_code, second.status_code) == (202, 202)
    assert "X-Idempotency-Replayed" not in second.headers
    assert second.json()["id"] != first.json()["id"]
    assert (count(sessions, ScheduleRun), count(sessions, IdempotencyRecord)) == (2, 1)


def test_hundred_with_an_expired_key_make_one_more_run(
    service, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.1: 100 who send an expired key at once make one run together, and 99 are replayed."""
    ask(service)
    expire(sessions)
    outcome = concurrent_runner(lambda: ask(service), workers=100).raise_errors()
    replayed = outcome.tally(lambda answer: answer.headers.get("X-Idempotency-Replayed"))
    assert replayed == {None: 1, "true": 99}
    assert outcome.distinct(lambda answer: answer.json()["id"]) == 1
    assert count(sessions, ScheduleRun) == 2


def test_other_key_is_another_run_that_waits_its_turn(
    serve, sessions, concurrent_edit_scenario, held_planner
):
    """2.1: another key makes another run, also while one is going: it waits and is then done."""
    service = serve(planner=held_planner)
    first, second = ask(service, key="k1").json(), ask(service, key="k2").json()
    held_planner.wait_until_begun()
    assert (first["status"], second["status"]) == ("running", "waiting")
    assert second["id"] != first["id"]
    read = service.get(f"/schedule-runs/{second['id']}").json()
    assert (read["status"], read["started_at"]) == ("waiting", None)
    held_planner.go_on.release()
    held_planner.wait_until_begun()
    states = [
        service.get(f"/schedule-runs/{run['id']}").json()["status"] for run in (first, second)
    ]
    assert states == ["done", "running"]
    held_planner.go_on.release()
    wait_for(service, second["id"], "done")


def test_run_that_fails_lets_the_next_one_begin(serve, concurrent_edit_scenario, held_planner):
    """2.1: a run that fails says why in the table, and the one that waits is begun all the same."""
    service = serve(planner=held_planner)
    held_planner.failing = True
    first, second = ask(service, key="k1").json(), ask(service, key="k2").json()
    held_planner.wait_until_begun()
    held_planner.go_on.release()
    held_planner.wait_until_begun()
    failed = service.get(f"/schedule-runs/{first['id']}").json()
    assert failed["status"] == "failed"
    assert failed["statistics"] == {"reason": "ValueError: no schedule satisfies the rules"}
    held_planner.failing = False
    held_planner.go_on.release()
    wait_for(service, second["id"], "done")


def wait_for(service, run_id, status):
    """Return when a run has a status; asking again is all that a client can do."""
    wait_until(lambda: service.get(f"/schedule-runs/{run_id}").json()["status"] == status)


def test_ten_keys_at_once_are_ten_runs_one_at_a_time(
    serve, sessions, concurrent_edit_scenario, concurrent_runner
):
    """2.1: other keys are other runs; none overlaps another, and all are done in the end."""
    service = serve()
    keys = [f"k{number}" for number in range(10)]
    asked = concurrent_runner(lambda key: ask(service, key=key), items=keys).raise_errors()
    assert asked.distinct(lambda answer: answer.json()["id"]) == 10
    for answer in asked.values:
        wait_for(service, answer.json()["id"], "done")
    with sessions() as session:
        done = session.scalars(select(ScheduleRun).order_by(ScheduleRun.started_at)).all()
    for earlier, later in pairwise(done):
        assert earlier.finished_at <= later.started_at


@pytest.mark.parametrize("clients", [20, 100])
def test_retry_storm_makes_one_run(
    service, sessions, concurrent_edit_scenario, concurrent_runner, separate_sessions, clients
):
    """2.1: clients that time out and retry (20 to 100 of them) never create a second run."""
    timed_out = threading.Semaphore(0)

    def insist():
        for attempt in range(200):
            try:
                return ask(service, timeout=0.3 if attempt == 0 else 20)
            except httpx.TimeoutException:
                timed_out.release()
        pytest.fail("the service never answered")

    def open_the_gate(holder):
        for _ in range(clients):
            assert timed_out.acquire(timeout=30)
        holder.rollback()

    with separate_sessions("holder") as (holder,):
        create_request(holder, key="k1", body=BODY)  # everybody waits for this transaction
        outcome = concurrent_runner(*[insist] * clients, lambda: open_the_gate(holder))
    outcome.raise_errors()
    answers = [value for value in outcome.values if value is not None]
    assert len(answers) == clients
    assert {answer.status_code for answer in answers} <= {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert count(sessions, ScheduleRun) == 1


# --- what goes wrong in between ---


@pytest.mark.parametrize("step", ["create_request", "begin_run", "start_next", "mark_completed"])
def test_crash_leaves_nothing_and_the_key_free(
    service, sessions, concurrent_edit_scenario, monkeypatch, step
):
    """2.1: a crash anywhere between claim and completion leaves neither record nor run."""
    plain = getattr(runs, step)

    def crash(*args, **kwargs):
        plain(*args, **kwargs)
        raise RuntimeError(step)

    monkeypatch.setattr(runs, step, crash)
    crashed = ask(service)
    assert (crashed.status_code, crashed.json()["title"]) == (500, "Internal error")
    assert (count(sessions, IdempotencyRecord), count(sessions, ScheduleRun)) == (0, 0)
    monkeypatch.undo()
    again = ask(service)
    assert again.status_code == 202
    assert "X-Idempotency-Replayed" not in again.headers


def test_refused_request_leaves_its_key_free(service, sessions, concurrent_edit_scenario):
    """2.1: a request that is refused has made no run, so its key stands for nothing."""
    nothing_there = {"first_day": "2031-01-05", "last_day": "2031-01-06"}
    assert ask(service, body=nothing_there).status_code == 422
    assert count(sessions, IdempotencyRecord) == 0
    assert ask(service).status_code == 202


# --- the same tests notice when a protection is gone ---


def always_new(session, *, key, body):
    """Claim without looking: every caller is told to do the work."""
    record = IdempotencyRecord(
        key=f"{key}-{threading.get_ident()}-{id(body)}",
        body_hash=hash_body(body),
        expires_at=NOON,
    )
    session.add(record)
    session.flush()
    return Claim(record=record, is_new=True)


def test_mutant_without_claims_makes_a_run_for_each_request(
    service, sessions, concurrent_edit_scenario, concurrent_runner, monkeypatch
):
    """2.1 mutant: without the claim, identical requests make many runs, and the count shows it."""
    monkeypatch.setattr(runs, "create_request", always_new)
    concurrent_runner(lambda: ask(service), workers=10).raise_errors()
    assert count(sessions, ScheduleRun) == 10


def test_mutant_without_the_lock_lets_two_bodies_in(
    separate_sessions, database_backend, monkeypatch
):
    """2.1 mutant: without the key's lock a second body slips in on PostgreSQL.

    On SQLite the transaction has the whole database's lock from its beginning: nothing changes.
    """
    monkeypatch.setattr(idempotency, "take_lock", no_lock)
    with separate_sessions("ann", "bob") as (ann, bob):
        create_request(ann, key="k1", body=BODY)
        other = bob.start(create_request, key="k1", body=OTHER_BODY)
        if database_backend == "sqlite":
            assert other.blocked_by == ["ann"]
            return
        assert other.result().is_new
        ann.commit()
        bob.commit()
        assert ann.scalar(select(func.count()).select_from(IdempotencyRecord)) == 2


def check_then_insert(session, *, key, body):
    """Claim as one would at first: look, then insert."""
    known = select(IdempotencyRecord).where(IdempotencyRecord.key == key)
    found = session.scalars(known).one_or_none()
    if found is not None:
        return Claim(record=found, is_new=False)
    record = IdempotencyRecord(key=key, body_hash=hash_body(body), expires_at=NOON)
    session.add(record)
    session.flush()
    return Claim(record=record, is_new=True)


UNIQUE = ("idempotency_record", "uq_idempotency_record_key_body_hash")


def test_mutant_without_the_unique_constraint_claims_twice(sessions, engine):
    """2.1 mutant: nothing conflicts on insertion then, and the second claim finds two records."""
    drop_constraint(engine, *UNIQUE)
    claim(sessions)
    with pytest.raises(MultipleResultsFound):
        claim(sessions)


@pytest.mark.backends("postgres")
def test_mutant_without_the_unique_constraint_keeps_two_records(separate_sessions, engine):
    """2.1 mutant: looking before inserting is no protection; the constraint is the last one."""
    drop_constraint(engine, *UNIQUE)
    with separate_sessions("ann", "bob") as (ann, bob):
        assert check_then_insert(ann, key="k1", body=BODY).is_new
        assert bob.start(check_then_insert, key="k1", body=BODY).result().is_new
        ann.commit()
        bob.commit()
        assert ann.scalar(select(func.count()).select_from(IdempotencyRecord)) == 2


@pytest.mark.backends("postgres")
def test_mutant_check_then_insert_is_stopped_by_the_constraint(separate_sessions):
    """2.1 mutant: with the constraint the second insert waits, and is refused."""
    with separate_sessions("ann", "bob") as (ann, bob):
        check_then_insert(ann, key="k1", body=BODY)
        waiting = bob.start(check_then_insert, key="k1", body=BODY)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        with pytest.raises(Exception, match="unique"):
            waiting.result()


def test_mutant_that_commits_the_claim_early_leaves_a_key_without_an_answer(sessions):
    """2.1 mutant: a claim committed before its work is done blocks its key after a crash."""
    claim(sessions)  # committed, and then the process dies
    with sessions.begin() as session:
        again = create_request(session, key="k1", body=BODY)
        assert not again.is_new
        with pytest.raises(InProgress, match="The first request with the key 'k1' has no answer"):
            recorded_answer(again)


EXPIRED = r"idempotency_record\.expires_at <= \S+( WITH TIME ZONE)?"
STARTED = r"idempotency_record\.status = \S+"


def test_mutant_that_compares_no_bodies_lets_a_second_one_in(sessions, engine):
    """2.1 mutant: without the comparison a key stands for two requests."""
    claim(sessions)
    with rewritten(engine, r"idempotency_record\.body_hash != \S+", NEVER):
        assert claim(sessions, body=OTHER_BODY)[0]
    assert count(sessions, IdempotencyRecord) == 2


def test_mutant_that_inserts_whatever_is_there_refuses_to_replay(sessions, engine):
    """2.1 mutant: without ON CONFLICT DO NOTHING who asks again gets an error, not an answer."""
    claim(sessions)
    with rewritten(engine, " ON CONFLICT DO NOTHING", ""), pytest.raises(IntegrityError):
        claim(sessions)


def test_mutant_whose_records_expire_at_once_makes_a_second_run(
    service, sessions, engine, concurrent_edit_scenario
):
    """2.1 mutant: a key that is freed before its time makes a run for each request."""
    with rewritten(engine, EXPIRED, ALWAYS):
        first, second = ask(service), ask(service)
    assert "X-Idempotency-Replayed" not in second.headers
    assert first.json()["id"] != second.json()["id"]


def test_mutant_whose_records_never_expire_replays_for_ever(sessions, engine):
    """2.1 mutant: a key that is never freed stands for its first request after days."""
    claim(sessions, at=NOON)
    with rewritten(engine, EXPIRED, NEVER):
        assert not claim(sessions, at=NOON + 2 * LIFETIME)[0]


def test_mutant_clean_up_without_a_condition_takes_what_is_needed(sessions, engine):
    """2.1 mutant: a clean-up that does not ask what has expired removes a key in use."""
    claim(sessions, at=NOON)
    with rewritten(engine, EXPIRED, ALWAYS), sessions.begin() as session:
        assert clean_up(session, at=NOON) == 1


@pytest.mark.backends("postgres")
def test_mutant_clean_up_that_looks_first_takes_what_was_renewed(separate_sessions):
    """2.1 mutant: a clean-up that looks, and removes later by key, takes a record in use."""
    later = NOON + LIFETIME
    expired = select(IdempotencyRecord.key).where(IdempotencyRecord.expires_at <= later)
    with separate_sessions("ann", "janitor") as (ann, janitor):
        create_request(ann, key="k1", body=BODY, at=NOON)
        ann.commit()
        keys = janitor.scalars(expired).all()
        assert create_request(ann, key="k1", body=BODY, at=later).is_new
        ann.commit()
        for key in keys:
            janitor.execute(text("DELETE FROM idempotency_record WHERE key = :key"), {"key": key})
        janitor.commit()
        assert ann.scalar(select(func.count()).select_from(IdempotencyRecord)) == 0


def test_mutant_that_completes_again_changes_the_answer(sessions, engine):
    """2.1 mutant: without a look at the status a second completion replaces the answer."""
    _, record = claim(sessions)
    with rewritten(engine, STARTED, ALWAYS), sessions.begin() as session:
        for number in (1, 2):
            assert mark_completed(session, record, status_code=202, answer={"id": number})
        assert session.get_one(IdempotencyRecord, record).answer == {"id": 2}
