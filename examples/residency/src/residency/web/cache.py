"""The cache: kept in Redis if there is one, and done without if it is gone."""

from __future__ import annotations

from typing import Any, Protocol

from residency.services.resilience import Breaker

FAILURES = 3
"""So many failures in a row, and the cache is left alone for a while."""
RECOVERY_SECONDS = 5
"""How long that is."""
PATIENCE = 0.1
"""For how many seconds Redis is waited for."""


class Cache(Protocol):
    """Keeps answers for a while."""

    def get(self, key: str) -> bytes | None:
        """Return what was kept under a key, if it still is."""
        ...

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep something under a key."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class NoCache:
    """Keeps nothing."""

    def get(self, key: str) -> None:
        """Return nothing."""

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Close nothing."""


class RedisCache:
    """Keeps answers in Redis; whatever goes wrong there is an ``OSError`` or Redis' own error."""

    def __init__(self, url: str) -> None:
        """Connect when first asked; what takes longer than 100 ms is given up, not tried again."""
        from redis import Redis

        self._redis = Redis.from_url(url, **impatient())

    def get(self, key: str) -> bytes | None:
        """Return what was kept under a key, if it still is."""
        found = self._redis.get(key)
        return found if isinstance(found, bytes) else None

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep something under a key."""
        self._redis.set(key, value, ex=seconds)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


class GuardedCache:
    """A cache whose failures cost nothing: behind a circuit breaker, they count as not found."""

    def __init__(
        self, cache: Cache, *, failures: int = FAILURES, recovery: float = RECOVERY_SECONDS
    ) -> None:
        """Guard a cache.

        Args:
            cache: What may fail.
            failures: How many failures in a row open the breaker.
            recovery: After how many seconds one caller tries it again.
        """
        self._cache = cache
        self.breaker = Breaker("cache", failures=failures, recovery_seconds=recovery)

    def get(self, key: str) -> bytes | None:
        """Return what was kept, or nothing if the cache does not answer."""
        return self.breaker.call(lambda: self._cache.get(key), otherwise=lambda: None)

    def set(self, key: str, value: bytes, *, seconds: int) -> None:
        """Keep something, if the cache answers."""
        self.breaker.call(
            lambda: self._cache.set(key, value, seconds=seconds), otherwise=lambda: None
        )

    def is_there(self) -> bool:
        """Ask the cache for something, and say whether it answered."""

        def ask() -> bool:
            self._cache.get("health")
            return True

        return self.breaker.call(ask, otherwise=lambda: False)

    def close(self) -> None:
        """Close what is guarded."""
        self._cache.close()


def impatient() -> dict[str, Any]:
    """Return the options of a client of Redis that gives up rather than keep people waiting."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry": Retry(NoBackoff(), 0),
    }


def make_cache(url: str | None) -> Cache:
    """Return the guarded cache of a URL, or one that keeps nothing."""
    return NoCache() if url is None else GuardedCache(RedisCache(url))
