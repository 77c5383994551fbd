"""A pool's use, counted exactly."""

import os
import threading

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pytest_concurrency.db import PoolWatch
from pytest_concurrency.errors import UsageError


@pytest.fixture
def small(on):
    return on("sqlite").engine(pool_size=2, max_overflow=1, pool_timeout=0.05)


def test_pool_use_is_counted(small):
    """Checkouts, peak, overflow and the level after each checkout."""
    with PoolWatch(small) as watch:
        held = [small.connect() for _ in range(3)]
        for connection in held:
            connection.close()
        small.connect().close()

    use = watch.use
    assert (use.capacity, use.size, use.checkouts, use.peak, use.overflow) == (3, 2, 4, 3, 1)
    assert use.levels == (1, 2, 3, 1)
    assert use.saturation == 1.0
    assert (use.waits_ns, use.timeouts, use.invalidated) == ((), 0, 0)
    assert use.waited_ns == (0, 0, 0, 0)


def test_pool_that_is_empty_times_out(small):
    """Who finds the pool empty waits; who waits too long is counted."""
    with PoolWatch(small) as watch:
        held = [small.connect() for _ in range(3)]
        with pytest.raises(PoolTimeout):
            small.connect()
        for connection in held:
            connection.close()

    assert watch.use.timeouts == 1
    assert len(watch.use.waits_ns) == 1
    assert watch.use.waited_ns == (0, 0, 0, *watch.use.waits_ns)
    assert watch.use.waits_ns[0] >= 40_000_000


def test_pool_wait_that_ends_is_no_timeout(on):
    """A wait that gets its connection is seen while it lasts, and no time-out."""
    engine = on("sqlite").engine(pool_size=1, max_overflow=0, pool_timeout=10)
    with PoolWatch(engine) as watch:
        held = engine.connect()
        waiter = threading.Thread(target=lambda: engine.connect().close())
        waiter.start()
        while watch.waiting == 0:
            os.sched_yield()
        held.close()
        waiter.join(10)

    assert watch.waiting == 0
    assert watch.use.checkouts == 2
    assert watch.use.timeouts == 0
    assert len(watch.use.waits_ns) == 1


def test_pool_survives_being_disposed_of(small):
    """An engine that is disposed of gets a new pool, which is watched too."""
    with PoolWatch(small) as watch:
        small.connect().close()
        small.dispose()
        small.connect().close()

    assert watch.use.checkouts == 2
    assert "connect" not in vars(small.pool)


def test_pool_counts_broken_connections(small):
    """A connection that is thrown away is counted."""
    with PoolWatch(small) as watch:
        connection = small.connect()
        connection.invalidate()
        connection.execute(text("SELECT 1"))
        connection.close()

    assert watch.use.invalidated == 1


def test_pool_without_a_limit_has_no_saturation(on):
    """A share of no limit is refused with the way to set one."""
    engine = on("sqlite").engine(poolclass=NullPool)
    with PoolWatch(engine) as watch:
        engine.connect().close()

    assert watch.use.capacity is None
    with pytest.raises(UsageError) as caught:
        _ = watch.use.saturation
    assert str(caught.value) == (
        "pool: this pool has no limit, so no share of it can be in use. "
        "Give the engine one: create_engine(url, pool_size=5, max_overflow=5)."
    )


def test_pool_under_threads_comes_back_empty(on):
    """Twenty workers on five connections: everybody is served, nothing stays out."""
    engine = on("sqlite").engine(pool_size=3, max_overflow=2, pool_timeout=10)

    def work():
        for _ in range(10):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))

    with PoolWatch(engine) as watch:
        workers = [threading.Thread(target=work) for _ in range(20)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)

    assert watch.use.checkouts == 200
    assert 1 <= watch.use.peak <= 5
    assert engine.pool.checkedout() == 0
