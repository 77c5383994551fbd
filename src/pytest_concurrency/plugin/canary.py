"""How fast this machine is at its best, remembered between sessions in pytest's cache."""

from __future__ import annotations

import pytest

FORGETS = 1.01
"""By how much the memory of the best fades with each session that did not reach it."""

reference_key: pytest.StashKey[int | None] = pytest.StashKey()
"""On the config: what earlier sessions remembered."""
fastest_key: pytest.StashKey[int] = pytest.StashKey()
"""On the config: the best of this session."""


def reference_ns(config: pytest.Config) -> int | None:
    """Return how long the canary takes on this machine at its best, if that is known."""
    if reference_key not in config.stash:
        cache = getattr(config, "cache", None)
        known = cache.get(_key(), None) if cache is not None else None
        config.stash[reference_key] = known if isinstance(known, int) and known > 0 else None
    return config.stash[reference_key]


def note_fastest(config: pytest.Config, fastest_ns: int) -> None:
    """Remember the fastest run of this session, or of an earlier one that was faster still.

    The best of all times would be an accident after a thousand sessions, and no machine would be
    clean again; so what was remembered fades.
    """
    best = config.stash.get(fastest_key, None)
    if best is not None and best <= fastest_ns:
        return
    config.stash[fastest_key] = fastest_ns
    cache = getattr(config, "cache", None)
    if cache is not None:
        known = reference_ns(config)
        cache.set(_key(), fastest_ns if known is None else min(fastest_ns, round(known * FORGETS)))


def _key() -> str:
    from pytest_concurrency.slo.baselines import Machine

    return f"concurrency/canary/{Machine.this().key}"
