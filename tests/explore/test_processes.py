"""Processes inside an explored body are refused at once: no schedule orders what they do."""

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.pool import Pool, ThreadPool

import pytest

from pytest_concurrency.explore.interleave import interleave
from pytest_concurrency.explore.outside import Uncontrolled

REFUSED = (
    "test_processes.py:N: {} works outside of the schedule, so its order cannot be controlled.\n"
    "Workers are threads. Write Thread or ThreadPoolExecutor, whose threads become workers,\n"
    "or use concurrent_runner."
)
PROCESS = multiprocessing.get_context("spawn").Process


def submit():
    with ProcessPoolExecutor(1) as pool:
        pool.submit(abs, 1).result()


def spread():
    with ProcessPoolExecutor(1) as pool:
        list(pool.map(abs, [1, 2]))


def apply():
    with Pool(1) as pool:
        pool.apply(abs, (1,))


def apply_in_threads():
    with ThreadPool(1) as pool:
        pool.apply(abs, (1,))


def start():
    process = PROCESS(target=abs, args=(1,))
    process.start()
    process.join()


USES = {
    submit: "ProcessPoolExecutor",
    spread: "ProcessPoolExecutor",
    apply: "Pool",
    apply_in_threads: "ThreadPool",
    start: "SpawnProcess",
}


@pytest.mark.parametrize(("use", "what"), USES.items(), ids=lambda it: getattr(it, "__name__", it))
@pytest.mark.parametrize("where", ["worker", "body"])
def test_a_process_is_refused_before_it_starts(use, what, where):
    """In a worker and in the body that has some: which line uses what, and what to write."""

    def body(run):
        rows = []
        run(lambda: rows.append(1), use if where == "worker" else lambda: rows.append(2))
        use()

    with pytest.raises(Uncontrolled) as caught:
        interleave(body)

    assert re.sub(r":\d+:", ":N:", str(caught.value)) == REFUSED.format(what)
    assert not multiprocessing.active_children()


def test_a_process_outside_of_an_exploration_is_left_alone():
    """What is refused while a schedule is played works after it, as before."""
    real = ProcessPoolExecutor.submit, Pool._repopulate_pool, PROCESS.start

    with pytest.raises(Uncontrolled):
        interleave(lambda run: run(submit, submit))

    assert real == (ProcessPoolExecutor.submit, Pool._repopulate_pool, PROCESS.start)
