"""What a call costs beyond itself: calls that do nothing, made by this plugin and by an executor.

An executor only hands calls out; a run also releases the workers of each round together and keeps
who called, when, for how long, and what came of it. Rivals run in the same process, in turn.
"""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from statistics import median
from time import perf_counter

from measuring.table import microseconds, ratio, show

from pytest_concurrency import concurrent_runner

TURNS = 7


def nothing() -> None:
    """Do nothing; at the top of the module, so that it can be sent to a process."""


async def nothing_async() -> None:
    """Do nothing, as a coroutine."""


def main() -> None:
    rows = [
        *(threads(workers, rounds) for workers, rounds in ((8, 1), (8, 100), (100, 1), (100, 20))),
        *(tasks(workers) for workers in (8, 100)),
        processes(2),
    ]
    show(
        f"cost of a call that does nothing, the median of {TURNS} turns",
        ["workers", "rounds", "ours, a call", "rival, a call", "ours beside it", "rival"],
        rows,
    )


def threads(workers: int, rounds: int) -> list[str]:
    def rival() -> None:
        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(nothing) for _ in range(workers * rounds)]:
                future.result()

    def ours() -> None:
        concurrent_runner(nothing, workers=workers, rounds=rounds).raise_errors()

    return [
        f"{workers} threads",
        str(rounds),
        *compared(ours, rival, workers * rounds),
        "ThreadPoolExecutor",
    ]


def tasks(workers: int) -> list[str]:
    async def gather() -> None:
        await asyncio.gather(*(nothing_async() for _ in range(workers)))

    def ours() -> None:
        concurrent_runner(nothing_async, workers=workers).raise_errors()

    figures = compared(ours, lambda: asyncio.run(gather()), workers)
    return [f"{workers} tasks", "1", *figures, "asyncio.gather"]


def processes(workers: int) -> list[str]:
    spawning = multiprocessing.get_context("spawn")

    def rival() -> None:
        with ProcessPoolExecutor(workers, mp_context=spawning) as pool:
            for future in [pool.submit(nothing) for _ in range(workers)]:
                future.result()

    def ours() -> None:
        concurrent_runner(nothing, workers=workers, on="processes").raise_errors()

    return [f"{workers} processes", "1", *compared(ours, rival, workers), "ProcessPoolExecutor"]


def compared(ours: Callable[[], None], rival: Callable[[], None], calls: int) -> list[str]:
    """Return the cells for the cost of a call, ours and a rival's, in turn."""
    times = [(timed(ours), timed(rival)) for _ in range(TURNS)]
    mine, theirs = (median(column) / calls for column in zip(*times, strict=True))
    return [microseconds(mine), microseconds(theirs), ratio(mine, theirs)]


def timed(run: Callable[[], None]) -> float:
    begun = perf_counter()
    run()
    return perf_counter() - begun


if __name__ == "__main__":
    main()
