"""A long task is cancelled (requirements 2.2 concurrent editing)."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, text

from mutation import ALWAYS, NoLock, rewritten
from residency.services import tasks
from residency.services.errors import TaskEnded
from residency.services.tasks import (
    cancel_task,
    create_task,
    get_task,
    give_up_left_behind,
    run_steps,
    run_steps_async,
)
from residency.store.models import Student, Task
from waiting import wait_until


def a_student(number):
    return [Student(name=f"student {number}")]


def new_task(sessions, steps=10):
    with sessions.begin() as session:
        return create_task(session, kind="digest", steps=steps).id


def table(sessions, task_id):
    """Return what the task table says, and how many rows the task wrote."""
    with sessions() as session:
        task = get_task(session, task_id)
        rows = session.scalar(select(func.count()).select_from(Student))
        return task.status, task.step, rows


def test_thread_that_checks_a_flag_stops_half_way(sessions, concurrent_runner):
    """2.2: a task of 10 steps sees its flag after five, rolls back, cleans up, is "cancelled"."""
    task_id = new_task(sessions)
    flag, half_way, cleaned = threading.Event(), threading.Event(), []

    def step(number):
        if number == 4:
            half_way.set()
            assert flag.wait(20)
        return a_student(number)

    def cancel():
        assert half_way.wait(20)
        flag.set()

    outcome = concurrent_runner(
        lambda: run_steps(
            sessions, task_id, step, stop=flag.is_set, clean_up=lambda: cleaned.append(1)
        ),
        cancel,
    ).raise_errors()
    assert "cancelled" in outcome.values
    assert table(sessions, task_id) == ("cancelled", 5, 0)
    assert cleaned == [1]


def test_asyncio_task_is_cancelled_half_way(sessions):
    """2.2: an asyncio task cancelled in its fifth step rolls back, cleans up, is "cancelled"."""
    task_id = new_task(sessions)
    cleaned = []

    async def main():
        half_way = asyncio.Event()

        async def step(number):
            if number == 4:
                half_way.set()
                await asyncio.Event().wait()
            return a_student(number)

        work = asyncio.create_task(
            run_steps_async(sessions, task_id, step, clean_up=lambda: cleaned.append(1))
        )
        await half_way.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert table(sessions, task_id) == ("cancelled", 4, 0)
    assert cleaned == [1]


def cancel_while_it_writes(sessions, task_id, monkeypatch, *, cleaned=None, patience=0.2):
    """Cancel an asyncio task while its rows are being written; say when it ended.

    So long it is given to end before it has written.
    """
    writing, go_on = threading.Event(), threading.Event()
    plain = tasks.Work.finish

    def finish(self, clean_up):
        writing.set()
        assert go_on.wait(20)
        return plain(self, clean_up)

    monkeypatch.setattr(tasks.Work, "finish", finish)

    async def main():
        async def step(number):
            return a_student(number)

        def clean_up():
            if cleaned is not None:
                cleaned.append(1)

        work = asyncio.create_task(run_steps_async(sessions, task_id, step, clean_up=clean_up))
        await asyncio.to_thread(writing.wait, 20)
        work.cancel()
        await asyncio.wait([work], timeout=patience)
        ended = "ended before it had written" if work.done() else "ended after it had written"
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        return ended

    return asyncio.run(main())


def test_asyncio_task_cancelled_while_it_writes_is_whole(sessions, monkeypatch):
    """2.2: cancelled while its rows are being written, a task is done, and so says the table."""
    task_id, cleaned = new_task(sessions), []
    ended = cancel_while_it_writes(sessions, task_id, monkeypatch, cleaned=cleaned)
    assert ended == "ended after it had written"
    assert table(sessions, task_id) == ("done", 10, 10)
    assert cleaned == []


def test_asyncio_task_is_cancelled_in_the_table(sessions):
    """2.2: asking in the table stops an asyncio task as it stops a thread."""
    task_id = new_task(sessions)

    async def step(number):
        if number == 4:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    assert asyncio.run(run_steps_async(sessions, task_id, step)) == "cancelled"
    assert table(sessions, task_id) == ("cancelled", 5, 0)


@pytest.mark.parametrize("cancelled_in", range(10))
def test_task_cancelled_in_any_step_leaves_nothing(sessions, cancelled_in):
    """2.2: whenever a task is cancelled, even in its last step, none of its rows is there."""
    task_id = new_task(sessions)

    def step(number):
        if number == cancelled_in:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    assert run_steps(sessions, task_id, step) == "cancelled"
    assert table(sessions, task_id) == ("cancelled", cancelled_in + 1, 0)


def test_task_that_is_not_cancelled_is_done(sessions):
    """2.2: left alone, all ten steps are written together."""
    task_id = new_task(sessions)
    assert run_steps(sessions, task_id, a_student) == "done"
    assert table(sessions, task_id) == ("done", 10, 10)
    with sessions() as session, pytest.raises(TaskEnded, match=f"Task {task_id} is done"):
        cancel_task(session, task_id)


def test_task_that_fails_says_so_and_leaves_nothing(sessions):
    """2.2: a step that raises ends the task as "failed", with nothing written."""
    task_id = new_task(sessions)

    def step(number):
        if number == 4:
            message = "no more paper"
            raise OSError(message)
        return a_student(number)

    with pytest.raises(OSError, match="no more paper"):
        run_steps(sessions, task_id, step)
    assert table(sessions, task_id) == ("failed", 4, 0)


def left_behind(sessions):
    """Let an old and a new task be active, the old one being cancelled; return their states."""
    old, new = new_task(sessions), new_task(sessions)
    with sessions.begin() as session:
        session.get_one(Task, old).created_at -= timedelta(hours=1)
        cancel_task(session, old)
        give_up_left_behind(session)
    assert run_steps(sessions, old, a_student) == "cancelled"
    return [table(sessions, number) for number in (old, new)]


def test_task_of_a_dead_process_is_given_up(sessions):
    """2.2: after an hour the table says "failed"; if the task wakes up, it writes nothing."""
    assert left_behind(sessions) == [("failed", 0, 0), ("running", 0, 0)]


def test_mutant_that_gives_no_task_up_leaves_it_for_ever(sessions, monkeypatch):
    """2.2 mutant: where none is given up, a task of a dead process is "cancelling" for ever."""
    monkeypatch.setattr(tasks, "LONGEST_TASK", timedelta(days=3650))
    old = new_task(sessions)
    with sessions.begin() as session:
        session.get_one(Task, old).created_at -= timedelta(days=30)
        cancel_task(session, old)
        give_up_left_behind(session)
    assert table(sessions, old) == ("cancelling", 0, 0)


@pytest.mark.parametrize("first", ["cancel", "finish"])
def test_cancellation_and_the_end_in_both_orders(separate_sessions, sessions, first):
    """2.2: a task is cancelled or done, never both: whoever comes second finds it decided."""
    task_id = new_task(sessions)
    done = text("UPDATE task SET status = 'done' WHERE id = :id AND status = 'running'")
    with separate_sessions("user", "task") as (user, task):
        if first == "cancel":
            cancel_task(user, task_id)
            end = task.start(done, {"id": task_id})
            assert end.blocked_by == ["user"]
            user.commit()
            assert end.result() == 0
        else:
            assert task.start(done, {"id": task_id}).result() == 1
            asked = user.start(cancel_task, task_id)
            assert asked.blocked_by == ["task"]
            task.commit()
            with pytest.raises(TaskEnded):
                asked.result()


def test_hundred_cancel_one_task_over_http(serve, sessions, concurrent_runner, monkeypatch):
    """2.2: a task is cancelled through the API; 100 who ask at once all get the same answer."""
    half_way, go_on = threading.Event(), threading.Event()

    def held_step(*_, **__):
        def step(number):
            if number == 4:
                half_way.set()
                assert go_on.wait(20)
            return a_student(number)

        return step

    monkeypatch.setattr("residency.web.tasks.digest_step", held_step)
    service = serve()
    task_id = service.post("/tasks", json={"steps": 10}).json()["id"]
    assert half_way.wait(20)
    outcome = concurrent_runner(
        lambda: service.post(f"/tasks/{task_id}/cancel"), workers=100
    ).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {202: 100}
    go_on.set()
    wait_until(lambda: service.get(f"/tasks/{task_id}").json()["status"] == "cancelled")
    assert table(sessions, task_id) == ("cancelled", 5, 0)


def test_digest_counts_everybody_and_can_be_read(service, swap_scenario):
    """2.2: a task that is done has written what it prepared in all of its steps."""
    task_id = service.post("/tasks", json={"steps": 3}).json()["id"]
    wait_until(lambda: service.get(f"/tasks/{task_id}").json()["status"] == "done")
    digest = service.get(f"/tasks/{task_id}/digest").json()
    assert digest == [{"person_id": person, "shifts": 1} for person in swap_scenario.faculty]


def test_mutant_end_without_a_condition_writes_a_cancelled_task(sessions, monkeypatch):
    """2.2 mutant: a task that does not look again at its end writes all rows once cancelled."""

    def careless(self, _clean_up):
        with self._sessions.begin() as session:
            session.add_all(self._rows)
            session.get_one(Task, self._task_id).status = "done"
        return "done"

    monkeypatch.setattr(tasks.Work, "finish", careless)
    task_id = new_task(sessions)

    def step(number):
        if number == 9:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    run_steps(sessions, task_id, step)
    assert table(sessions, task_id)[2] == 10


class TaskTable:
    """One row of the task table in memory, with what a transaction gives: a look and a change."""

    def __init__(self, lock):
        self.lock = lock
        self.status = "running"
        self.rows = []

    def change(self, before, after):
        """Change the status if it is one of some; say whether it was."""
        with self.lock:
            if self.status not in before:
                return False
            self.status = after
            return True


class MemoryWork(tasks.Work):
    """The work of a task whose table is in memory; which steps follow is the service's."""

    def begin(self):
        return 3

    def is_cancelled(self):
        return self._sessions.status == "cancelling"

    def finish(self, clean_up):
        if self._sessions.change(("running",), "done"):
            self._sessions.rows = self._rows
            return "done"
        return self.give_up("cancelled", clean_up)

    def give_up(self, status, clean_up):
        if self._sessions.change(tasks.ACTIVE, status):
            clean_up()
        return status


def run_and_cancel(run, lock):
    """Run a task and cancel it; return how it ended, its rows, and how often it cleaned up."""
    kept, cleaned = TaskTable(lock), []
    run(
        lambda: run_steps(kept, 1, a_student, clean_up=lambda: cleaned.append(1)),
        lambda: kept.change(("running",), "cancelling"),
    )
    return kept.status, len(kept.rows), len(cleaned)


def test_flag_is_checked_in_every_order(interleave, monkeypatch):
    """2.2: whenever a task is cancelled it ends as done or as cancelled, and so do its rows."""
    monkeypatch.setattr(tasks, "Work", MemoryWork)
    ends = set()

    @interleave
    def body(run):
        ends.add(run_and_cancel(run, threading.Lock()))
        assert ends <= {("done", 3, 0), ("cancelled", 0, 1)}

    assert len(ends) == 2


def test_mutant_flag_without_a_lock_is_found(interleave, monkeypatch):
    """2.2 mutant: a look and a change that are not one leave a task that never ends."""
    monkeypatch.setattr(tasks, "Work", MemoryWork)
    with pytest.raises(AssertionError, match="cancelling"):

        @interleave
        def body(run):
            end = run_and_cancel(run, NoLock())
            assert end in {("done", 3, 0), ("cancelled", 0, 1)}


def cancelled_in_its_fifth(sessions):
    """Run a task that is cancelled in the table during its fifth step; return its end."""
    task_id = new_task(sessions)

    def step(number):
        if number == 4:
            with sessions.begin() as session:
                cancel_task(session, task_id)
        return a_student(number)

    run_steps(sessions, task_id, step)
    return table(sessions, task_id)


def test_mutant_that_never_looks_goes_on_to_the_end(sessions, monkeypatch):
    """2.2 mutant: without a look before each step all ten are done in vain."""
    assert cancelled_in_its_fifth(sessions) == ("cancelled", 5, 0)
    with sessions.begin() as session:
        session.execute(delete(Task))
    monkeypatch.setattr(tasks.Work, "is_cancelled", lambda _self: False)
    assert cancelled_in_its_fifth(sessions) == ("cancelled", 10, 0)


def test_mutant_that_cancels_whatever_there_is_reopens_a_task(sessions, engine):
    """2.2 mutant: without a look at the status a task that is done is "cancelling" for ever."""
    task_id = new_task(sessions)
    run_steps(sessions, task_id, a_student)
    with rewritten(engine, r"task\.status = \S+", ALWAYS), sessions.begin() as session:
        assert cancel_task(session, task_id).status == "cancelling"


def test_mutant_that_gives_up_what_is_done_tells_the_table_so(sessions, engine, monkeypatch):
    """2.2 mutant: without a look at the status a task whose rows are there says "cancelled"."""
    task_id = new_task(sessions)
    any_status = r"task\.status IN \((?:[^()]|\([^()]*\))*\)"
    with rewritten(engine, any_status, ALWAYS):
        cancel_while_it_writes(sessions, task_id, monkeypatch)
    assert table(sessions, task_id) == ("cancelled", 10, 10)


def test_mutant_without_the_shield_ends_while_it_writes(sessions, monkeypatch):
    """2.2 mutant: without a shield a cancelled task is over while its thread is still writing."""
    task_id = new_task(sessions)
    monkeypatch.setattr(tasks.asyncio, "shield", lambda awaitable: awaitable)
    ended = cancel_while_it_writes(sessions, task_id, monkeypatch, patience=15)
    assert ended == "ended before it had written"
