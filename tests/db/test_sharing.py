"""A pool of one connection: one worker at a time."""

import threading

import pytest
from sqlalchemy import StaticPool, create_engine, text

from pytest_concurrency.db import EngineWatch
from pytest_concurrency.errors import UsageError


@pytest.fixture
def lone():
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    yield engine
    engine.dispose()


def in_worker(name, action):
    """What a worker of this name raised."""
    errors = []

    def work():
        try:
            action()
        except UsageError as error:
            errors.append(error)

    worker = threading.Thread(target=work, name=name)
    worker.start()
    worker.join(30)
    return errors


def ask(engine):
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_second_worker_is_refused_with_the_reason(lone):
    """Before it reaches the connection that another uses: Python would crash now and then."""
    refused = []

    def hold():
        with lone.connect():
            refused.extend(in_worker("worker 1", lambda: ask(lone)))

    with EngineWatch(lone):
        assert in_worker("worker 0", hold) == []

    assert [str(error) for error in refused] == [
        (
            "worker 1: worker 0 has the connection.\n"
            "sqlite:// with StaticPool has one connection for all workers: their transactions mix, "
            "writes are\n"
            "lost, and Python can crash.\n"
            "Use the database that the plugin makes (a file in WAL mode), or in memory:\n"
            "  SqliteServer(memory=True)"
        )
    ]


def test_one_worker_at_a_time_is_served(lone):
    """One after the other; one that ended without giving it back; the test beside them all."""
    kept = []
    with EngineWatch(lone), lone.connect() as mine:
        assert in_worker("worker 0", lambda: ask(lone)) == []
        assert in_worker("worker 1", lambda: kept.append(lone.connect())) == []
        assert in_worker("worker 2", lambda: ask(lone)) == []
        assert mine.scalar(text("SELECT 1")) == 1
        kept.pop().close()


def test_pool_is_as_it_was_afterwards(lone, on):
    """Nothing of ours stays on it; pools of many connections are not touched at all."""
    many = on("sqlite").engine()
    with EngineWatch(lone), EngineWatch(many):
        assert "connect" in vars(lone.pool)
        assert "connect" not in vars(many.pool)

    assert "connect" not in vars(lone.pool)
