"""Education plans in versions (requirements 2.3)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError
from tenacity import (
    retry_always,
    stop_never,
    wait_exponential,
    wait_random,
    wait_random_exponential,
)

from mutation import drop_constraint, no_lock
from residency.services import plans
from residency.services.errors import NotFound, VersionConflict
from residency.services.plans import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    create_plan,
    create_student,
    get_next_version_number,
    latest_plan,
    retried,
)
from residency.store.models import EducationPlan

YEAR = "2026/2027"
NEXT_YEAR = "2027/2028"


@pytest.fixture
def student(sessions):
    """A student."""
    with sessions.begin() as session:
        return create_student(session, name="Robin").id


def add(session, student, year=YEAR, content=None):
    """Add a plan; return its version."""
    made = create_plan(session, student_id=student, academic_year=year, content=content or {})
    return made.version


def add_once(sessions, student, year=YEAR):
    """Add a plan without trying again."""
    with sessions.begin() as session:
        return add(session, student, year)


def versions(sessions, student, year=YEAR):
    """Return the versions of a year and their parents' versions, in order."""
    with sessions() as session:
        found = session.scalars(
            select(EducationPlan)
            .where(EducationPlan.student_id == student, EducationPlan.academic_year == year)
            .order_by(EducationPlan.version)
        ).all()
    numbers = {one.id: one.version for one in found}
    return [(one.version, numbers.get(one.parent_id)) for one in found]


def chain(length):
    """Return what `versions` returns for plans without a gap, each linked to the one before."""
    return [(number, number - 1 or None) for number in range(1, length + 1)]


def forget_lock(monkeypatch):
    """Take the protection away."""
    monkeypatch.setattr(plans, "take_lock", no_lock)


# --- numbers ---


def test_versions_are_numbered_from_one_and_linked(sessions, student):
    """2.3: plans of a student and year are numbered 1, 2, 3 …, each linked to its parent."""
    assert [add_once(sessions, student) for _ in range(3)] == [1, 2, 3]
    assert versions(sessions, student) == chain(3)


def test_version_is_unique_in_the_table(engine, sessions, student):
    """2.3: the table itself refuses a version twice for a student and academic year."""
    add_once(sessions, student)
    row = {"student_id": student, "academic_year": YEAR, "version": 1, "content": {}}
    with pytest.raises(IntegrityError, match=r"(?i)unique"), sessions.begin() as session:
        session.add(EducationPlan(**row))


def test_latest_version_is_found(sessions, student):
    """2.3: the newest version of a year is found, and none where there is none."""
    for number in (1, 2):
        with sessions.begin() as session:
            add(session, student, content={"goal": number})
    with sessions() as session:
        assert latest_plan(session, student_id=student, academic_year=YEAR).content == {"goal": 2}
        assert latest_plan(session, student_id=student, academic_year=NEXT_YEAR) is None


def test_plan_for_nobody_is_refused(sessions):
    """2.3: a plan of a student who does not exist is refused, with what to do."""
    with pytest.raises(NotFound, match="There is no student 7") as refused:
        add_once(sessions, 7)
    assert refused.value.advice == "Add the student first: POST /students."


# --- in each order that matters, statement by statement ---


@pytest.mark.parametrize(("first_ends", "number"), [("commit", 2), ("rollback", 1)])
def test_next_number_is_given_once(separate_sessions, student, first_ends, number):
    """2.3: the second waits for the first and takes the next number, or the one given back."""
    with separate_sessions("ann", "bob") as (ann, bob):
        assert add(ann, student) == 1
        waiting = bob.start(add, student)
        assert waiting.blocked_by == ["ann"]
        getattr(ann, first_ends)()
        assert waiting.result() == number


def test_advisory_lock_on_postgres_the_whole_database_on_sqlite(
    separate_sessions, student, database_backend
):
    """2.3: what is waited for: an advisory lock on PostgreSQL, the write lock on SQLite."""
    with separate_sessions("ann", "bob") as (ann, bob):
        get_next_version_number(ann, student_id=student, academic_year=YEAR)
        waiting = bob.start(get_next_version_number, student_id=student, academic_year=YEAR)
        assert waiting.blocked_by == ["ann"]
        kind = "the database's write lock" if database_backend == "sqlite" else "advisory lock"
        assert waiting.lock.startswith(kind)
        ann.rollback()
        assert waiting.result() == 1


@pytest.mark.parametrize("other", ["student", "year"])
def test_others_are_not_disturbed_on_postgres(
    separate_sessions, sessions, student, database_backend, other
):
    """2.3: other students and other years do not wait; on SQLite, which has one lock, they do."""
    with sessions.begin() as session:
        somebody = create_student(session, name="Kim").id
    asked = (somebody, YEAR) if other == "student" else (student, NEXT_YEAR)
    with separate_sessions("ann", "bob") as (ann, bob):
        add(ann, student)
        step = bob.start(add, *asked)
        assert step.blocked_by == (["ann"] if database_backend == "sqlite" else [])
        ann.commit()
        assert step.result() == 1


# --- many at once ---


def test_hundred_creations_at_once_all_succeed(sessions, student, concurrent_runner):
    """2.3: 100 creations for one student, with retry: all succeed, no gap, no duplicate."""
    outcome = concurrent_runner(
        lambda: retried(sessions, lambda session: add(session, student)), workers=100
    )
    outcome.raise_errors()
    assert sorted(outcome.values) == list(range(1, 101))
    assert versions(sessions, student) == chain(100)


def test_twenty_creations_without_retry_lose_none(sessions, student, concurrent_runner):
    """2.3: without retry 85 % may do; under the lock 20 of 20 succeed."""
    outcome = concurrent_runner(lambda: add_once(sessions, student), workers=20)
    assert outcome.success_rate == 1.0
    assert versions(sessions, student) == chain(20)


def test_twenty_creations_without_the_lock_succeed_by_trying_again(
    sessions, student, concurrent_runner, monkeypatch
):
    """2.3: should the lock fail, the constraint refuses duplicates and retry makes up for it."""
    forget_lock(monkeypatch)
    outcome = concurrent_runner(
        lambda: retried(sessions, lambda session: add(session, student), attempts=50), workers=20
    )
    assert outcome.success_rate >= 0.95
    assert versions(sessions, student) == chain(len(outcome.values))


def test_hundred_creations_over_http(service, sessions, concurrent_runner):
    """2.3: 100 requests at once: 201 for all, versions 1 to 100, and the latest is found."""
    student = service.post("/students", json={"name": "Robin"}).json()["id"]
    outcome = concurrent_runner(
        lambda: service.post(f"/students/{student}/plans", json={"academic_year": YEAR}),
        workers=100,
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {201: 100}
    assert sorted(answer.json()["version"] for answer in outcome.values) == list(range(1, 101))
    latest = service.get(f"/students/{student}/plans/latest", params={"academic_year": YEAR})
    assert latest.json()["version"] == 100


def test_students_and_years_at_once(sessions, concurrent_runner):
    """2.3: five students, two years each, ten creations each: every year counts for itself."""
    with sessions.begin() as session:
        students = [create_student(session, name=f"s{number}").id for number in range(5)]
    wanted = [(student, year) for student in students for year in (YEAR, NEXT_YEAR)] * 10
    concurrent_runner(
        lambda pair: retried(sessions, lambda session: add(session, *pair)), items=wanted
    ).raise_errors()
    for student in students:
        for year in (YEAR, NEXT_YEAR):
            assert versions(sessions, student, year) == chain(10)


@pytest.mark.performance
def test_bars_of_creation(sessions, student, concurrent_runner, assert_performance):
    """2.3: a student averages under 500 ms, a plan under contention under 2 s."""

    def add_student():
        with sessions.begin() as session:
            return create_student(session, name="Kim").id

    students = concurrent_runner(add_student, workers=20).raise_errors()
    assert_performance(sum(students.durations) / 20, "500ms", "a student")
    contended = concurrent_runner(
        lambda: retried(sessions, lambda session: add(session, student)), workers=20
    ).raise_errors()
    assert_performance(sum(contended.durations) / 20, "2s", "a plan under contention")


def test_mixed_workload_succeeds_and_the_pool_stays_healthy(
    service, engine, pool_watch, concurrent_runner
):
    """2.3: students, plans and queries mixed, 100 at once: over 90 % succeed (here: all)."""
    student = service.post("/students", json={"name": "Robin"}).json()["id"]
    calls = [
        lambda: service.post("/students", json={"name": "Kim"}),
        lambda: service.post(f"/students/{student}/plans", json={"academic_year": YEAR}),
        lambda: service.get(f"/students/{student}/plans"),
        lambda: service.get("/people"),
    ]
    outcome = concurrent_runner(*calls * 25).raise_errors()
    succeeded = [answer.is_success for answer in outcome.values]
    assert sum(succeeded) / len(succeeded) == 1.0
    assert pool_watch.use.timeouts == 0
    assert engine.pool.checkedout() == 0


# --- conflicts and trying again ---


def test_conflict_is_turned_into_a_retryable_error(sessions, student, monkeypatch):
    """2.3: a version taken in between is a VersionConflict, which says to try again."""
    add_once(sessions, student)
    monkeypatch.setattr(plans, "get_next_version_number", lambda *_, **__: 1)
    with pytest.raises(VersionConflict, match="Version 1 of 2026/2027 was taken in between"):
        add_once(sessions, student)


def refuse(_session):
    """Find the number taken."""
    message = "taken"
    raise VersionConflict(message)


def waits_of(sessions, attempts=200):
    """Return for how long somebody waits who never gets through."""
    waits = []
    with pytest.raises(VersionConflict, match="taken"):
        retried(sessions, refuse, attempts=attempts, sleep=waits.append)
    return waits


def check_waits(waits):
    """Hold waits to back-off, jitter and the upper limit."""
    ceilings = [min(FIRST_WAIT * 2**number, LONGEST_WAIT) for number in range(len(waits))]
    assert all(0 <= wait <= most for wait, most in zip(waits, ceilings, strict=True)), "a limit"
    assert len(set(waits)) == len(waits), "jitter"
    assert max(waits) > LONGEST_WAIT / 2, "back-off"


@pytest.mark.backends("sqlite")
def test_retry_waits_longer_each_time_up_to_a_limit(sessions):
    """2.3: exponential back-off with jitter and an upper limit."""
    check_waits(waits_of(sessions))


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize(
    ("waiting", "missed"),
    [
        (wait_random_exponential(multiplier=FIRST_WAIT), "a limit"),
        (wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT), "jitter"),
        (wait_random(0, FIRST_WAIT), "back-off"),
    ],
    ids=["no limit", "no jitter", "no back-off"],
)
def test_mutant_that_waits_otherwise_is_noticed(sessions, monkeypatch, waiting, missed):
    """2.3 mutant: without limit, jitter or back-off the waits are others."""
    monkeypatch.setattr(plans, "wait_random_exponential", lambda **_: waiting)
    with pytest.raises(AssertionError, match=missed):
        check_waits(waits_of(sessions))


@pytest.mark.backends("sqlite")
def test_retry_gives_up_with_the_error_itself(sessions):
    """2.3: after the most attempts the conflict is passed on."""
    assert len(waits_of(sessions, MOST_ATTEMPTS)) == MOST_ATTEMPTS - 1


@pytest.mark.backends("sqlite")
def test_mutant_that_never_gives_up_is_noticed(sessions, monkeypatch):
    """2.3 mutant: without a limit of attempts somebody who never gets through tries for ever."""
    monkeypatch.setattr(plans, "stop_after_attempt", lambda _attempts: stop_never)
    patience = iter(range(100 * MOST_ATTEMPTS))

    def sleep(_seconds):
        if next(patience, None) is None:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        retried(sessions, refuse, sleep=sleep)


@pytest.mark.backends("sqlite")
def test_mutant_that_repeats_what_cannot_succeed_is_noticed(sessions, monkeypatch):
    """2.3 mutant: told to try everything again, retry asks eight times for nobody's plan."""
    monkeypatch.setattr(plans, "retry_if_exception_type", lambda _kinds: retry_always)
    waits = []
    with pytest.raises(NotFound):
        retried(sessions, lambda session: add(session, 7), sleep=waits.append)
    assert len(waits) == MOST_ATTEMPTS - 1


def test_retry_does_not_repeat_what_cannot_succeed(sessions):
    """2.3: only conflicts are tried again; a refusal is passed on at once."""
    attempts = []

    def refuse(session):
        attempts.append(1)
        return add(session, 7)

    with pytest.raises(NotFound):
        retried(sessions, refuse)
    assert len(attempts) == 1


def test_retry_repeats_after_a_lost_connection(sessions, student):
    """2.3: an error of the database itself is tried again, in a transaction of its own."""
    broken = [OperationalError("SELECT 1", {}, SimpleNamespace())]

    def add_once_broken(session):
        number = add(session, student)
        if broken:
            raise broken.pop()
        return number

    assert retried(sessions, add_once_broken) == 1
    assert versions(sessions, student) == chain(1)


# --- the same tests notice when a protection is gone ---


@pytest.mark.backends("postgres")
def test_mutant_without_the_lock_gives_one_number_twice(separate_sessions, student, monkeypatch):
    """2.3 mutant: without the lock both get number 1; the constraint refuses the second."""
    forget_lock(monkeypatch)
    with separate_sessions("ann", "bob") as (ann, bob):
        assert add(ann, student) == 1
        waiting = bob.start(add, student)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        with pytest.raises(VersionConflict):
            waiting.result()


UNIQUE = ("education_plan", "uq_education_plan_student_id_academic_year_version")


def test_mutant_without_the_constraint_keeps_a_number_twice(sessions, engine, student, monkeypatch):
    """2.3 mutant: without the constraint a number that was given twice is kept twice."""
    monkeypatch.setattr(plans, "get_next_version_number", lambda *_, **__: 1)
    drop_constraint(engine, *UNIQUE)
    assert [add_once(sessions, student) for _ in range(2)] == [1, 1]
    assert versions(sessions, student) != chain(2)


@pytest.mark.backends("postgres")
def test_mutant_without_lock_and_constraint_keeps_duplicates(
    separate_sessions, sessions, engine, student, monkeypatch
):
    """2.3 mutant: without the constraint too, version 1 is there twice, and the chain shows it."""
    forget_lock(monkeypatch)
    drop_constraint(engine, *UNIQUE)
    with separate_sessions("ann", "bob") as (ann, bob):
        assert add(ann, student) == 1
        assert bob.start(add, student).result() == 1
        ann.commit()
        bob.commit()
    assert versions(sessions, student) == [(1, None), (1, None)]


def test_mutant_that_reads_before_it_locks_gives_one_number_twice(
    separate_sessions, student, monkeypatch, database_backend
):
    """2.3 mutant: a number read before the lock is taken is old by the time it is used."""
    plain = plans.get_next_version_number

    def read_first(session, *, student_id, academic_year):
        query = select(EducationPlan.version).order_by(EducationPlan.version.desc())
        latest = session.scalars(query.limit(1)).one_or_none()
        plain(session, student_id=student_id, academic_year=academic_year)
        return (latest or 0) + 1

    monkeypatch.setattr(plans, "get_next_version_number", read_first)
    with separate_sessions("ann", "bob") as (ann, bob):
        assert add(ann, student) == 1
        waiting = bob.start(add, student)
        assert waiting.blocked_by == ["ann"]
        ann.commit()
        if database_backend == "sqlite":  # it waited before it could read
            assert waiting.result() == 2
            return
        with pytest.raises(VersionConflict):
            waiting.result()


def test_mutant_without_retry_passes_the_conflict_on(sessions, student):
    """2.3 mutant: with one attempt a conflict reaches the caller."""

    def conflict(_session):
        message = "taken"
        raise VersionConflict(message)

    with pytest.raises(VersionConflict):
        retried(sessions, conflict, attempts=1)
