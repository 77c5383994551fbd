"""What is said of a call that cannot be explored, in full."""

import sys

import pytest

from pytest_concurrency import UsageError
from pytest_concurrency.explore.failures import NothingExplored
from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.naming import shown
from pytest_concurrency.explore.schedule import Leg, token


def _share(run):
    rows = []
    run(lambda: rows.append(1), lambda: rows.append(2))


def told(body, kind=UsageError, **options):
    """Return what is said."""
    with pytest.raises(kind) as caught:
        interleave(**options)(body)
    return str(caught.value)


def test_a_call_that_is_none_is_refused():
    """The result of a call, instead of the function."""
    assert told(lambda run: run(len("ab"), print)) == (
        "run: 2 cannot be called. Pass a function: run(f, lambda: g(1))."
    )
    assert told(lambda run: run("x" * 80, print)) == (
        f"run: '{'x' * 39}… cannot be called. Pass a function: run(f, lambda: g(1))."
    )


def test_what_calls_returned_is_refused():
    """A function that was called where it should have been named."""
    assert told(lambda run: run([].clear(), [].clear())) == (
        "run: None cannot be called: it is what a call returned."
        " Pass the function itself: run(f, g)."
    )


def test_calls_in_a_list_are_refused():
    """One list of calls, instead of the calls."""
    assert told(lambda run: run([print, print])) == (
        "run: a list of 2 cannot be called. Unpack it: run(*calls)."
    )


def test_an_argument_that_run_does_not_have_is_refused():
    """What `concurrent_runner` takes, and `run` does not."""
    assert told(lambda run: run(print, workers=2)) == (
        "run: there is no argument 'workers'. Give each worker a call of its own: run(f, f)."
    )


def test_a_body_that_does_not_take_run_is_refused():
    """Without parameters, and with those of fixtures."""

    def nothing():
        pass

    def more(run, counter):
        pass

    assert told(nothing) == (
        "interleave: nothing() is called with one argument, run. Write def nothing(run)."
    )
    assert told(more) == (
        "interleave: more(run, counter) is called with one argument, run. Write def more(run)."
    )


def test_what_is_refused_shows_no_frame_of_ours():
    """A wrong call is told where it was made, without the way through this package."""
    with pytest.raises(UsageError) as option:
        interleave(preemption=2)
    with pytest.raises(UsageError) as call:
        interleave(lambda run: run(1))

    assert [entry.name for entry in option.traceback][1:] == ["interleave", "_chosen"]
    assert "schedule" not in "".join(getattr(call.value, "__notes__", ()))


def test_an_exploration_within_another_is_refused():
    """In the body, and in a worker."""
    said = (
        "interleave: called inside a schedule that is being explored. Call it outside of the body."
    )

    assert told(lambda _run: interleave(_share)) == said
    assert told(lambda run: run(lambda: interleave(_share), lambda: None)) == said


def test_what_is_no_body_is_refused():
    """Something else than a function."""
    assert (
        told("body") == "interleave: 'body' cannot be called. Decorate a function that takes run."
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hang": 0}, "interleave: hang=0 is not a number of seconds above 0. Write hang=10."),
        ({"seed": "x"}, "interleave: seed='x' is not a whole number. Write seed=1."),
        (
            {"preemptions": 1.5},
            "interleave: preemptions=1.5 is not a whole number of at least 0. Write preemptions=2.",
        ),
        (
            {"seconds": "5 parsec"},
            (
                "interleave: seconds='5 parsec': 'parsec' is not a unit."
                " Write one of ns, us, ms, s, min, h, d."
            ),
        ),
        (
            {"replay": 7},
            (
                "interleave: replay=7 is not a token."
                " Write one as a failure shows it: replay='T0x5 T1x*'."
            ),
        ),
        (
            {"replay": "T0x1 then T1x*"},
            (
                "interleave: replay='T0x1 then T1x*': 'then' is not a leg. A leg is a worker and"
                " its points: T0x5 for five, T1x* until it ends or waits."
                " Write one as a failure shows it: 'T0x5 T1x*'."
            ),
        ),
        (
            {"packages": ["zzz_nothing"]},
            (
                "interleave: packages=['zzz_nothing']: 'zzz_nothing' cannot be imported."
                " Install it, or name it as it is imported."
            ),
        ),
        (
            {"packages": ["itertools"]},
            (
                "interleave: packages=['itertools']: 'itertools' is not written in Python, so it"
                " has no points. Leave it out."
            ),
        ),
        (
            {"zzz": 1},
            (
                "interleave: there is no option 'zzz'."
                " It takes preemptions, schedules, seconds, packages, seed, replay."
            ),
        ),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(options, said):
    """Each with what to write."""
    assert told(_share, **options) == said


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_tools_that_leave_no_place_are_named():
    """Who has the places of ``sys.monitoring``."""
    taken = [tool for tool in range(6) if sys.monitoring.get_tool(tool) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, f"tool {tool}")
    try:
        said = told(_share)
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)

    if 1 in taken:
        assert said == (
            "interleave: all tool ids of sys.monitoring are taken, by tool 4, tool 3, tool 5,"
            " tool 2, tool 0. Run without one of them."
        )
    assert said.endswith("Run without one of them.")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
def test_one_place_is_enough():
    """A profiler and a debugger may have all others."""
    taken = [tool for tool in range(5) if sys.monitoring.get_tool(tool) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, f"tool {tool}")
    try:
        assert interleave(_share).exhausted
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)


def test_nothing_to_explore_is_told():
    """No worker at all, and one."""
    said = "Nothing was explored: one worker ran alone. Start two or more: run(f, g)."

    assert told(lambda run: run(lambda: None), NothingExplored) == said
    assert told(lambda _run: None, NothingExplored) == said


def test_stand_ins_refuse_what_the_real_things_refuse():
    """With the words of the standard library."""
    import threading
    import time

    found = []

    def body(run):
        def work():
            lock, thread = threading.Lock(), threading.Thread(target=print)
            thread = threading.Thread(target=lambda: None)
            thread.start()
            for call in (
                lock.release,
                threading.RLock().release,
                lambda: lock.acquire(blocking=False, timeout=1),
                thread.start,
                lambda: time.sleep(-1),
                lambda: threading.Semaphore(-1),
                lambda: threading.BoundedSemaphore(1).release(),
                threading.Condition().notify,
                threading.Condition().wait,
            ):
                try:
                    call()
                except (RuntimeError, ValueError) as error:
                    found.append(f"{type(error).__name__}: {error}")

        rows = []
        run(work, lambda: rows.append(1))
        assert rows

    interleave(schedules=1)(body)
    real = []
    lock, thread = threading.Lock(), threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    for call in (
        lock.release,
        threading.RLock().release,
        lambda: lock.acquire(blocking=False, timeout=1),
        thread.start,
        lambda: time.sleep(-1),
        lambda: threading.Semaphore(-1),
        lambda: threading.BoundedSemaphore(1).release(),
        threading.Condition().notify,
        threading.Condition().wait,
    ):
        try:
            call()
        except (RuntimeError, ValueError) as error:
            real.append(f"{type(error).__name__}: {error}")

    assert found[: len(real)] == real


def test_a_leg_of_another_version_is_no_failure():
    """A token that the cache kept and nobody can read any more is passed over."""
    assert interleave(saved="v9:T0")(_share).exhausted
    assert token([Leg(worker=0)]) == "Bx*"
    assert shown(3) == "3"
