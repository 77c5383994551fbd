"""The service over HTTP: headers, status codes, tokens, limits, and doing without its parts."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, date, datetime, timedelta

import httpx
import jwt
import pytest
import structlog
from fastapi.exceptions import RequestValidationError
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from residency.services.assignments import append_note
from residency.services.errors import Refusal
from residency.services.generation import begin_run
from residency.services.idempotency import create_request
from residency.services.swaps import request_swap
from residency.services.tasks import create_task
from residency.settings import Settings
from residency.store.models import Assignment, IdempotencyRecord, ScheduleRun, Task
from residency.web import app as applications
from residency.web import problems, tasks, tokens
from residency.web.app import make_app
from residency.web.tokens import ROLES, Tokens
from waiting import wait_until

SECRET = "a secret of at least thirty-two characters"
PASSWORD = "synthetic"
MONDAY = date(2026, 1, 5)
DAYS = {"first_day": "2026-01-05", "last_day": "2026-01-06"}


pytestmark = pytest.mark.backends("sqlite")
"""One is enough for what HTTP looks like."""


# --- tokens ---


@pytest.fixture
def guarded(serve):
    """The service as it is by default: nobody gets in without a token."""
    return serve(authentication=True, token_secret=SECRET, demo_password=PASSWORD)


def bearer(role, **changes):
    """Return the headers of somebody with a role."""
    claims = {
        "sub": role,
        "role": role,
        "exp": datetime.now(UTC) + timedelta(minutes=30),
        **changes,
    }
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_signs_in_and_reads(guarded, role):
    """Tokens: each of the five synthetic users gets a token for 30 minutes, and may read."""
    answer = guarded.post("/token", json={"user": role, "password": PASSWORD})
    assert answer.status_code == 200
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("bearer", 1800)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert guarded.get("/people", headers=headers).status_code == 200


def none_token():
    claims = {"sub": "admin", "role": "admin", "exp": datetime.now(UTC) + timedelta(minutes=30)}
    return {"Authorization": f"Bearer {jwt.encode(claims, '', algorithm='none')}"}


REFUSED = {
    "missing": ({}, "The request has no token."),
    "no bearer": ({"Authorization": "Basic YTpi"}, "The request has no token."),
    "garbage": ({"Authorization": "Bearer x.y.z"}, "The token was not issued here."),
    "expired": (
        bearer("admin", exp=datetime.now(UTC) - timedelta(seconds=1)),
        "The token has expired.",
    ),
    "forged": (
        {
            "Authorization": "Bearer "
            + jwt.encode({"sub": "a", "role": "admin", "exp": 2**31}, "x" * 32, algorithm="HS256")
        },
        "The token was not issued here.",
    ),
    "algorithm none": (none_token(), "The token was not issued here."),
    "no role": (
        {
            "Authorization": "Bearer "
            + jwt.encode({"sub": "a", "exp": 2**31}, SECRET, algorithm="HS256")
        },
        "The token was not issued here.",
    ),
    "unknown role": (bearer("owner"), "There is no role 'owner'."),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_tokens_are_401(guarded, kind):
    """Tokens: expired, forged, missing and algorithm-none tokens are refused, with what to do."""
    headers, detail = REFUSED[kind]
    answer = guarded.get("/people", headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (401, detail)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "POST /token" in answer.json()["advice"]


def test_mutant_that_checks_no_signature_lets_the_forged_in(guarded, monkeypatch):
    """Tokens mutant: without the signature anybody is who they say."""
    plain = jwt.decode

    def trusting(token, secret, **options):
        return plain(token, secret, **{**options, "options": {"verify_signature": False}})

    monkeypatch.setattr(tokens.jwt, "decode", trusting)
    for kind in ("forged", "algorithm none", "expired"):
        assert guarded.get("/people", headers=REFUSED[kind][0]).status_code == 200


def test_what_each_role_may_do(guarded, concurrent_edit_scenario):
    """Tokens: who may generate, edit, swap and read; others are told whom to ask, with 403."""
    asked = {
        "generate": ("POST", "/schedule-runs", DAYS),
        "edit": ("PATCH", "/assignments/1", {"version": 99, "note": "x"}),
        "swap": ("POST", "/swaps", {"assignment_id": 7, "owner_id": 1, "taker_id": 2}),
        "read": ("GET", "/assignments", None),
    }
    may = {}
    for role in ROLES:
        for name, (method, path, body) in asked.items():
            headers = {**bearer(role), "Idempotency-Key": "k1"}
            answer = guarded.request(method, path, json=body, headers=headers)
            if answer.status_code != 403:
                may.setdefault(role, []).append(name)
    assert may == {
        "admin": ["generate", "edit", "swap", "read"],
        "coordinator": ["generate", "edit", "swap", "read"],
        "faculty": ["edit", "swap", "read"],
        "resident": ["swap", "read"],
        "clinical-staff": ["read"],
    }
    refused = guarded.post("/schedule-runs", json=DAYS, headers=bearer("resident"))
    assert refused.json()["detail"] == "The role 'resident' may not POST /schedule-runs."
    assert refused.json()["advice"] == "Ask somebody who is admin or coordinator."


def test_mutant_that_reads_no_role_lets_everybody_generate(
    guarded, concurrent_edit_scenario, monkeypatch
):
    """Tokens mutant: where every token is an administrator's, clinical staff may generate."""
    monkeypatch.setattr(Tokens, "role_of", lambda *_: "admin")
    headers = {**bearer("clinical-staff"), "Idempotency-Key": "k1"}
    assert guarded.post("/schedule-runs", json=DAYS, headers=headers).status_code == 202


def test_refused_requests_change_nothing(guarded, sessions, concurrent_edit_scenario):
    """Tokens: a request without a token leaves no run and no record."""
    headers = {"Idempotency-Key": "k1"}
    assert guarded.post("/schedule-runs", json=DAYS, headers=headers).status_code == 401
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(IdempotencyRecord)) == 0


def test_without_a_password_nobody_signs_in(serve):
    """Tokens: an installation that sets no password for the synthetic users has none."""
    service = serve(authentication=True)
    answer = service.post("/token", json={"user": "admin", "password": ""})
    assert answer.status_code == 401


def test_secret_made_up_differs_from_process_to_process():
    """Tokens: without a secret each process makes one up: its tokens are of no use elsewhere."""
    one, other = Tokens.of(Settings()), Tokens.of(Settings())
    with pytest.raises(Exception, match="The token was not issued here"):
        other.role_of(one.issue("admin", "admin"))
    assert one.role_of(one.issue("admin", "admin")) == "admin"


# --- what is seen ---


def test_every_answer_has_a_number_that_the_log_has_too(serve):
    """Logs: each request is one line with method, path, status, time, and the answer's number."""
    with structlog.testing.capture_logs() as lines:
        service = serve(log_requests=True)
        answer = service.get("/people")
    (line,) = [one for one in lines if one["event"] == "request"]
    number = line.pop("request")
    assert number == answer.headers["X-Request-ID"]
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request", "log_level": "info", "method": "GET", "path": "/people", "status": 200,
    }  # fmt: skip


def test_metrics_count_requests_by_route_and_status(service):
    """Figures: requests are counted under their route, not under each address."""
    for number in (1, 2):
        service.get(f"/assignments/{number}")
    page = service.get("/metrics")
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(page.text)}
    counted = {
        tuple(sorted(sample.labels.items())): sample.value
        for sample in families["residency_requests"].samples
        if sample.name.endswith("_total")
    }
    route = (("method", "GET"), ("route", "/assignments/{assignment_id}"), ("status", "404"))
    assert counted[route] == 2
    assert families["residency_pool_connections"].samples[0].value == 0


def test_fault_is_500_with_a_number_and_no_secret(service, monkeypatch):
    """Logs: an unforeseen error is a problem document that names no internals."""
    monkeypatch.setattr("residency.web.people.select", lambda *_: 1 / 0)
    with structlog.testing.capture_logs() as lines:
        answer = service.get("/people")
    assert answer.status_code == 500
    assert answer.json()["detail"] == "The service has a fault. Nothing was changed."
    assert "division" not in answer.text
    assert answer.headers["X-Request-ID"]
    assert [one["event"] for one in lines] == ["request failed"]


def test_document_describes_problems(service):
    """OpenAPI: each operation says that it may answer with a problem document."""
    document = service.get("/openapi.json").json()
    assert document == make_app(Settings()).openapi()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "application/problem+json" in operation["responses"]["4XX"]["content"]


# --- page by page ---


def pages(service, path, go_on):
    """Read a list two at a time; return the numbers, page by page."""
    found, last = [], None
    while page := service.get(path, params={"limit": 2, **({go_on: last} if last else {})}).json():
        found.append([one["id"] for one in page])
        last = page[-1]["id"]
    return found


def test_lists_are_read_page_by_page(service, sessions, concurrent_edit_scenario):
    """Lists: each page begins where the one before ended, and at the end there is an empty one."""
    scenario = concurrent_edit_scenario
    with sessions.begin() as session:
        for person in scenario.faculty:
            session.add(Assignment(block_id=1, person_id=person, template_id=1))
        for _ in range(3):
            begin_run(session, first_day=MONDAY, last_day=MONDAY)
        for taker in scenario.faculty:
            request_swap(session, assignment_id=1, owner_id=scenario.owner, taker_id=taker)
    assert pages(service, "/people", "after") == [[1, 2], [3]]
    assert pages(service, "/assignments", "after") == [[1, 2], [3]]
    assert pages(service, "/schedule-runs", "before") == [[3, 2], [1]]
    assert pages(service, "/swaps", "before") == [[2, 1]]


# --- the database is busy or gone ---


def test_reader_waits_for_no_writer(service, separate_sessions, concurrent_edit_scenario):
    """2.2: while somebody writes, readers are answered with what was there before."""
    with separate_sessions("writer") as (writer,):
        append_note(writer, 1, "half-way")
        answer = service.get("/assignments/1")
        assert (answer.status_code, answer.json()["note"]) == (200, "")


def test_full_pool_is_503_with_the_time_to_wait(
    serve, separate_sessions, concurrent_edit_scenario, concurrent_runner
):
    """Pool: who gets no connection in time is answered 503, and is served a moment later."""
    service = serve(pool_size=1, max_overflow=0, pool_timeout=0.1, lock_seconds=20)
    refused = threading.Event()

    def write():
        return service.post("/assignments/1/notes", json={"text": "x"}).status_code

    def read():
        wait_until(lambda: "residency_pool_connections 1.0" in service.get("/metrics").text)
        while (answer := service.get("/people")).status_code == 200:
            pass
        refused.set()
        return answer

    def let_go():
        assert refused.wait(20)
        hog.rollback()

    with separate_sessions("hog") as (hog,):
        append_note(hog, 1, "mine")
        outcome = concurrent_runner(write, read, let_go).raise_errors()
    written, answer, _ = outcome.values
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["title"] == "Too busy"
    assert written == 201
    assert service.get("/people").status_code == 200


def test_writer_that_waits_too_long_is_503(serve, separate_sessions, concurrent_edit_scenario):
    """2.2: who cannot get a lock in time is answered 503, and nothing is changed."""
    service = serve(lock_seconds=0.2)
    with separate_sessions("hog") as (hog,):
        append_note(hog, 1, "mine")
        answer = service.post("/assignments/1/notes", json={"text": "yours"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["detail"] == "Nothing was changed."
        hog.rollback()
    assert service.get("/assignments/1").json()["note"] == ""


FAULTS = {
    "overtaken": (IntegrityError("INSERT", {}, Exception()), 409, "Overtaken"),
    "crowded": (PoolTimeout(), 503, "Too busy"),
    "locked": (OperationalError("UPDATE", {}, Exception()), 503, "The database does not answer"),
}


def let_people_fail(monkeypatch, error):
    """Let the endpoint of people raise an error."""

    def fail(*_):
        raise error

    monkeypatch.setattr("residency.web.people.select", fail)


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_database_refuses_is_no_fault(service, monkeypatch, name):
    """Problems: a constraint is 409, a full pool or a lock is 503, each with what to do."""
    error, status, title = FAULTS[name]
    let_people_fail(monkeypatch, error)
    answer = service.get("/people")
    assert (answer.status_code, answer.json()["title"]) == (status, title)
    assert "again" in answer.json()["advice"]
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)


@pytest.mark.parametrize("name", FAULTS)
def test_mutant_without_database_handlers_calls_it_a_fault(serve, monkeypatch, name):
    """Problems mutant: without the handlers whoever only has to wait is told of a fault."""
    monkeypatch.setattr(problems, "_add_database_handlers", lambda _app: None)
    let_people_fail(monkeypatch, FAULTS[name][0])
    assert serve().get("/people").status_code == 500


PROBLEMS = {
    Refusal: ("/assignments/7", 404),
    RequestValidationError: ("/assignments/x", 422),
    HTTPException: ("/shifts", 404),
}


def is_problem(answer, status):
    """Say whether an answer is a problem document of a status."""
    return (answer.status_code, answer.headers["Content-Type"]) == (status, problems.MEDIA_TYPE)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_mutant_without_a_handler_answers_otherwise(service, serve, monkeypatch, kind):
    """Problems mutant: what is refused, unreadable or not there each has its own handler."""
    path, status = PROBLEMS[kind]
    assert is_problem(service.get(path), status)

    def forget(app):
        problems.add_problem_handlers(app)
        app.exception_handlers.pop(kind)

    monkeypatch.setattr(applications, "add_problem_handlers", forget)
    assert not is_problem(serve().get(path), status)


def test_mutant_without_a_last_resort_answers_without_a_problem(serve, monkeypatch):
    """Problems mutant: without it an unforeseen error is a line of text that says nothing."""
    let_people_fail(monkeypatch, ZeroDivisionError())
    monkeypatch.setattr(applications, "LastResort", lambda app: app)
    assert not is_problem(serve().get("/people"), 500)


# --- beginning and end ---


def test_run_left_behind_is_picked_up_at_the_next_start(serve, sessions, concurrent_edit_scenario):
    """Start: a run that waited when its process died is begun by the next one."""
    with sessions.begin() as session:
        begin_run(session, first_day=MONDAY, last_day=MONDAY)
    (run,) = serve().get("/schedule-runs").json()
    assert run["status"] == "done"


def test_expired_records_are_removed_at_the_start(serve, sessions):
    """Start: the clean-up takes what has expired, and no other."""
    with sessions.begin() as session:
        create_request(session, key="old", body={}, at=datetime(2026, 1, 1, tzinfo=UTC))
        create_request(session, key="new", body={})
    serve()
    with sessions() as session:
        assert session.scalars(select(IdempotencyRecord.key)).all() == ["new"]


def stop_during_a_task(engine, sessions, monkeypatch):
    """Stop a service during the first of 50 steps of a task; return how the task ended."""
    begun, go_on = threading.Event(), threading.Event()

    def held_step(*_, **__):
        def step(_number):
            begun.set()
            assert go_on.wait(20)
            return []

        return step

    monkeypatch.setattr("residency.web.tasks.digest_step", held_step)
    settings = Settings(authentication=False, log_requests=False)
    app = make_app(settings, engine=engine, planner=lambda *_: None)

    async def live():
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app):
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.post("/tasks", json={"steps": 50})
            await asyncio.to_thread(begun.wait, 20)
            stopping = app.state.shared.stopping
            waiting.append(threading.Thread(target=lambda: stopping.wait(20) and go_on.set()))
            waiting[0].start()

    waiting = []
    asyncio.run(live())
    waiting[0].join(20)
    with sessions() as session:
        task = session.scalars(select(Task)).one()
        return task.status, task.step


def test_stopping_cancels_long_tasks(engine, sessions, monkeypatch):
    """End: a service that is stopped cancels its long tasks, says so in the table, and ends."""
    assert stop_during_a_task(engine, sessions, monkeypatch) == ("cancelled", 1)
    assert not [one for one in threading.enumerate() if one.name.startswith(("task", "generation"))]


def test_mutant_whose_tasks_hear_nothing_goes_on_to_the_end(engine, sessions, monkeypatch):
    """End mutant: a task that does not ask whether the service stops keeps it from its end."""
    plain = tasks.run_steps
    monkeypatch.setattr(tasks, "run_steps", lambda *work, **_stop: plain(*work))
    assert stop_during_a_task(engine, sessions, monkeypatch) == ("done", 50)


def test_unknown_ids_do_not_create_rows(service, sessions):
    """Reading what is not there leaves nothing behind."""
    for path in ("/schedule-runs/7", "/tasks/7", "/swaps/7", "/assignments/7"):
        assert service.get(path).status_code == 404
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(ScheduleRun)) == 0
        assert create_task(session, kind="digest").id == 1
    assert json.loads(service.get("/schedule-runs").text) == []
