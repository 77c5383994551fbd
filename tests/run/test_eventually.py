"""``eventually``: what comes in time is returned, what does not is told with what was seen."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.run.eventually import eventually


def settled(error):
    """Return a text without the times that differ."""
    return re.sub(
        r"\d+(\.\d+)? (ns|\u00b5s|ms|s)\b", "TIME", re.sub(r"\d+ times", "N times", error)
    )


def test_the_first_expected_value_is_returned():
    """Nothing is called again once it is seen."""
    seen = iter(range(10))

    assert eventually(lambda: next(seen), until=lambda value: value == 3) == 3
    assert next(seen) == 4


def test_a_true_value_is_enough():
    """Without ``until`` any true value is waited for."""
    seen = iter([None, "", "booked"])

    assert eventually(lambda: next(seen)) == "booked"


def test_what_happens_in_another_worker_is_seen():
    """A value that another thread sets while this one waits."""
    done = threading.Event()
    timer = threading.Timer(0.005, done.set)
    timer.start()

    assert eventually(done.is_set, timeout="10s") is True
    timer.join()


def test_what_does_not_come_is_told_with_what_was_seen_last():
    """The whole text."""

    def seats():
        return {"left": 3}

    with pytest.raises(BrokenPromise) as broken:
        eventually(seats, until=lambda seen: seen["left"] == 0, timeout="5ms")

    assert settled(str(broken.value)) == (
        "Not within TIME: "
        "test_what_does_not_come_is_told_with_what_was_seen_last.<locals>.seats\n"
        "  last saw     {'left': 3}\n"
        "  unchanged    for TIME\n"
        "  looked       N times in TIME"
    )


def test_an_error_is_not_yet_the_end():
    """A call that raises is made again; its last error is the cause of the failure."""
    seen = iter([1])

    def fetch():
        if next(seen, None):
            raise ConnectionRefusedError
        return "up"

    assert eventually(fetch) == "up"

    def refuse():
        message = "still starting"
        raise ConnectionRefusedError(message)

    with pytest.raises(BrokenPromise) as broken:
        eventually(refuse, timeout="2ms")

    assert "  last raised  ConnectionRefusedError('still starting')\n" in str(broken.value)
    assert isinstance(broken.value.__cause__, ConnectionRefusedError)


def test_an_error_that_is_over_is_no_cause():
    """What was seen last was a value: an error before it explains nothing."""
    raised = []

    def fetch():
        if not raised:
            raised.append(True)
            raise KeyError
        return 0

    with pytest.raises(BrokenPromise, match="last saw     0") as broken:
        eventually(fetch, timeout="5ms")

    assert broken.value.__cause__ is None


def test_there_is_a_last_look_when_the_time_is_over(monkeypatch):
    """A value that came during the last pause is not missed."""
    now, calls = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda pause: now.__setitem__(0, now[0] + pause))

    def fetch():
        calls.append(now[0])
        return now[0] >= 1

    assert eventually(fetch, timeout=1)
    assert calls[:4] == pytest.approx([0, 0.001, 0.003, 0.007])
    assert calls[-1] == pytest.approx(1)


def test_what_ends_a_test_ends_the_wait():
    """A skip is no error of the call."""
    with pytest.raises(pytest.skip.Exception):
        eventually(lambda: pytest.skip("no seats"))


def test_long_values_are_shortened():
    """A page of text hides the rest."""
    with pytest.raises(BrokenPromise) as broken:
        eventually(lambda: "x" * 1_000, until=lambda _: False, timeout="1ms")

    assert max(map(len, str(broken.value).splitlines())) < 220


def test_coroutine_functions_are_awaited():
    """In asyncio's loop, and in trio's."""
    seen = iter([0, 0, 7])

    async def fetch():
        return next(seen, 7)

    async def main():
        return await eventually(fetch)

    assert asyncio.run(main()) == 7
    trio = pytest.importorskip("trio")
    seen = iter([0, 0])
    assert trio.run(main) == 7


def test_coroutine_functions_are_told_alike():
    """What was seen last, after the same time."""

    async def fetch():
        raise KeyError(7)

    async def main():
        await eventually(fetch, timeout="2ms")

    with pytest.raises(BrokenPromise, match=r"last raised  KeyError\(7\)"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"call": 3}, "eventually(call=3): it cannot be called. Give a function."),
        ({"until": 3}, "eventually(until=3): it cannot be called. Give a function."),
        ({"timeout": "5"}, "eventually(timeout='5'): '5' has no unit. Write '5ms' or '5s'."),
        ({"timeout": 0}, "eventually(timeout=0): waiting needs time. Write timeout='5s'."),
        (
            {"timeout": "5 sec"},
            "eventually(timeout='5 sec'): 'sec' is not a unit. Write '5s'.",
        ),
    ],
)
def test_wrong_arguments_are_refused(given, message):
    """Each says what to type."""
    call = given.pop("call", int)

    with pytest.raises(UsageError) as refused:
        eventually(call, **given)

    assert str(refused.value) == message


def test_a_coroutine_from_a_plain_function_is_refused():
    """Nobody would await it, and it is true at once."""

    async def fetch():
        """Do nothing."""

    with pytest.raises(UsageError) as refused:
        eventually(lambda: fetch())  # noqa: PLW0108 - no coroutine function

    assert str(refused.value) == (
        "eventually(test_a_coroutine_from_a_plain_function_is_refused.<locals>.<lambda>): it "
        "returned a coroutine, which nobody awaits. "
        "Pass the coroutine function itself: await eventually(fetch)."
    )
