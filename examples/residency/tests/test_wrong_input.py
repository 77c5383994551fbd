"""Wrong input to every endpoint: a 4xx that says what to change, never a 500 or a partial write."""

from __future__ import annotations

import json
import re
import sys
from copy import deepcopy
from datetime import date
from time import monotonic

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from residency.services.errors import NothingToPlan
from residency.services.generation import begin_run
from residency.settings import Settings
from residency.store.models import Base, ScheduleRun, Student, Task
from residency.web.app import make_app
from waiting import wait_until

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
DOCUMENT = make_app(Settings(authentication=False)).openapi()
OPERATIONS = [
    (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
SECONDS = 30
"""How long generated requests go to one operation at most."""
KEY = {"Idempotency-Key": "k1"}
DAYS = {"first_day": "2026-01-05", "last_day": "2026-01-06"}
SWAP = {"assignment_id": 1, "owner_id": 1, "taker_id": 2}


@pytest.fixture
def service(serve):
    """The service without tokens, which gives some to who knows the password."""
    return serve(demo_password="synthetic")


def schema_of(service):
    """Return the OpenAPI document as a service without tokens fulfils it."""
    document = deepcopy(DOCUMENT)
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=str(service.base_url))
    return schema


def everything(engine):
    """Return every row of every table."""
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }


def wait_until_idle(sessions):
    """Return when no run and no task is going; both end by themselves."""
    runs = select(ScheduleRun.id).where(ScheduleRun.status.in_(("running", "waiting")))
    tasks = select(Task.id).where(Task.status.in_(("running", "cancelling")))

    def is_idle():
        with sessions() as session:
            return session.scalar(runs) is None and session.scalar(tasks) is None

    wait_until(is_idle)


def small_numbers(value):
    """Let numbers of rows mean rows that there are, mostly, and years follow each other."""
    if not isinstance(value, dict):
        return value
    found = {name: small_numbers(item) for name, item in value.items()}
    for name, item in value.items():
        if name.endswith("_id") and type(item) is int:
            found[name] = 1 + item % 4
        elif name == "academic_year":
            found[name] = "2026/2027"
    return found


def try_operation(schema, engine, sessions, method, path, examples):
    """Send generated requests, right and wrong ones, and look at all answers and all rows.

    There are so many of them, or fewer if time is up: nobody waits for the last ones.
    """
    tried, time_is_up = [], monotonic() + SECONDS
    strategy = schema[path][method].as_strategy(generation_mode=MODES[0]) | schema[path][
        method
    ].as_strategy(generation_mode=MODES[1])

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case):
        if monotonic() > time_is_up:
            return
        tried.append(case)
        if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
            case.path_parameters = small_numbers(case.path_parameters)
            case.body = small_numbers(case.body)
            case.query = small_numbers(case.query)
        before = everything(engine)
        answer = case.call_and_validate(checks=CHECKS)
        if answer.status_code >= 400:
            assert everything(engine) == before
        wait_until_idle(sessions)

    check()
    assert tried


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_operation_on_sqlite(service, engine, sessions, concurrent_edit_scenario, method, path):
    """Wrong input: each operation of the OpenAPI document, with generated requests."""
    schema = schema_of(service)
    try_operation(schema, engine, sessions, method, path, 25)


@pytest.mark.backends("postgres")
def test_all_operations_on_postgres(service, engine, sessions, concurrent_edit_scenario):
    """Wrong input: all operations of the OpenAPI document, on PostgreSQL."""
    schema = schema_of(service)
    for method, path in OPERATIONS:
        try_operation(schema, engine, sessions, method, path, 8)


DATE_FAULT = (
    "body.last_day: Input should be a valid date or datetime, day value is outside expected range"
)
WRONG = {
    "no key": ("POST", "/schedule-runs", DAYS, {}, 422, "header.Idempotency-Key: Field required"),
    "empty key": (
        "POST", "/schedule-runs", DAYS, {"Idempotency-Key": ""}, 422,
        "header.Idempotency-Key: String should have at least 1 character",
    ),
    "long key": (
        "POST", "/schedule-runs", DAYS, {"Idempotency-Key": "k" * 256}, 422,
        "header.Idempotency-Key: String should have at most 255 characters",
    ),
    "no days": ("POST", "/schedule-runs", {}, KEY, 422,
        "body.first_day: Field required; body.last_day: Field required",
    ),
    "days the wrong way round": (
        "POST", "/schedule-runs", {"first_day": "2026-01-06", "last_day": "2026-01-05"}, KEY, 422,
        "body: Value error, last_day 2026-01-05 is before first_day 2026-01-06",
    ),
    "no such day": (
        "POST", "/schedule-runs", {**DAYS, "last_day": "2026-02-30"}, KEY, 422,
        DATE_FAULT,
    ),
    "days without blocks": (
        "POST", "/schedule-runs", {"first_day": "2031-01-01", "last_day": "2031-01-02"}, KEY, 422,
        "There are no blocks from 2031-01-01 to 2031-01-02.",
    ),
    "unknown field": (
        "POST", "/schedule-runs", {**DAYS, "dry": True}, KEY, 422,
        "body.dry: Extra inputs are not permitted",
    ),
    "no such run": ("GET", "/schedule-runs/7", None, {}, 404, "There is no schedule run 7."),
    "run that is no number": (
        "GET", "/schedule-runs/x", None, {}, 422,
        "path.run_id: Input should be a valid integer, unable to parse string as an integer",
    ),
    "number too large": (
        "GET", f"/assignments/{2**31}", None, {}, 422,
        "path.assignment_id: Input should be less than or equal to 2147483647",
    ),
    "no such assignment": ("GET", "/assignments/7", None, {}, 404, "There is no assignment 7."),
    "edit without a version": (
        "PATCH", "/assignments/1", {"note": "x"}, {}, 422, "body.version: Field required",
    ),
    "edit of another version": (
        "PATCH", "/assignments/1", {"version": 3, "note": "x"}, {}, 409,
        "Assignment 1 is at version 1, not 3.",
    ),
    "edit of an assignment that is not there": (
        "PATCH", "/assignments/7", {"version": 1, "note": "x"}, {}, 404,
        "There is no assignment 7.",
    ),
    "template that is not there": (
        "PATCH", "/assignments/1", {"version": 1, "note": "x", "template_id": 7}, {}, 404,
        "There is no rotation template 7.",
    ),
    "version that is no number": (
        "PATCH", "/assignments/1", {"version": True, "note": "x"}, {}, 422,
        "body.version: Value error, true is no number",
    ),
    "steps that are no number": (
        "POST", "/tasks", {"steps": False}, {}, 422,
        "body.steps: Value error, false is no number",
    ),
    "day that is a moment": (
        "POST", "/schedule-runs", {**DAYS, "first_day": 0}, KEY, 422,
        "body.first_day: Value error, write a day as 2026-01-05",
    ),
    "day that is a moment in the address": (
        "GET", "/assignments?day=0", None, {}, 422,
        "query.day: Value error, write a day as 2026-01-05",
    ),
    "edit of nothing": (
        "PATCH", "/assignments/1", {"version": 1}, {}, 422,
        "body: Value error, name what to change: note or template_id",
    ),
    "note too long": (
        "POST", "/assignments/1/notes", {"text": "x" * 401}, {}, 422,
        "body.text: String should have at most 400 characters",
    ),
    "note with a NUL": (
        "POST", "/assignments/1/notes", {"text": "a\0b"}, {}, 422,
        "body.text: String should match pattern '^[^\\u0000]*$'",
    ),
    "swap of a shift that is not there": (
        "POST", "/swaps", {**SWAP, "assignment_id": 7}, {}, 404, "There is no assignment 7.",
    ),
    "swap in exchange for nothing that is there": (
        "POST", "/swaps", {**SWAP, "return_assignment_id": 7}, {}, 404, "There is no assignment 7.",
    ),
    "swap from nobody": (
        "POST", "/swaps", {**SWAP, "owner_id": 7}, {}, 404, "There is no person 7.",
    ),
    "swap to nobody": (
        "POST", "/swaps", {**SWAP, "taker_id": 7}, {}, 404, "There is no person 7.",
    ),
    "swap with oneself": (
        "POST", "/swaps", {**SWAP, "taker_id": 1}, {}, 409,
        "Dr. Chen has the shift Mon 05 Jan AM already.",
    ),
    "swap of somebody else's shift": (
        "POST", "/swaps", {**SWAP, "owner_id": 3}, {}, 409,
        "Dr. Chen has the shift Mon 05 Jan AM by now. Ask them.",
    ),
    "no such swap": ("GET", "/swaps/7", None, {}, 404, "There is no swap 7."),
    "task of no steps": (
        "POST", "/tasks", {"steps": 0}, {}, 422,
        "body.steps: Input should be greater than or equal to 1",
    ),
    "task of no kind": (
        "POST", "/tasks", {"kind": "x"}, {}, 422, "body.kind: Input should be 'digest'",
    ),
    "no such task": ("POST", "/tasks/7/cancel", None, {}, 404, "There is no task 7."),
    "digest of no task": ("GET", "/tasks/7/digest", None, {}, 404, "There is no task 7."),
    "swaps before the first": (
        "GET", "/swaps?before=0", None, {}, 422,
        "query.before: Input should be greater than or equal to 1",
    ),
    "runs before none": (
        "GET", "/schedule-runs?before=x", None, {}, 422,
        "query.before: Input should be a valid integer, unable to parse string as an integer",
    ),
    "student of blanks": (
        "POST", "/students", {"name": "  "}, {}, 422,
        "body.name: String should match pattern '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$'",
    ),
    "nameless student": (
        "POST", "/students", {"name": ""}, {}, 422,
        "body.name: String should have at least 1 character",
    ),
    "plan of nobody": (
        "POST", "/students/7/plans", {"academic_year": "2026/2027"}, {}, 404,
        "There is no student 7.",
    ),
    "plan of no year": (
        "POST", "/students/7/plans", {"academic_year": "2026"}, {}, 422,
        "body.academic_year: String should match pattern '^[0-9]{4}/[0-9]{4}$'",
    ),
    "plan of years that do not follow": (
        "POST", "/students/7/plans", {"academic_year": "2026/2028"}, {}, 422,
        ("body.academic_year: Value error, 2026/2028 is no academic year; "
        "write a year and the next one: 2026/2027"),
    ),
    "plans of somebody who is not there": (
        "GET", "/students/7/plans", None, {}, 404, "There is no student 7.",
    ),
    "no plan yet": (
        "GET", "/students/7/plans/latest?academic_year=2026/2027", None, {}, 404,
        "Student 7 has no plan for 2026/2027.",
    ),
    "plans of nobody": (
        "GET", "/students/0/plans", None, {}, 422,
        "path.student_id: Input should be greater than or equal to 1",
    ),
    "too few at once": (
        "GET", "/assignments?limit=0", None, {}, 422,
        "query.limit: Input should be greater than or equal to 1",
    ),
    "plot of no run": (
        "GET", "/schedule-runs/7/quality.svg", None, {}, 404, "There is no schedule run 7.",
    ),
    "compliance of no days": (
        "GET", "/compliance?last_day=2026-01-06", None, {}, 422,
        "query.first_day: Field required",
    ),
    "contingency of no days": (
        "GET", "/resilience/contingency", None, {}, 422,
        "query.first_day: Field required; query.last_day: Field required",
    ),
    "defence of no day": (
        "GET", "/resilience/defence?first_day=2026-01-05&last_day=soon", None, {}, 422,
        "query.last_day: Input should be a valid date or datetime, input is too short",
    ),
    "burnout of no day": (
        "GET", "/resilience/burnout?first_day=2026-01-05", None, {}, 422,
        "query.last_day: Field required",
    ),
    "fallback without blocks": (
        "POST", "/fallbacks", {"first_day": "2031-01-01", "last_day": "2031-01-02"}, {}, 422,
        "There are no blocks from 2031-01-01 to 2031-01-02.",
    ),
    "fallback that nobody deployed": (
        "POST", "/fallbacks/7/roll-back", None, {}, 404, "There is no schedule run 7.",
    ),
    "task that nobody started": ("GET", "/tasks/7", None, {}, 404, "There is no task 7."),
    "unknown role": (
        "GET", "/people?role=nurse", None, {}, 422,
        "query.role: Input should be 'resident' or 'faculty'",
    ),
    "too many at once": (
        "GET", "/people?limit=501", None, {}, 422,
        "query.limit: Input should be less than or equal to 500",
    ),
    "no such address": ("GET", "/shifts", None, {}, 404, "GET /shifts: Not Found."),
    "wrong method": ("DELETE", "/people", None, {}, 405, "DELETE /people: Method Not Allowed."),
    "unknown user": (
        "POST", "/token", {"user": "eve", "password": "x"}, {}, 401,
        "There is no such user and password.",
    ),
}  # fmt: skip


@pytest.mark.backends("sqlite")
def test_wrong_inputs_are_answered_with_what_to_change(service, engine, concurrent_edit_scenario):
    """Wrong input: status, problem document, and not one row changed."""
    before = everything(engine)
    wrong = {}
    for name, (method, path, body, headers, status, detail) in WRONG.items():
        answer = service.request(method, path, json=body, headers=headers)
        found = answer.json()
        if (answer.status_code, found["detail"]) != (status, detail):
            wrong[name] = (answer.status_code, found["detail"])
        assert answer.headers["Content-Type"] == "application/problem+json", name
        assert (found["status"], found["type"]) == (answer.status_code, "about:blank"), name
        assert found["title"], name
        assert found["advice"], name
    assert wrong == {}
    assert everything(engine) == before


def test_every_operation_that_takes_something_is_given_something_wrong():
    """Wrong input: no operation of the OpenAPI document is left out."""
    tried = [(method, url.partition("?")[0]) for method, url, *_ in WRONG.values()]
    left_out = [
        (method, path)
        for method, path in OPERATIONS
        if {"parameters", "requestBody"} & DOCUMENT["paths"][path][method.lower()].keys()
        and not any(
            method == asked and re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", path), url)
            for asked, url in tried
        )
    ]
    assert left_out == []


WRITING = {
    "edit": ("PATCH", "/assignments/1", {"version": 1, "note": "x", "template_id": 1}),
    "note": ("POST", "/assignments/1/notes", {"text": "x"}),
    "swap": ("POST", "/swaps", SWAP),
    "run": ("POST", "/schedule-runs", DAYS),
    "task": ("POST", "/tasks", {"steps": 3}),
    "fallback": ("POST", "/fallbacks", DAYS),
    "student": ("POST", "/students", {"name": "Robin"}),
    "plan": ("POST", "/students/1/plans", {"academic_year": "2026/2027"}),
}


@pytest.mark.parametrize("name", WRITING)
def test_request_that_breaks_at_its_end_writes_nothing(
    service, engine, sessions, concurrent_edit_scenario, name
):
    """No partial write: what breaks at the commit answers 500 and leaves not one row changed."""
    with sessions.begin() as session:
        session.add(Student(name="Robin"))
    before = everything(engine)

    def break_down(_session):
        message = "the power went"
        raise RuntimeError(message)

    method, path, body = WRITING[name]
    event.listen(Session, "before_commit", break_down)
    try:
        answer = service.request(method, path, json=body, headers=KEY)
    finally:
        event.remove(Session, "before_commit", break_down)
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
    assert everything(engine) == before
    assert service.request(method, path, json=body, headers=KEY).status_code < 300


YEAR = b'"academic_year": "2026/2027"'
TOO_DEEP = 422 if sys.version_info >= (3, 12) else 400
"""Python 3.11 gives up while it reads, later ones read what is then refused."""
STRANGE = {
    "no number": (b'{%b, "content": {"a": NaN}}', 422),
    "infinite number": (b'{%b, "content": {"a": 1e999}}', 422),
    "half a surrogate pair": (b'{%b, "content": {"a": "\\ud83d"}}', 422),
    "half a surrogate pair as a name": (b'{%b, "content": {"\\ud83d": 1}}', 422),
    "half a surrogate pair as a field": (b'{%b, "\\ud83d": 1}', 422),
    "NUL": (b'{%b, "content": {"a": "\\u0000"}}', 201),
    "number of 5000 digits": (b'{%b, "content": {"a": ' + b"9" * 5000 + b"}}", 400),
    "20 levels": (b'{%b, "content": ' + b'{"a":' * 20 + b"1" + b"}" * 21, 201),
    "21 levels": (b'{%b, "content": ' + b'{"a":' * 21 + b"1" + b"}" * 22, 422),
    "5000 levels": (b'{%b, "content": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, TOO_DEEP),
    "100000 levels": (b'{%b, "content": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", 400),
    "cut off": (b"{%b", 422),
    "not UTF-8": (b"\xff\xfe", 422),
    "nothing": (b"", 422),
    "null": (b"null", 422),
    "list": (b"[]", 422),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_json_is_refused_or_kept_whole(service, name):
    """Wrong input: what JSON can hold and a database cannot is refused before it gets there."""
    content, status = STRANGE[name]
    content = content.replace(b"%b", YEAR)
    student = service.post("/students", json={"name": "Robin"}).json()["id"]
    headers = {"Content-Type": "application/json"}
    answer = service.post(f"/students/{student}/plans", content=content, headers=headers)
    assert answer.status_code == status
    plans = service.get(f"/students/{student}/plans").json()
    assert len(plans) == (status == 201)
    if plans:
        assert plans[0]["content"] == json.loads(content)["content"]


TEXTS = {
    "name": ("POST", "/students", {}, "name"),
    "note": ("PATCH", "/assignments/1", {"version": 1}, "note"),
    "line": ("POST", "/assignments/1/notes", {}, "text"),
    "user": ("POST", "/token", {"password": "x"}, "user"),
    "password": ("POST", "/token", {"user": "admin"}, "password"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", ["\ud83d", "a\0b"], ids=["half a pair", "NUL"])
def test_text_that_nothing_can_keep_is_refused(service, concurrent_edit_scenario, name, text):
    """Wrong input: half of a surrogate pair, which no encoding has, and NUL, which no column has."""
    method, path, body, field = TEXTS[name]
    content = json.dumps({**body, field: text})
    headers = {"Content-Type": "application/json"}
    answer = service.request(method, path, content=content, headers=headers)
    assert answer.status_code == 422
    assert f"body.{field}: " in answer.json()["detail"]


def test_run_without_blocks_is_refused_by_the_service_too(sessions):
    """Wrong input: the service refuses by itself what the endpoint would have passed on."""
    with sessions.begin() as session, pytest.raises(NothingToPlan, match="There are no blocks"):
        begin_run(session, first_day=date(2031, 1, 1), last_day=date(2031, 1, 2))
