"""Explorations beside other tools and other threads: neither disturbs the other."""

from __future__ import annotations

import json
import sys

import pytest

COUNTER = """
import _thread
import threading
import pytest

class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def increment(self):
        value = self.value
        self.value = value + 1

    def locked(self):
        with self.lock:
            self.value += 1
"""
SERVER = (
    COUNTER
    + """
import http.server
import urllib.request

class Answer(http.server.BaseHTTPRequestHandler):
    made = []

    def do_GET(self):
        with threading.Lock():
            Answer.made.append(threading.current_thread().name)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

@pytest.fixture(scope="session")
def live():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()

def ask(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()

def test_beside(interleave, live):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.locked, counter.locked)
    assert body.exhausted
    assert ask(live) == b"ok"

def test_asked_by_the_body(interleave, live):
    @interleave
    def body(run):
        counter = Counter()
        assert ask(live) == b"ok"
        run(counter.locked, counter.locked)
    assert body.exhausted

def test_asked_by_workers(interleave, live):
    @interleave
    def body(run):
        counter = Counter()
        def work():
            counter.locked()
            return ask(live)
        assert run(work, work) == [b"ok", b"ok"]
    assert body.exhausted
    assert Answer.made
"""
)
RAW = (
    COUNTER
    + """
def test_found(interleave):
    with pytest.raises(AssertionError, match="assert 1 == 2"):
        @interleave
        def body(run):
            counter, done = Counter(), threading.Event()
            def work():
                counter.increment()
                done.set()
            _thread.start_new_thread(work, ())
            counter.increment()
            done.wait()
            assert counter.value == 2

def test_correct(interleave):
    @interleave
    def body(run):
        counter, done = Counter(), [threading.Event(), threading.Event()]
        def work(mine, *, step):
            counter.locked()
            mine.set()
        for one in done:
            _thread.start_new_thread(work, (one,), {"step": 1})
        for one in done:
            one.wait()
        assert counter.value == 2
    assert body.exhausted

def test_what_it_raises_is_told(interleave):
    with pytest.raises(KeyError):
        @interleave
        def body(run):
            rows = {"a": 1}
            def work():
                rows.pop("a")
            _thread.start_new_thread(work, ())
            run(lambda: rows.get("a"), lambda: rows.pop("a", None))
"""
)
MANY = (
    COUNTER
    + """
@pytest.mark.parametrize("number", range(6))
def test_correct(interleave, number):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.locked, counter.locked)
    assert body.exhausted

@pytest.mark.parametrize("number", range(2))
def test_racy(interleave, number):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.increment, counter.increment)
        assert counter.value == 2
"""
)
ASYNC = (
    COUNTER
    + """
import asyncio

@pytest.mark.asyncio
async def test_before():
    await asyncio.sleep(0)

def test_explores(interleave):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.locked, counter.locked)
    assert body.exhausted

@pytest.mark.asyncio
async def test_within(interleave):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.locked, counter.locked)
    assert body.exhausted
    await asyncio.sleep(0)

@pytest.mark.asyncio
async def test_after():
    assert type(asyncio.get_running_loop()).__module__.startswith("asyncio")
"""
)
GIVEN = (
    COUNTER
    + """
from hypothesis import given, settings, strategies as st
from pytest_concurrency import interleave

@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5))
def test_holds(amount):
    def body(run):
        counter = Counter()
        run(counter.locked, counter.locked)
        assert counter.value == 2
    interleave(body)

@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50))
def test_breaks(amount):
    def body(run):
        rows = {"left": 50}
        def take():
            if rows["left"] >= amount:
                rows["left"] -= amount
        run(take, take)
        assert rows["left"] >= 0
    interleave(body)

def test_no_thread_is_left():
    assert [one for one in threading.enumerate() if one.name.startswith("explorer")] == []
"""
)


@pytest.mark.parametrize(
    ("test", "outcomes"), [(SERVER, {"passed": 3}), (RAW, {"passed": 3})], ids=["server", "raw"]
)
def test_threads_beside_and_threads_below(suite, test, outcomes):
    """A live server's thread is not touched and answers; raw threads are workers like others."""
    assert suite(test).outcomes == outcomes


def test_xdist(suite):
    """Explorations run in its workers; failures come back with their timeline and token."""
    ran = suite(MANY, "-n", "2", plugins=["xdist"], apart=True)

    assert ran.outcomes == {"passed": 6, "failed": 2}
    assert "--concurrency-replay='T0x1 T1x*'" in ran.text
    assert "worker 1's write is lost" in ran.text


def test_pytest_asyncio(suite):
    """Before, after and inside of its tests."""
    ran = suite(
        ASYNC,
        plugins=["asyncio"],
        ini="asyncio_default_fixture_loop_scope = function",
        apart=True,
    )

    assert ran.outcomes == {"passed": 4}


def test_hypothesis(suite):
    """Data is drawn around the schedules; no example leaves a thread."""
    ran = suite(GIVEN, plugins=["hypothesispytest"], apart=True)

    assert ran.outcomes == {"passed": 2, "failed": 1}
    assert "amount=" in ran.text
    assert "breaks it" in ran.text


CODE = """
import threading

class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def locked(self, step=1):
        if step > 100:
            raise ValueError(step)
        for _ in range(2):
            with self.lock:
                value = self.value
                self.value = value + step
        return [n for n in range(3) if n]

    def never(self):
        return 1
"""
PLAIN = """
import threading
from covered import Counter

def test_it():
    counter = Counter()
    threads = [threading.Thread(target=counter.locked) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
EXPLORED = """
from covered import Counter

def test_it(interleave):
    @interleave
    def body(run):
        counter = Counter()
        run(counter.locked, counter.locked)
"""


@pytest.mark.parametrize("core", ["ctrace", "sysmon"])
@pytest.mark.parametrize("by", ["pytest-cov", "coverage run"])
def test_coverage_is_the_same_with_and_without(pytester, monkeypatch, core, by):
    """The same lines and branches of the code under test, by either tool and either core."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COVERAGE_CORE", core)
    pytester.makepyfile(covered=CODE)
    plain = ["-p", "concurrency-slo", "-p", "no:cacheprovider", "-q"]
    found = []
    for test in (PLAIN, EXPLORED):
        pytester.makepyfile(test_it=test)
        if by == "pytest-cov":
            more = ["--cov=covered", "--cov-branch", "--cov-report=json:report.json"]
            ran = pytester.run(sys.executable, "-m", "pytest", *plain, "-p", "pytest_cov", *more)
        else:
            tool = [sys.executable, "-m", "coverage"]
            more = ["run", "--branch", "--source=.", "--include=covered.py"]
            ran = pytester.run(*tool, *more[:2], "--include=*/covered.py", "-m", "pytest", *plain)
            pytester.run(*tool, "json", "-o", "report.json")
        assert ran.ret == 0
        (measured,) = json.loads((pytester.path / "report.json").read_text())["files"].values()
        found.append((measured["executed_lines"], measured.get("executed_branches")))

    assert found[0] == found[1]
    assert found[0][0]
