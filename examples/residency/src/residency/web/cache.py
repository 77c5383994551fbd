"""The cache: kept in Redis if there is one, and done without if it is gone."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]

FAILURES = 3
"""So many failures in a row, and the cache is left alone for a while."""
RECOVERY_SECONDS = 5
"""How long that is."""


class Cache(Protocol):
    """Keeps answers for a while."""

    def get(self, key: str) -> bytes | None:
        """Return what was kept under a key, if it still is."""
        ...

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep something under a key."""
        ...


class NoCache:
    """Keeps nothing."""

    def get(self, key: str) -> None:
        """Return nothing."""

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep nothing."""


class RedisCache:
    """Keeps answers in Redis; whatever goes wrong there is an ``OSError`` or Redis' own error."""

    def __init__(self, url: str) -> None:
        """Connect when first asked, and never wait longer than 100 ms."""
        from redis import Redis

        self._redis = Redis.from_url(url, socket_timeout=0.1, socket_connect_timeout=0.1)

    def get(self, key: str) -> bytes | None:
        """Return what was kept under a key, if it still is."""
        found = self._redis.get(key)
        return found if isinstance(found, bytes) else None

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep something under a key."""
        self._redis.set(key, value, ex=seconds)


class GuardedCache:
    """A cache whose failures cost nothing: behind a circuit breaker, they count as not found."""

    def __init__(
        self, cache: Cache, *, failures: int = FAILURES, recovery: int = RECOVERY_SECONDS
    ) -> None:
        """Guard a cache.

        Args:
            cache: What may fail.
            failures: How many failures in a row open the breaker.
            recovery: After how many seconds it is tried again.
        """
        self._cache = cache
        self.breaker = CircuitBreaker(
            failure_threshold=failures, recovery_timeout=recovery, name="cache"
        )

    def get(self, key: str) -> bytes | None:
        """Return what was kept, or nothing if the cache does not answer."""
        if self.breaker.opened:
            return None
        try:
            with self.breaker:
                return self._cache.get(key)
        except Exception:  # noqa: BLE001 - a cache may fail in any way
            return None

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep something, if the cache answers."""
        if self.breaker.opened:
            return
        with suppress(Exception), self.breaker:
            self._cache.set(key, value, seconds=seconds)

    def is_there(self) -> bool:
        """Ask the cache for something, and say whether it answered."""
        if self.breaker.opened:
            return False
        with suppress(Exception), self.breaker:
            self._cache.get("health")
            return True
        return False


def make_cache(url: str | None) -> Cache:
    """Return the guarded cache of a URL, or one that keeps nothing."""
    return NoCache() if url is None else GuardedCache(RedisCache(url))
