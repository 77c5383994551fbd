"""A worker: its own numbers, its own directory."""

from __future__ import annotations

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.run.runner import concurrent_runner
from pytest_concurrency.run.worker import Worker


def numbers(worker):
    return [worker.random.random() for _ in range(5)]


def test_the_generator_repeats_for_the_same_seed():
    """Same seed, same title, same index: the same numbers."""
    once, again = (Worker(index=2, seed=42, title="test_a") for _ in range(2))

    assert numbers(once) == numbers(again)


@pytest.mark.parametrize(
    "other", [{"index": 3}, {"seed": 43}, {"title": "test_b"}], ids=["index", "seed", "title"]
)
def test_the_generators_differ(other):
    """Another worker, another seed or another test draws other numbers."""
    mine = {"index": 2, "seed": 42, "title": "test_a"}

    assert numbers(Worker(**mine)) != numbers(Worker(**mine | other))


def test_neighbouring_seeds_and_indexes_do_not_meet():
    """Seed 1 with index 12 is not seed 11 with index 2."""
    assert numbers(Worker(index=12, seed=1)) != numbers(Worker(index=2, seed=11))


def test_a_worker_knows_whether_it_has_drawn():
    """Only a run that used its generators tells how to repeat their numbers."""
    worker = Worker(index=0, seed=1)

    assert not worker.has_drawn
    numbers(worker)
    assert worker.has_drawn


def test_a_worker_shows_how_to_make_it_again():
    """Its repr tells index and seed; its name tells which it is."""
    worker = Worker(index=3, seed=7)

    assert (repr(worker), worker.name) == ("Worker(index=3, seed=7)", "worker 3")


def test_the_directory_is_made_on_first_use(tmp_path):
    """A worker that asks for no directory makes none; who asks twice gets the same."""
    worker = Worker(index=3, seed=7, room=lambda: tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert worker.tmp_path == worker.tmp_path == tmp_path / "worker-3"
    assert worker.tmp_path.is_dir()


def test_a_worker_made_by_hand_has_no_directory():
    """Nobody would remove it."""
    with pytest.raises(UsageError) as refused:
        _ = Worker(index=0, seed=1).tmp_path

    assert str(refused.value) == (
        "Worker(index=0, seed=1) was made by hand, without a place for directories."
    )


def test_workers_of_a_run_have_their_own_directories():
    """Each worker writes where no other does, and finds it in the next round."""

    def write(worker):
        (worker.tmp_path / f"round-{worker.round}").touch()
        return worker.tmp_path

    outcome = concurrent_runner(write, workers=5, rounds=2)
    rooms = set(outcome.values)

    assert len(rooms) == 5
    assert all(sorted(p.name for p in room.iterdir()) == ["round-0", "round-1"] for room in rooms)


def test_directories_of_a_run_without_pytest_go_with_its_outcome():
    """Without a session that removes them, they are removed with the last reference."""
    outcome = concurrent_runner(lambda worker: worker.tmp_path, workers=2)
    rooms = outcome.values

    assert all(room.is_dir() for room in rooms)
    del outcome
    assert not any(room.exists() for room in rooms)


def test_directories_go_when_the_run_is_ended():
    """A run that is ended by a worker leaves none behind."""
    rooms = []

    def end(worker):
        rooms.append(worker.tmp_path)
        raise SystemExit

    with pytest.raises(SystemExit):
        concurrent_runner(end, workers=1)

    assert len(rooms) == 1
