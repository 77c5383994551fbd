"""The cache and the rate limit: in memory, in a Redis that answers, hangs, dies and comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import circuitbreaker
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from mutation import NoLock
from residency.web import limits
from residency.web.cache import GuardedCache, NoCache, RedisCache, make_cache
from residency.web.limits import RateLimit

pytestmark = pytest.mark.backends("sqlite")
"""One is enough for what is kept elsewhere."""


# --- the rate limit ---


def test_excess_is_429_with_the_time_to_wait(serve, concurrent_runner):
    """Limit: of 100 at once the first 20 are served; the others are told how long to wait."""
    service = serve(rate_limit="20/minute")
    outcome = concurrent_runner(lambda: service.get("/people"), workers=100).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {200: 20, 429: 80}
    refused = next(answer for answer in outcome.values if answer.status_code == 429)
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 60
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["detail"] == "More than 20 per 1 minute came from 127.0.0.1."
    assert refused.json()["advice"].startswith("Wait for ")


def test_health_is_never_limited(serve):
    """Limit: whoever watches the service is served whatever its clients do."""
    service = serve(rate_limit="1/minute")
    assert [service.get("/health").status_code for _ in range(3)] == [200, 200, 200]
    assert [service.get("/people").status_code for _ in range(2)] == [200, 429]


def test_limiter_that_fails_lets_everybody_through(serve, monkeypatch):
    """Limit: if what counts requests is broken, planning goes on without a limit."""

    async def broken(*_):
        message = "no counter"
        raise ConnectionError(message)

    service = serve(rate_limit="1/minute")
    monkeypatch.setattr("limits.aio.storage.MemoryStorage.acquire_entry", broken)
    assert [service.get("/people").status_code for _ in range(3)] == [200, 200, 200]


def test_mutant_without_the_limit_serves_all(serve, concurrent_runner, monkeypatch):
    """Limit mutant: a limiter that never refuses serves all 100, and the count shows it."""

    async def never(_self, _client):
        return None

    monkeypatch.setattr(RateLimit, "_wait", never)
    service = serve(rate_limit="20/minute")
    outcome = concurrent_runner(lambda: service.get("/people"), workers=100).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {200: 100}


def served_of_two(answers):
    """Return how many of two who may not both be served were."""
    return sum(answer is None for answer in answers)


def test_limit_in_every_order(interleave):
    """Limit: of two at once of whom one may be served one is, whatever the order of the awaits."""

    @interleave(packages=["residency", "limits"])
    async def body(run):
        limit = RateLimit(None, limit="1/minute", storage="memory://")
        assert served_of_two(await run(lambda: limit._wait("a"), lambda: limit._wait("a"))) == 1


def test_mutant_that_looks_and_then_counts_is_found(interleave, monkeypatch):
    """Limit mutant: a look and a count with an await between them serve both, in some order."""

    async def look_then_count(self, client):
        is_free = await self._limiter.test(self._limit, client)
        await asyncio.sleep(0)  # what asking another process takes
        await self._limiter.hit(self._limit, client)
        return None if is_free else 60

    monkeypatch.setattr(RateLimit, "_count", look_then_count)
    with pytest.raises(AssertionError, match="2 == 1"):

        @interleave(packages=["residency", "limits"])
        async def body(run):
            limit = RateLimit(None, limit="1/minute", storage="memory://")
            assert served_of_two(await run(lambda: limit._wait("a"), lambda: limit._wait("a"))) == 1


# --- the cache, and its breaker ---


@pytest.fixture
def clock(monkeypatch):
    """The clock that the breaker reads."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(circuitbreaker, "monotonic", lambda: made.now)
    return made


class MemoryCache:
    """A cache in memory that can be broken."""

    def __init__(self):
        self.kept = {}
        self.calls = 0
        self.is_broken = False

    def _touch(self):
        self.calls += 1
        if self.is_broken:
            message = "the cache is gone"
            raise ConnectionError(message)

    def get(self, key):
        self._touch()
        return self.kept.get(key)

    def set(self, key, value, *, seconds):
        self._touch()
        self.kept[key] = value

    def close(self):
        self.kept.clear()


def test_people_come_from_the_cache(serve, concurrent_edit_scenario):
    """Cache: a second request is answered from the cache, and equals the first."""
    cache = MemoryCache()
    service = serve(cache=GuardedCache(cache))
    first = service.get("/people?role=faculty")
    assert list(cache.kept) == ["people:faculty:0:200"]
    assert service.get("/people?role=faculty").json() == first.json() != []
    assert service.get("/people").json() == first.json()


def test_service_does_without_a_broken_cache(serve, concurrent_edit_scenario):
    """Cache: gone, it costs three failures; then it is left alone, and health says degraded."""
    cache = MemoryCache()
    service = serve(cache=GuardedCache(cache))
    assert service.get("/health").json() == {"status": "ok", "database": True, "cache": "ok"}
    cache.is_broken = True
    answers = [service.get("/people") for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    assert cache.calls == 1 + 3
    assert service.get("/health").json() == {
        "status": "degraded",
        "database": True,
        "cache": "gone",
    }


def test_breaker_closes_when_the_cache_is_back(clock):
    """Cache: after its rest the cache is tried again, and used again if it answers."""
    cache = MemoryCache()
    guard = GuardedCache(cache, failures=2, recovery=60)
    cache.is_broken = True
    for _ in range(3):
        assert guard.get("k") is None
    assert cache.calls == 2
    cache.is_broken = False
    clock.now += 60
    guard.set("k", b"v", seconds=1)
    assert guard.get("k") == b"v"
    assert guard.breaker.state == "closed"


def test_mutant_without_a_breaker_asks_a_broken_cache_every_time(serve):
    """Cache mutant: without the breaker each request waits for the cache that is gone."""
    cache = MemoryCache()
    guard = GuardedCache(cache, failures=10**6)
    cache.is_broken = True
    for _ in range(10):
        guard.get("k")
    assert cache.calls == 10


def test_redis_that_refuses_is_a_cache_that_is_gone():
    """Cache: nobody listens at the address: nothing is found, nothing is raised."""
    guard = GuardedCache(RedisCache("redis://127.0.0.1:1"))
    guard.set("k", b"v", seconds=1)
    assert guard.get("k") is None
    assert not guard.is_there()
    assert isinstance(make_cache(None), NoCache)
    assert isinstance(make_cache("redis://127.0.0.1:1"), GuardedCache)


def test_mutant_without_a_guard_fails_with_its_cache(serve):
    """Cache mutant: a cache that nobody guards takes the service down with it."""
    cache = MemoryCache()
    cache.is_broken = True
    assert serve(cache=GuardedCache(cache)).get("/people").status_code == 200
    assert serve(cache=cache).get("/people").status_code == 500


def fail_twice(run, mutate=lambda _guard: None):
    """Let two ask a broken cache whose breaker opens at two failures; return its state."""
    cache = MemoryCache()
    cache.is_broken = True
    guard = GuardedCache(cache, failures=2)
    mutate(guard)
    run(lambda: guard.get("a"), lambda: guard.get("b"))
    return guard.breaker.state


def test_no_failure_is_forgotten_in_any_order(interleave):
    """Cache: two failures at once are two, in every order, and open the breaker."""

    @interleave(packages=["residency", "circuitbreaker"])
    def body(run):
        assert fail_twice(run) == "open"


def test_mutant_that_counts_without_a_lock_forgets_one(interleave):
    """Cache mutant: without the lock there is an order in which two failures count as one."""

    def unlock(guard):
        guard.breaker._counting = NoLock()

    with pytest.raises(AssertionError, match="'closed' == 'open'"):

        @interleave(packages=["residency", "circuitbreaker"])
        def body(run):
            assert fail_twice(run, unlock) == "open"


class FreeForAll:
    """A lock that everybody gets."""

    def acquire(self, *, blocking):
        return True

    def release(self):
        return None


def ask_when_time_is_up(run, mutate=lambda _guard: None):
    """Let two ask a broken cache whose breaker is half open; return how many got through."""
    cache = MemoryCache()
    cache.is_broken = True
    guard = GuardedCache(cache, failures=1, recovery=60)
    mutate(guard)
    guard.get("first")
    guard.breaker._counts._opened -= 61
    run(lambda: guard.get("a"), lambda: guard.get("b"))
    return cache.calls - 1


def test_one_tries_a_cache_again_in_any_order(interleave):
    """Cache: when its time is up one caller waits for a cache that may be gone, not everybody."""

    @interleave(packages=["residency", "circuitbreaker"])
    def body(run):
        assert ask_when_time_is_up(run) == 1


def test_mutant_that_lets_everybody_try_is_found(interleave):
    """Cache mutant: there is an order in which both wait for the cache that is gone."""

    def unlock(guard):
        guard.breaker._trying = FreeForAll()

    with pytest.raises(AssertionError, match="2 == 1"):

        @interleave(packages=["residency", "circuitbreaker"])
        def body(run):
            assert ask_when_time_is_up(run, unlock) == 1


# --- a Redis that answers ---


class RedisServer:
    """A server of this test alone, on a socket that no network reaches."""

    def __init__(self, folder):
        self.socket = Path(folder, "redis.sock")
        self.url = f"unix://{self.socket}"
        self.limits = f"redis+unix://{self.socket}"
        self.process = None

    def start(self):
        settings = {"--port": "0", "--unixsocket": str(self.socket), "--save": ""}
        command = ["redis-server", *(part for pair in settings.items() for part in pair)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self.socket.parent)
        with Redis.from_url(self.url) as client:
            for _ in range(2000):
                try:
                    client.ping()
                except RedisConnectionError:
                    threading.Event().wait(0.005)
                else:
                    return
        pytest.fail("redis-server does not answer")

    def kill(self):
        self.process.kill()
        self.process.wait(20)

    def hang(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def keys(self):
        with Redis.from_url(self.url) as client:
            return client.keys()


@pytest.fixture
def redis_server():
    """A Redis, if this machine has the program."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here. Install it: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(folder)
        server.start()
        yield server
        server.kill()


def cache_of(service):
    return service.get("/health").json()["cache"]


@pytest.fixture
def patient(monkeypatch):
    """A Redis that answers is waited for as long as a busy machine takes."""
    monkeypatch.setattr("residency.web.cache.PATIENCE", 20)


def test_redis_keeps_and_forgets(redis_server, patient):
    """Cache: what is kept is found, by others too, until its time is up."""
    with (
        closing(make_cache(redis_server.url)) as one,
        closing(make_cache(redis_server.url)) as other,
    ):
        one.set("k", b"v", seconds=60)
        assert other.get("k") == b"v"
        assert other.get("other") is None
    with Redis.from_url(redis_server.url) as client:
        assert 0 < client.ttl("k") <= 60


def test_service_keeps_people_in_redis(serve, redis_server, patient, concurrent_edit_scenario):
    """Cache: the service keeps people in Redis, and answers from there."""
    service = serve(cache_url=redis_server.url)
    first = service.get("/people")
    assert redis_server.keys() == [b"people:None:0:200"]
    assert service.get("/people").json() == first.json() != []
    assert cache_of(service) == "ok"


def test_service_degrades_when_redis_dies_and_recovers(
    serve, redis_server, patient, concurrent_edit_scenario, concurrent_runner, request
):
    """Cache gone: all 100 callers are served all the same; when it is back it is used again."""
    cache = make_cache(redis_server.url)
    request.addfinalizer(cache.close)
    service = serve(cache=cache)
    people = service.get("/people").json()
    redis_server.kill()
    outcome = concurrent_runner(lambda: service.get("/people"), workers=100).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {200: 100}
    assert all(answer.json() == people for answer in outcome.values)
    assert service.get("/health").json() == {
        "status": "degraded", "database": True, "cache": "gone",
    }  # fmt: skip
    redis_server.start()
    cache.breaker._counts._opened -= 60
    assert service.get("/people").json() == people
    assert cache_of(service) == "ok"
    assert redis_server.keys() == [b"people:None:0:200"]


def test_service_waits_for_no_redis_that_hangs(serve, redis_server, concurrent_edit_scenario):
    """Cache gone: one that accepts and does not answer costs three failures, and no request."""
    service = serve(cache_url=redis_server.url)
    people = service.get("/people").json()
    redis_server.hang()
    try:
        assert [service.get("/people").json() for _ in range(5)] == [people] * 5
        assert cache_of(service) == "gone"
    finally:
        redis_server.go_on()


def test_mutant_without_a_limit_waits_as_long_as_redis_hangs(redis_server):
    """Cache mutant: without a limit to its patience a client hangs with the server."""
    with Redis.from_url(redis_server.url, socket_timeout=None) as patient:
        patient.ping()
        guard = make_cache(redis_server.url)
        redis_server.hang()
        hanging = threading.Thread(target=patient.get, args=("k",))
        hanging.start()
        try:
            assert guard.get("k") is None
            assert hanging.is_alive()
        finally:
            redis_server.go_on()
            hanging.join(20)
            guard.close()


def test_limit_is_counted_in_redis_for_all_processes(serve, redis_server):
    """Limit: two services that share a Redis share the limit."""
    one = serve(rate_limit="3/minute", rate_limit_storage=redis_server.limits)
    other = serve(rate_limit="3/minute", rate_limit_storage=redis_server.limits)
    answers = [service.get("/people").status_code for service in (one, other, one, other)]
    assert answers == [200, 200, 200, 429]


def test_limit_of_hundred_at_once_is_exact_in_redis(
    serve, redis_server, concurrent_runner, monkeypatch
):
    """Limit: of 100 at once exactly the first 20 are served, counted in Redis.

    It is waited for as long as a busy machine takes: what is not counted is let through.
    """
    monkeypatch.setattr(limits, "PATIENCE", 20)
    service = serve(rate_limit="20/minute", rate_limit_storage=redis_server.limits)
    outcome = concurrent_runner(lambda: service.get("/people"), workers=100).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {200: 20, 429: 80}


def test_limit_lets_everybody_through_when_redis_dies(serve, redis_server):
    """Limit: where Redis counts and is gone, planning goes on without a limit."""
    service = serve(rate_limit="1/minute", rate_limit_storage=redis_server.limits)
    assert [service.get("/people").status_code for _ in range(2)] == [200, 429]
    redis_server.kill()
    assert [service.get("/people").status_code for _ in range(5)] == [200] * 5


def test_mutant_that_looks_and_then_counts_serves_too_many(
    serve, redis_server, concurrent_runner, monkeypatch
):
    """Limit mutant: a look and a count that are not one let ten through where five may."""
    monkeypatch.setattr(limits, "PATIENCE", 20)
    everybody_looks = asyncio.Barrier(10)

    async def look_then_count(self, client):
        is_free = await self._limiter.test(self._limit, client)
        async with asyncio.timeout(20):
            await everybody_looks.wait()
        await self._limiter.hit(self._limit, client)
        return None if is_free else 60

    monkeypatch.setattr(RateLimit, "_count", look_then_count)
    service = serve(rate_limit="5/minute", rate_limit_storage=redis_server.limits)
    outcome = concurrent_runner(lambda: service.get("/people"), workers=100).raise_errors()
    assert outcome.tally(lambda answer: answer.status_code) == {200: 10, 429: 90}


def limited(serve, redis_server, monkeypatch, rest):
    """Serve with a Redis that hangs; return how often it was waited for in ten requests."""
    waited = []
    plain = RateLimit._note
    monkeypatch.setattr(RateLimit, "_note", lambda self, e: (waited.append(e), plain(self, e)))
    monkeypatch.setattr(limits, "PATIENCE", 0.1)
    monkeypatch.setattr(limits, "REST", rest)
    service = serve(rate_limit="100/minute", rate_limit_storage=redis_server.limits)
    service.get("/people")
    redis_server.hang()
    try:
        assert {service.get("/people").status_code for _ in range(10)} == {200}
    finally:
        redis_server.go_on()
    return len(waited)


def test_limit_waits_three_times_for_a_redis_that_hangs(serve, redis_server, monkeypatch):
    """Limit: after three failures Redis is left alone, and nobody waits for it."""
    assert limited(serve, redis_server, monkeypatch, rest=60) == 3


def test_mutant_limit_without_a_rest_waits_every_time(serve, redis_server, monkeypatch):
    """Limit mutant: without a rest each of ten requests waits for the Redis that hangs."""
    assert limited(serve, redis_server, monkeypatch, rest=0) == 10
