"""The tool server (requirements 2.8): scheduling over the Model Context Protocol."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter

import pytest
from mcp import Client, StdioServerParameters
from pytest_concurrency import PerfTimer, assert_slo
from sqlalchemy import func, select

from engines import production_engine
from residency.services import swaps
from residency.services.idempotency import Claim
from residency.settings import Settings
from residency.store.engine import engine_of
from residency.store.migrate import upgrade
from residency.store.models import (
    Assignment,
    Block,
    DigestLine,
    IdempotencyRecord,
    Person,
    RotationTemplate,
    ScheduleRun,
    SwapRequest,
    Task,
    now,
)
from residency.tools import desk, long
from residency.tools.server import make_server

MONDAY = date(2026, 1, 5)
READING = {
    "find_people",
    "list_shifts",
    "find_swap_partners",
    "read_schedule_run",
    "check_compliance",
}
CHANGING = {"request_swap", "edit_shift", "add_note", "generate_schedule", "count_shifts"}
DAY_AFTER = dict.fromkeys(("first_day", "last_day"), f"{MONDAY + timedelta(days=4)}")
WEEK = {"first_day": f"{MONDAY}", "last_day": f"{MONDAY + timedelta(days=6)}"}


@pytest.fixture
def database_engine(database):
    """The engine with the pool that production has: five connections, and five more."""
    made = production_engine(database, lock_seconds=30, pool_timeout=30)
    yield made
    made.dispose()


@pytest.fixture
def week(sessions):
    """Forty of the faculty; the first twenty work on Monday morning, the others on Tuesday's."""
    with sessions.begin() as session:
        template = RotationTemplate(name="Clinic", hours=5.0, is_supervised=False)
        people = [Person(name=f"Dr. {number:02d}", role="faculty") for number in range(40)]
        blocks = [
            Block(day=MONDAY + timedelta(days=number), half=half)
            for number, half in itertools.product(range(7), ("AM", "PM"))
        ]
        session.add_all([template, *people, *blocks])
        session.flush()
        shifts = [
            Assignment(block=blocks[0 if number < 20 else 2], person=person, template=template)
            for number, person in enumerate(people)
        ]
        session.add_all(shifts)
        session.flush()
        return Week(people=[one.id for one in people], shifts=[one.id for one in shifts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Who there is, and the shift of each."""

    people: list
    shifts: list


class Caller:
    """A client whose calls return what a tool answered, or raise what it refused."""

    def __init__(self, client):
        self.client = client

    async def __call__(self, tool, *, told=None, **arguments):
        result = await self.client.call_tool(tool, arguments, progress_callback=told)
        if result.is_error:
            raise Refused(result.content[0].text)
        content = result.structured_content
        return content["result"] if set(content) == {"result"} else content


class Refused(Exception):
    """What a tool said instead of an answer."""


@pytest.fixture
def tools(engine, planner):
    """Connects to the tool server, in this process; gives what calls its tools."""
    with ThreadPoolExecutor(1) as executor:
        server = make_server(engine, planner=planner, executor=executor)

        @asynccontextmanager
        async def connect(mode="auto"):
            async with Client(server, mode=mode) as client:
                yield Caller(client)

        yield connect


def count(sessions, table):
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(table))


# --- what there is ---


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_say_what_they_take_and_whether_they_change(tools, mode):
    """2.8: the operations are tools with a description, a schema, and a hint of changes."""

    async def main():
        async with tools(mode) as call:
            return (await call.client.list_tools()).tools

    found = {tool.name: tool for tool in asyncio.run(main())}
    assert set(found) == READING | CHANGING
    for name, tool in found.items():
        assert tool.description
        assert tool.input_schema["type"] == "object"
        assert tool.annotations.read_only_hint is (name in READING)
    swap = found["request_swap"].input_schema
    assert swap["required"] == ["assignment_id", "owner_id", "taker_id"]
    assert swap["properties"]["assignment_id"]["minimum"] == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_do_what_they_say(tools, week, sessions, mode):
    """2.8: people and shifts are found, edited and swapped, and the tables say so too."""

    async def main():
        async with tools(mode) as call:
            (person,) = await call("find_people", name="dr. 07")
            (shift,) = await call("list_shifts", **WEEK, person_id=person["id"])
            edited = await call(
                "edit_shift", assignment_id=shift["assignment_id"], version=1, note="Late"
            )
            noted = await call("add_note", assignment_id=shift["assignment_id"], text="Room 4")
            partners = await call("find_swap_partners", assignment_id=shift["assignment_id"])
            swap = await call(
                "request_swap",
                assignment_id=shift["assignment_id"],
                owner_id=person["id"],
                taker_id=partners[0]["person_id"],
                return_assignment_id=partners[0]["return_assignment_id"],
            )
            (now_theirs,) = await call("list_shifts", **WEEK, person_id=partners[0]["person_id"])
            return shift, edited, noted, partners, swap, now_theirs

    shift, edited, noted, partners, swap, now_theirs = asyncio.run(main())
    assert (shift["person"], shift["day"], shift["activity"]) == ("Dr. 07", f"{MONDAY}", "Clinic")
    assert (edited["version"], noted["version"], noted["note"]) == (2, 3, "Late\nRoom 4")
    assert len(partners) == 10
    assert all(one["return_day"] == "2026-01-06" for one in partners)
    assert swap["status"] == "done"
    assert now_theirs["assignment_id"] == shift["assignment_id"]
    assert count(sessions, SwapRequest) == 1


def test_generation_tells_how_far_it_is(tools, week, sessions):
    """2.8: a schedule is generated, with a callback for each part of the work."""
    heard = []

    async def told(progress, total, message):
        heard.append((progress, total, message))

    async def main():
        async with tools() as call:
            made = await call("generate_schedule", told=told, **WEEK, key="k1")
            return made, await call("read_schedule_run", run_id=made["run"]["id"])

    made, read = asyncio.run(main())
    assert (made["is_replayed"], made["run"]["status"]) == (False, "done")
    assert read == made["run"]
    assert heard == [
        (1, 3, "Run 1 is entered."),
        (2, 3, "Run 1 is being worked out."),
        (3, 3, "Run 1 is done."),
    ]
    assert count(sessions, Assignment) == 14 * 40


def test_compliance_is_checked(tools, week):
    """2.8: the work-hour rules are checked over the days that are named."""

    async def main():
        async with tools() as call:
            return await call("check_compliance", **WEEK)

    found = asyncio.run(main())
    assert found["assignments"] == 40
    assert found["is_compliant"] is (found["violations"] == 0)


def test_tools_are_served_to_another_process(tmp_path):
    """2.8: ``python -m residency.tools`` serves on standard input and output."""
    url = f"sqlite:///{tmp_path / 'residency.db'}"
    engine = engine_of(Settings(database_url=url))
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(Person.__table__.insert(), {"name": "Dr. Ann", "role": "faculty"})
    engine.dispose()
    process = StdioServerParameters(
        command=sys.executable,
        args=["-m", "residency.tools"],
        env={"RESIDENCY_DATABASE_URL": url},
    )

    async def main():
        async with Client(process) as client:
            return await Caller(client)("find_people", role="faculty")

    assert [one["name"] for one in asyncio.run(main())] == ["Dr. Ann"]


# --- how quick it is ---


def arguments_of(week):
    """Return calls of each tool that do not run out: swaps there and back, edits by version."""
    versions, shifts = itertools.count(1), itertools.cycle(week.shifts)
    ann, bob = week.people[0], week.people[-1]
    both = itertools.cycle([(ann, bob), (bob, ann)])

    def swap():
        owner, taker = next(both)
        return {"assignment_id": week.shifts[0], "owner_id": owner, "taker_id": taker}

    return {
        "find_people": lambda: {"name": "Dr."},
        "list_shifts": lambda: WEEK,
        "find_swap_partners": lambda: {"assignment_id": week.shifts[0]},
        "check_compliance": lambda: WEEK,
        "request_swap": swap,
        "edit_shift": lambda: {
            "assignment_id": week.shifts[0],
            "version": next(versions),
            "note": "x",
        },
        "add_note": lambda: {"assignment_id": next(shifts), "text": "x"},
        "read_schedule_run": lambda: {"run_id": 1},
        "count_shifts": lambda: {"steps": 3},
    }


QUICK = sorted((READING | CHANGING) - {"generate_schedule"})
"""A generation takes what it takes (2.9)."""


@pytest.mark.performance
@pytest.mark.parametrize("tool", QUICK)
def test_one_call_is_quick(tools, week, perf_timer, tool):
    """2.8: one call under 500 ms at p95."""
    arguments, bar = arguments_of(week)[tool], "p95 < 500ms"

    async def main():
        async with tools() as call:
            await call("generate_schedule", **DAY_AFTER, key="k1")
            for _ in perf_timer.until_decided(bar, max_calls=100, seconds=4):
                async with perf_timer:
                    await call(tool, **arguments())

    asyncio.run(main())
    assert_slo(perf_timer, bar, undecided="pass")  # calls resemble their neighbours


@pytest.mark.performance
@pytest.mark.slo("max < 2s")
def test_chain_of_three_is_quick(tools, week, perf_timer):
    """2.8: find a shift, find who can take it, swap: a chain of three under 2 s."""

    async def main():
        async with tools() as call:
            for owner in week.people[:20]:
                async with perf_timer:
                    shift, *_ = await call("list_shifts", **WEEK, person_id=owner)
                    match, *_ = await call(
                        "find_swap_partners", assignment_id=shift["assignment_id"], limit=1
                    )
                    swap = await call(
                        "request_swap",
                        assignment_id=shift["assignment_id"],
                        owner_id=owner,
                        taker_id=match["person_id"],
                        return_assignment_id=match["return_assignment_id"],
                    )
                assert swap["status"] == "done"

    asyncio.run(main())


@pytest.mark.performance
def test_ten_in_parallel_are_quick(tools, week, pool_watch, concurrent_runner):
    """2.8: ten calls in parallel, ten times: all answered, each under 500 ms at p95."""
    owners = itertools.cycle(week.people)

    async def main():
        async with tools() as call:
            await call("find_people")

            async def one():
                return await call("list_shifts", **WEEK, person_id=next(owners))

            return await concurrent_runner(one, workers=10, rounds=10)

    outcome = asyncio.run(main()).raise_errors()
    assert outcome.tally(len) == {1: 100}
    assert_slo(outcome, "p95 < 500ms", "errors < 5%", undecided="pass")
    assert pool_watch.use.timeouts == 0


def test_ten_in_parallel_want_one_shift(tools, week, sessions, concurrent_runner):
    """2.8: of ten calls at once for one shift one gets it; nine are told why, and what to do."""

    async def main():
        async with tools() as call:

            async def take(taker):
                return await call(
                    "request_swap",
                    assignment_id=week.shifts[0],
                    owner_id=week.people[0],
                    taker_id=taker,
                )

            return await concurrent_runner(take, items=week.people[20:30])

    outcome = asyncio.run(main())
    assert outcome.tally(lambda swap: swap["status"]) == {"done": 1}
    winner = week.people.index(outcome.values[0]["taker_id"])
    reason = f"Dr. {winner} has the shift Mon 05 Jan AM by now. Ask them."
    advice = "Ask for another shift, or do what the reason says."
    told = f"Error executing tool request_swap: Swap not possible: {reason} {advice}"
    assert {str(error) for error in outcome.errors} == {told}
    assert len(outcome.errors) == 9
    assert count(sessions, SwapRequest) == 1


def watched_steps(monkeypatch):
    """Note when each step of a digest has ended; return the notes."""
    ended = []
    plain = long.digest_step

    def noting(*args, **options):
        step = plain(*args, **options)

        def one(number):
            rows = step(number)
            ended.append(perf_counter())
            return rows

        return one

    monkeypatch.setattr(long, "digest_step", noting)
    return ended


@pytest.mark.performance
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_callbacks_arrive_at_once(tools, week, monkeypatch, mode):
    """2.8: from the end of a step to its callback it takes under 200 ms at p95."""
    ended, heard = watched_steps(monkeypatch), []

    async def told(progress, _total, _message):
        heard.append((perf_counter(), progress))

    async def main():
        async with tools(mode) as call:
            return await call("count_shifts", told=told, steps=100)

    assert asyncio.run(main())["status"] == "done"
    assert [progress for _, progress in heard] == list(range(1, 101))
    delays = [came - end for (came, _), end in zip(heard, ended, strict=True)]
    assert min(delays) > 0
    assert_slo(delays, "p95 < 200ms", undecided="pass")


@pytest.mark.performance
def test_callbacks_arrive_at_once_while_ten_work(
    tools, week, sessions, monkeypatch, concurrent_runner
):
    """2.8: with ten long calls in parallel callbacks still take under 200 ms at p95."""
    timer = PerfTimer("callbacks")

    async def main():
        async with tools() as call:

            async def one():
                heard = []

                async def told(progress, _total, _message):
                    heard.append(progress)

                async with timer:
                    await call("count_shifts", told=told, steps=10)
                return heard

            return await concurrent_runner(one, workers=10)

    outcome = asyncio.run(main()).raise_errors()
    assert outcome.values == [list(range(1, 11))] * 10
    assert_slo(timer, "max < 2s")  # ten steps of each, 200 ms at most from one to the next
    with sessions() as session:
        assert set(session.scalars(select(Task.status))) == {"done"}


def test_mutant_that_tells_at_the_end_is_noticed(tools, week, monkeypatch):
    """2.8 mutant: callbacks kept until the last step come after it, and the order shows that."""
    order = []
    ended = watched_steps(monkeypatch)

    async def told(progress, _total, _message):
        order.append((progress, len(ended)))

    def telling_late(prepare, steps, context):
        async def step(number):
            rows = await asyncio.to_thread(prepare, number)
            if number == steps - 1:
                for each in range(steps):
                    await context.report_progress(each + 1, steps, "")
            return rows

        return step

    async def main():
        async with tools() as call:
            await call("count_shifts", told=told, steps=3)

    asyncio.run(main())
    assert order == [(1, 1), (2, 2), (3, 3)]
    ended.clear()
    order.clear()
    monkeypatch.setattr(long, "_telling", telling_late)
    asyncio.run(main())
    assert order == [(1, 3), (2, 3), (3, 3)]


# --- what is refused, repeated, cancelled ---


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("request_swap", {"assignment_id": 99, "owner_id": 1, "taker_id": 2}, "no assignment 99"),
        ("request_swap", {"assignment_id": 1, "owner_id": 1, "taker_id": 99}, "no person 99"),
        ("request_swap", {"assignment_id": 1, "owner_id": 1, "taker_id": 2}, "works on Mon 05 Jan"),
        (
            "edit_shift",
            {"assignment_id": 1, "version": 7, "note": "x"},
            "is at version 1, not 7. Read it again",
        ),
        (
            "edit_shift",
            {"assignment_id": "one", "version": 1, "note": "x"},
            "should be a valid integer",
        ),
        ("edit_shift", {"assignment_id": 1, "version": 1}, "Field required"),
        ("add_note", {"assignment_id": 1, "text": ""}, "at least 1 character"),
        ("add_note", {"assignment_id": 1, "text": "a\0b"}, "should match pattern"),
        ("find_swap_partners", {"assignment_id": 99}, "There is no assignment 99"),
        ("list_shifts", {"first_day": "soon", "last_day": "later"}, "valid date"),
        ("read_schedule_run", {"run_id": 2**40}, "less than or equal to"),
        (
            "generate_schedule",
            {"first_day": "2026-01-09", "last_day": "2026-01-05", "key": "k"},
            "last_day 2026-01-05 is before first_day 2026-01-09. Name the first day first.",
        ),
        (
            "generate_schedule",
            {"first_day": "2031-01-05", "last_day": "2031-01-06", "key": "k"},
            "There are no blocks from 2031-01-05 to 2031-01-06.",
        ),
        ("find_people", {"name": "a\0b"}, "should match pattern"),
        ("find_people", {"role": "nurse"}, "should be 'resident' or 'faculty'"),
        ("list_shifts", {"first_day": "2026-01-09", "last_day": "2026-01-05"}, "first day first"),
        (
            "check_compliance",
            {"first_day": "2026-01-09", "last_day": "2026-01-05"},
            "last_day 2026-01-05 is before first_day 2026-01-09. Name the first day first.",
        ),
        ("check_compliance", {"first_day": 0, "last_day": 86400}, "write a day as 2026-01-05"),
        ("generate_schedule", {**WEEK, "key": "a\0b"}, "should match pattern"),
        ("edit_shift", {"assignment_id": 1, "version": True, "note": "x"}, "true is no number"),
        ("count_shifts", {"steps": 0}, "greater than or equal to 1"),
        ("make_coffee", {}, "make_coffee"),
    ],
)
def test_wrong_input_says_what_to_change_and_changes_nothing(
    tools, week, sessions, tool, arguments, text
):
    """2.8: what cannot be done is an answer that a model can act on, and nothing is written."""

    async def main():
        async with tools() as call:
            with pytest.raises(Refused) as refused:
                await call(tool, **arguments)
            return str(refused.value)

    assert text in asyncio.run(main())
    assert [count(sessions, table) for table in (SwapRequest, ScheduleRun, IdempotencyRecord)] == [
        0,
        0,
        0,
    ]
    with sessions() as session:
        assert session.scalar(select(func.max(Assignment.version))) == 1


def test_what_the_database_refuses_says_what_to_do(tools, week, sessions, monkeypatch):
    """2.8: a double booking that only the table notices is told as one, and nothing is written."""
    with sessions.begin() as session:
        session.add(Assignment(block_id=1, person_id=week.people[-1], template_id=1))
    monkeypatch.setattr(swaps, "conflict", lambda *_args, **_options: None)

    async def main():
        async with tools() as call:
            with pytest.raises(Refused) as refused:
                await call(
                    "request_swap",
                    assignment_id=week.shifts[0],
                    owner_id=week.people[0],
                    taker_id=week.people[-1],
                )
            return str(refused.value)

    assert asyncio.run(main()) == (
        "Error executing tool request_swap: "
        "Overtaken: another call changed what this one relies on. Read it again, then call."
    )
    assert count(sessions, SwapRequest) == 0


def test_crash_tells_nothing_of_the_inside(tools, week, sessions, monkeypatch):
    """2.8: an error that nobody foresaw is rolled back, and its text stays on the server."""

    def crash(*_args, **_options):
        message = "password=secret"
        raise RuntimeError(message)

    async def main():
        async with tools() as call:
            with pytest.raises(Refused) as refused:
                await call("generate_schedule", **WEEK, key="k1")
            return str(refused.value)

    monkeypatch.setattr(long, "start_next", crash)
    assert asyncio.run(main()) == "Error executing tool generate_schedule"
    assert (count(sessions, ScheduleRun), count(sessions, IdempotencyRecord)) == (0, 0)


def test_same_key_in_parallel_makes_one_run(tools, week, sessions, concurrent_runner):
    """2.8: ten calls at once with one key make one run; nine are told that it was there."""
    outcome = asyncio.run(generate_ten(tools, concurrent_runner)).raise_errors()
    assert outcome.tally(lambda answer: answer["is_replayed"]) == {False: 1, True: 9}
    assert outcome.distinct(lambda answer: answer["run"]["id"]) == 1
    assert count(sessions, ScheduleRun) == 1


async def generate_ten(tools, concurrent_runner):
    async with tools() as call:

        async def generate():
            return await call("generate_schedule", **WEEK, key="k1")

        return await concurrent_runner(generate, workers=10)


def test_mutant_without_the_claim_makes_a_run_for_each_call(
    tools, week, sessions, concurrent_runner, monkeypatch
):
    """2.8 mutant: without the claim ten calls with one key make ten runs."""

    def always_new(session, *, key, body):
        record = IdempotencyRecord(
            key=f"{key}-{threading.get_ident()}-{perf_counter()}", body_hash="", expires_at=now()
        )
        session.add(record)
        session.flush()
        return Claim(record=record, is_new=True)

    monkeypatch.setattr(long, "create_request", always_new)
    asyncio.run(generate_ten(tools, concurrent_runner)).raise_errors()
    assert count(sessions, ScheduleRun) == 10


def test_same_key_for_other_days_is_refused(tools, week, sessions):
    """2.8: a key stands for one request."""

    async def main():
        async with tools() as call:
            await call("generate_schedule", **WEEK, key="k1")
            with pytest.raises(Refused, match="The key 'k1' was used for a request with another"):
                await call("generate_schedule", **{**WEEK, "last_day": f"{MONDAY}"}, key="k1")

    asyncio.run(main())
    assert count(sessions, ScheduleRun) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_cancelled_call_cancels_its_task(tools, week, sessions, mode):
    """2.8: a client that gives a call up half-way cancels the task; nothing of it stays."""

    async def main():
        half_way = asyncio.Event()

        async def told(progress, _total, _message):
            if progress == 5:
                half_way.set()
                await asyncio.sleep(30)

        async with tools(mode) as call:
            calling = asyncio.ensure_future(call("count_shifts", told=told, steps=1000))
            await asyncio.wait_for(half_way.wait(), 20)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            async with asyncio.timeout(20):
                while (await asyncio.to_thread(status_of_task, sessions)) == "running":
                    pass

    asyncio.run(main())
    assert status_of_task(sessions) == "cancelled"
    assert count(sessions, DigestLine) == 0


def status_of_task(sessions):
    with sessions() as session:
        return session.scalar(select(Task.status))


def test_mutant_that_tells_no_refusal_says_nothing_to_act_on(tools, week, monkeypatch):
    """2.8 mutant: a refusal that is not told as one looks like a fault of the server."""

    async def main():
        async with tools() as call:
            with pytest.raises(Refused) as refused:
                await call("edit_shift", assignment_id=1, version=7, note="x")
            return str(refused.value)

    assert "is at version 1, not 7. Read it again" in asyncio.run(main())
    monkeypatch.setattr(desk, "refusals_told", nullcontext)
    assert asyncio.run(main()) == "Error executing tool edit_shift"


def test_mutant_that_goes_on_after_it_was_cancelled_is_noticed(tools, week, sessions, monkeypatch):
    """2.8 mutant: a task that does not hear of its call's end writes what nobody waits for."""
    plain = long.run_steps_async
    going_on = []

    async def deaf(*args, **options):
        going_on.append(asyncio.ensure_future(plain(*args, **options)))
        return await asyncio.shield(going_on[0])

    monkeypatch.setattr(long, "run_steps_async", deaf)
    monkeypatch.setattr(
        long, "_telling", lambda prepare, _steps, _context: beside_the_loop(prepare)
    )

    async def main():
        async with tools() as call:
            calling = asyncio.ensure_future(call("count_shifts", steps=200))
            async with asyncio.timeout(20):
                while await asyncio.to_thread(count, sessions, Task) == 0:
                    pass
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await asyncio.wait(going_on, timeout=20)

    asyncio.run(main())
    assert status_of_task(sessions) == "done"
    assert count(sessions, DigestLine) == len(week.people)


def beside_the_loop(prepare):
    """Return what does a step beside the loop, and tells nobody."""

    async def step(number):
        return await asyncio.to_thread(prepare, number)

    return step


def test_tools_answer_while_a_schedule_is_generated(engine, week, held_planner, concurrent_runner):
    """2.8: during a generation reads are answered, and swaps are queued and then decided."""

    async def main(server):
        async with Client(server) as client:
            call = Caller(client)
            generating = asyncio.ensure_future(call("generate_schedule", **WEEK, key="k1"))
            await asyncio.to_thread(held_planner.wait_until_begun)
            people = await call("find_people")
            swap = await call(
                "request_swap",
                assignment_id=week.shifts[0],
                owner_id=week.people[0],
                taker_id=week.people[-1],
            )
            held_planner.go_on.release()
            return people, swap, await generating

    with ThreadPoolExecutor(1) as executor:
        server = make_server(engine, planner=held_planner, executor=executor)
        people, swap, made = asyncio.run(main(server))
    assert len(people) == 20
    assert swap["status"] == "queued"
    assert made["run"]["status"] == "done"
