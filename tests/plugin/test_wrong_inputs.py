"""Wrong inputs: each is told in full, with what to type instead, and no traceback of ours."""

from __future__ import annotations

import re

import pytest

CALLS = {
    "concurrent_runner(3)": (
        "concurrent_runner(3): int is not callable. Pass a function itself, not what it returns."
    ),
    "concurrent_runner(None, workers=2)": (
        "concurrent_runner(None): NoneType is not callable. Pass a function itself, not what "
        "it returns."
    ),
    "concurrent_runner(book())": (
        "concurrent_runner(None): NoneType is not callable. Pass a function itself, not what "
        "it returns."
    ),
    "concurrent_runner(pay())": (
        "concurrent_runner(pay(...)): this coroutine can run only once. Pass the coroutine "
        "function itself: concurrent_runner(pay)."
    ),
    "concurrent_runner(book, workers=0)": (
        "concurrent_runner(workers=0): use an integer >= 1, such as workers=8."
    ),
    "concurrent_runner(book, workers=-1)": (
        "concurrent_runner(workers=-1): use an integer >= 1, such as workers=8."
    ),
    'concurrent_runner(book, workers="8")': (
        "concurrent_runner(workers='8'): use an integer >= 1, such as workers=8."
    ),
    "concurrent_runner(book, workers=2.0)": (
        "concurrent_runner(workers=2.0): use an integer >= 1, such as workers=8."
    ),
    "concurrent_runner(book, workers=True)": (
        "concurrent_runner(workers=True): use an integer >= 1, such as workers=8."
    ),
    "concurrent_runner(book, workers=100_000)": (
        "concurrent_runner(workers=100000): at most 10,000 workers are started. For more calls "
        "use rounds=."
    ),
    "concurrent_runner(book, rounds=0)": (
        "concurrent_runner(rounds=0): use an integer >= 1, such as rounds=8."
    ),
    'concurrent_runner(book, rounds="2")': (
        "concurrent_runner(rounds='2'): use an integer >= 1, such as rounds=8."
    ),
    "concurrent_runner(book, items=[])": (
        "concurrent_runner(items=...): there are no items, so nothing would run."
    ),
    "concurrent_runner(book, items=7)": (
        "concurrent_runner(items=7): use a list or another iterable of items."
    ),
    'concurrent_runner(swap, items="ab")': (
        "concurrent_runner(items='ab'): use a list or another iterable of items."
    ),
    "concurrent_runner(book, items=[1])": (
        "concurrent_runner(book): book() takes no item. Each item is its first argument."
    ),
    "concurrent_runner(swap)": (
        "concurrent_runner(swap): swap(one, other) lacks 'one'. "
        "Write concurrent_runner(lambda: swap(...))."
    ),
    "concurrent_runner(swap, items=[1])": (
        "concurrent_runner(swap): swap(one, other) lacks 'other'. Each item is its first argument."
    ),
    "concurrent_runner(book, swap)": (
        "concurrent_runner(swap): swap(one, other) lacks 'one'. "
        "Write concurrent_runner(lambda: swap(...))."
    ),
    "concurrent_runner(book, len, workers=1)": (
        "concurrent_runner(workers=1): 2 callables are given. Use workers=2 or more; the "
        "callables are dealt out in turn."
    ),
    "concurrent_runner(book, book, items=[1])": (
        "concurrent_runner(items=...): 2 callables are given. With items, pass one; each item "
        "becomes its first argument."
    ),
    "concurrent_runner(book, pay)": (
        "concurrent_runner(): coroutine functions and plain functions cannot run together. Use "
        "one kind; a plain function becomes the other with asyncio.to_thread."
    ),
    'concurrent_runner(book, on="thread")': (
        "concurrent_runner(on='thread'): workers are threads, tasks, processes, or the jobs of "
        "a concurrent.futures executor. Write on='threads'."
    ),
    'concurrent_runner(book, on="process")': (
        "concurrent_runner(on='process'): workers are threads, tasks, processes, or the jobs "
        "of a concurrent.futures executor. Write on='processes'."
    ),
    'concurrent_runner(book, on="gevent")': (
        "concurrent_runner(on='gevent'): workers are threads, tasks, processes, or the jobs of "
        "a concurrent.futures executor. Use one of 'threads', 'tasks', 'processes'."
    ),
    "concurrent_runner(book, on=Pool)": (
        "concurrent_runner(on=<class 'test_it.Pool'>): workers are threads, tasks, processes, "
        "or the jobs of a concurrent.futures executor. Use one of 'threads', 'tasks', "
        "'processes'."
    ),
    'concurrent_runner(book, on="tasks")': (
        "concurrent_runner(on='tasks'): a plain function never awaits, so tasks would run it "
        "one after the other. Pass a coroutine function, or use on='threads'."
    ),
    'concurrent_runner(pay, on="processes")': (
        "concurrent_runner(on='processes'): coroutine functions run as tasks. Leave out "
        "on='processes', or pass lambda: asyncio.run(...)."
    ),
    'concurrent_runner(book, timeout="10")': (
        "concurrent_runner(timeout='10'): '10' has no unit. Write '10ms' or '10s'."
    ),
    'concurrent_runner(book, timeout="10 sec")': (
        "concurrent_runner(timeout='10 sec'): 'sec' is not a unit. Write '10s'."
    ),
    'concurrent_runner(book, timeout="soon")': (
        "concurrent_runner(timeout='soon'): 'soon' is not a duration. Write '50ms' or '50s'."
    ),
    "concurrent_runner(book, timeout=0)": (
        "concurrent_runner(timeout=0): a run needs time. Write timeout='10s'."
    ),
    "concurrent_runner(book, timeout=-1)": (
        "concurrent_runner(timeout=-1): -1 is negative. A duration is zero or more."
    ),
    "concurrent_runner(book, timeout=True)": (
        "concurrent_runner(timeout=True): True is not a duration. Write seconds as a number, "
        "or '50ms'."
    ),
    'concurrent_runner(book, timeout="1GB")': (
        "concurrent_runner(timeout='1GB'): '1GB' is a size, not a duration. Write '1ms' or '1s'."
    ),
    'concurrent_runner(book, seed="today")': (
        "concurrent_runner(seed='today'): use an integer, such as seed=1."
    ),
    "concurrent_runner(book, seed=1.5)": (
        "concurrent_runner(seed=1.5): use an integer, such as seed=1."
    ),
    'assert_performance("1s", "1")': (
        "assert_performance('the operation'): '1' has no unit. Write '1ms' or '1s'."
    ),
    'assert_performance(-1, "50ms", "validation")': (
        "assert_performance('validation'): -1 is negative. A duration is zero or more."
    ),
    'assert_performance(None, "50ms")': (
        "assert_performance('the operation'): None is not a duration. Write seconds as a "
        "number, or '50ms'."
    ),
    'measure_time("import").duration': (
        "measure_time('import'): the block has not ended. Read .duration after the with statement."
    ),
}
"""What a test calls, and what it is told."""

MARKERS = {
    "concurrent(8)": (
        "test_it.py::test_it: @pytest.mark.concurrent(8): its arguments have names. Write "
        "@pytest.mark.concurrent(workers=8)."
    ),
    "concurrent(workers=0)": (
        "test_it.py::test_it: @pytest.mark.concurrent(workers=0): workers is 0. Use an integer "
        ">= 1. Write workers=8."
    ),
    'concurrent(workers="8")': (
        "test_it.py::test_it: @pytest.mark.concurrent(workers='8'): workers is '8'. Use an "
        "integer >= 1. Write workers=8."
    ),
    "concurrent(workers=True)": (
        "test_it.py::test_it: @pytest.mark.concurrent(workers=True): workers is True. Use an "
        "integer >= 1. Write workers=8."
    ),
    "concurrent(rounds=0)": (
        "test_it.py::test_it: @pytest.mark.concurrent(rounds=0): rounds is 0. Use an integer "
        ">= 1. Write rounds=8."
    ),
    "concurrent(threads=8)": (
        "test_it.py::test_it: @pytest.mark.concurrent(threads=8): there is no 'threads'. It "
        "takes workers, rounds, timeout."
    ),
    "concurrent(worker=8)": (
        "test_it.py::test_it: @pytest.mark.concurrent(worker=8): there is no 'worker'. Write "
        "workers=."
    ),
    'concurrent(timeout="10")': (
        "test_it.py::test_it: @pytest.mark.concurrent(timeout='10'): timeout: '10' has no "
        "unit. Write '10ms' or '10s'."
    ),
    "concurrent(timeout=0)": (
        "test_it.py::test_it: @pytest.mark.concurrent(timeout=0): a run needs time. Write "
        "timeout='10s'."
    ),
    'concurrent(timeout="abc")': (
        "test_it.py::test_it: @pytest.mark.concurrent(timeout='abc'): timeout: 'abc' is not a "
        "duration. Write '50ms' or '50s'."
    ),
    "concurrent(workers=99999)": (
        "test_it.py::test_it: @pytest.mark.concurrent(workers=99999): at most 10,000 workers "
        "are started. For more calls use rounds=."
    ),
    "class: concurrent(workers=-2)": (
        "test_it.py::TestIt::test_it: @pytest.mark.concurrent(workers=-2): workers is -2. Use "
        "an integer >= 1. Write workers=8."
    ),
    "testcase: concurrent(workers=2)": (
        "test_it.py::TestIt::test_it: @pytest.mark.concurrent(workers=2): a TestCase runs its "
        "methods itself. Mark a plain test function, or call what the marker stands for in the "
        "method."
    ),
    "slo()": (
        "test_it.py::test_it: @pytest.mark.slo(): there is no objective. Write "
        "@pytest.mark.slo('p95 < 50ms')."
    ),
    'slo("p95 < 50")': (
        "test_it.py::test_it: slo('p95 < 50'): the threshold has no unit. Write 'p95 < 50ms' "
        "or 'p95 < 50s'."
    ),
    'slo(limit="50ms")': (
        "test_it.py::test_it: @pytest.mark.slo(limit='50ms'): objectives have no names. Write "
        "@pytest.mark.slo('p95 < 50ms')."
    ),
    "slo(3)": (
        "test_it.py::test_it: @pytest.mark.slo(3): 3 is not an objective. Write 'p95 < 50ms'."
    ),
    "interleave(2)": (
        "test_it.py::test_it: @pytest.mark.interleave(2): its arguments have names. Write "
        "@pytest.mark.interleave(preemptions=2)."
    ),
    "interleave(preemption=2)": (
        "test_it.py::test_it: @pytest.mark.interleave(preemption=2): there is no 'preemption'. "
        "Write preemptions=."
    ),
    "interleave(preemptions=-1)": (
        "test_it.py::test_it: @pytest.mark.interleave(preemptions=-1): preemptions=-1 is not a "
        "whole number of at least 0. Write preemptions=2."
    ),
    "backends()": (
        "test_it.py::test_it: @pytest.mark.backends(): name the back ends. Write "
        "@pytest.mark.backends('sqlite', 'postgres')."
    ),
    'backends("oracle")': (
        "test_it.py::test_it: @pytest.mark.backends('oracle'): 'oracle' is no back end: "
        "sqlite, memory, postgres and URLs are. Write 'sqlite'."
    ),
}
"""A marker, on a function or on what is named before it, and what ends the session."""

OPTIONS = {
    "--concurrency-workers=0": (
        "--concurrency-workers=0: use an integer from 1 to 10,000, or auto. Write "
        "--concurrency-workers=8."
    ),
    "--concurrency-workers=many": (
        "--concurrency-workers=many: use an integer from 1 to 10,000, or auto. Write "
        "--concurrency-workers=8."
    ),
    "--concurrency-workers=-3": (
        "--concurrency-workers=-3: use an integer from 1 to 10,000, or auto. Write "
        "--concurrency-workers=8."
    ),
    "--concurrency-workers=99999": (
        "--concurrency-workers=99999: use an integer from 1 to 10,000, or auto. Write "
        "--concurrency-workers=8."
    ),
    "--concurrency-timeout=10": (
        "--concurrency-timeout=10: '10' has no unit. Write '10ms' or '10s'."
    ),
    "--concurrency-timeout=0s": (
        "--concurrency-timeout=0s: use a time longer than zero. Write --concurrency-timeout=30s."
    ),
    "--concurrency-timeout=soon": (
        "--concurrency-timeout=soon: 'soon' is not a duration. Write '50ms' or '50s'."
    ),
    "--concurrency-timeout=-1s": (
        "--concurrency-timeout=-1s: '-1s' is negative. A duration is zero or more."
    ),
    "--concurrency-seed=today": (
        "--concurrency-seed=today: use an integer. Write --concurrency-seed=1."
    ),
    "--concurrency-unseen=warning": (
        "--concurrency-unseen=warning: there is no 'warning'. Write --concurrency-unseen=warn."
    ),
    "--concurrency-unseen=never": (
        "--concurrency-unseen=never: use one of fail, warn, ignore. Write "
        "--concurrency-unseen=fail."
    ),
    "--slo=strict": ("--slo=strict: use one of off, warn, enforce. Write --slo=enforce."),
    "--slo-undecided=skip": (
        "--slo-undecided=skip: use one of fail, warn, pass. Write --slo-undecided=warn."
    ),
    "--concurrency-schedules=0": (
        "--concurrency-schedules=0: use an integer >= 1. Write --concurrency-schedules=5000."
    ),
}
"""What is typed, and what ends the session."""

KEYS = {
    "concurrency_workers = none": (
        "concurrency_workers = none in tox.ini: use an integer from 1 to 10,000, or auto. "
        "Write concurrency_workers = 8."
    ),
    "concurrency_timeout = 10": (
        "concurrency_timeout = 10 in tox.ini: '10' has no unit. Write '10ms' or '10s'."
    ),
    "concurrency_seed = 1.5": (
        "concurrency_seed = 1.5 in tox.ini: use an integer. Write concurrency_seed = 1."
    ),
    "concurrency_unseen = warning": (
        "concurrency_unseen = warning in tox.ini: there is no 'warning'. Write "
        "concurrency_unseen = warn."
    ),
    "concurrency_leaks = maybe": (
        "concurrency_leaks = maybe in tox.ini: use one of fail, warn, ignore. Write "
        "concurrency_leaks = fail."
    ),
}
"""A line of the configuration file, and what ends the session."""

FUNCTIONS = """
def book():
    pass

def swap(one, other):
    pass

async def pay():
    pass

class Pool:
    pass
"""
MARKED = {
    "": "@pytest.mark.MARK\ndef test_it():\n    pass\n",
    "class": "@pytest.mark.MARK\nclass TestIt:\n    def test_it(self):\n        pass\n",
    "testcase": (
        "import unittest\n\nclass TestIt(unittest.TestCase):\n"
        "    @pytest.mark.MARK\n    def test_it(self):\n        pass\n"
    ),
}


def test_there_are_enough():
    """A promise is kept by its numbers too."""
    assert len(CALLS) + len(MARKERS) + len(OPTIONS) + len(KEYS) >= 80


def test_wrong_calls(suite):
    """One line of text under the line of the call; nothing of this package's in between."""
    ran = suite(
        FUNCTIONS
        + "".join(
            f"\ndef test_{number}(concurrent_runner, measure_time, assert_performance):\n    {call}\n"
            for number, call in enumerate(CALLS)
        )
    )
    found = {}
    for number, call in enumerate(CALLS):
        section = ran.section(f"test_{number}")
        found[call] = re.search(
            r"^E +pytest_concurrency\.UsageError: (.*)$", section, re.MULTILINE
        )[1]
        assert f"\n>       {call}\n" in section
        if call.startswith("concurrent_runner"):
            assert re.search(r"\n\ntest_it\.py:\d+: UsageError$", section)
            assert section.count("\nE ") == 1

    assert found == CALLS


@pytest.mark.parametrize("mark", MARKERS)
def test_wrong_markers(suite, mark):
    """The session ends at collection, with the test's id, the marker as it stands, the remedy."""
    where, _, wrong = mark.rpartition(": ")
    ran = suite("import pytest\n\n" + MARKED[where].replace("MARK", wrong))

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert ran.message == MARKERS[mark]
    assert "Traceback" not in ran.errors


@pytest.mark.parametrize("given", OPTIONS)
def test_wrong_options(suite, given):
    """The session ends before it starts, with the option as it was typed."""
    ran = suite("def test_it(): pass", given)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert ran.message == OPTIONS[given]
    assert "Traceback" not in ran.errors


@pytest.mark.parametrize("line", KEYS)
def test_wrong_keys(suite, line):
    """The session ends before it starts, with the key, its value, the file, and what to write."""
    ran = suite("def test_it(): pass", ini=line)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert ran.message == KEYS[line]
    assert "Traceback" not in ran.errors


def test_texts_are_written_as_all_of_ours():
    """Present tense, no blame, no shouting, an end."""
    for told in [*CALLS.values(), *MARKERS.values(), *OPTIONS.values(), *KEYS.values()]:
        assert not re.search(r"(?i)\b(please|invalid|failed to|illegal|bad)\b|!", told)
        assert told.endswith(".")
