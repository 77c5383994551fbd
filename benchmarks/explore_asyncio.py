"""How fast orders of coroutines are explored, beside simloom and beside plain ``asyncio.run``.

    python -m pip install simloom; python benchmarks/explore_asyncio.py

Each program is played without a search (orders drawn, nothing written down), then searched: until
it fails, or to two preemptions, again and again until a turn is long enough to be measured. What
the search costs beside the plays is the quotient of both. The explanation of a failure has a column
of its own. simloom plays drawn orders too; it is left out where it is not installed.
``asyncio.run`` knows one order. Rates are of processor time, the best of three turns; the bar is
5,000 schedules a second.
"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

from measuring.table import ratio, show

from pytest_concurrency.explore.coroutines import TaskProgram, explore_coroutines
from pytest_concurrency.explore.garbage import steady
from pytest_concurrency.explore.portfolio import guide
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings

TURNS = 3
PLAYS = 500
ENOUGH = 1_000
RUNS = 1_000

Worker = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Program:
    """What each tool is given: a fresh state, workers, and what must hold in the end."""

    name: str
    setup: Callable[[], Any]
    workers: tuple[Worker, ...]
    holds: Callable[[Any], bool]


async def deposit(state: Any) -> None:
    value = state.value
    await asyncio.sleep(0)
    state.value = value + 1


async def deposits_in_a_lock(state: Any) -> None:
    for _ in range(5):
        async with state.lock:
            await deposit(state)


async def mostly_alone(state: Any) -> None:
    mine: list[int] = []
    for number in range(4):
        await asyncio.sleep(0)
        mine.append(number)
    async with state.lock:
        await deposit(state)
    state.value += len(mine) - 4


async def alone(state: Any) -> None:
    own = SimpleNamespace(value=0)
    for _ in range(4):
        await deposit(own)
    state.sums.append(own.value)


async def first(state: Any) -> None:
    await asyncio.sleep(0)
    state.log.append("first")


async def second(state: Any) -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    state.log.append("second")


def counter() -> Any:
    return SimpleNamespace(value=0, lock=asyncio.Lock(), log=[], sums=[])


PROGRAMS = (
    Program("await race", counter, (deposit, deposit), lambda s: s.value == 2),
    Program("ready order", counter, (first, second), lambda s: s.log == ["first", "second"]),
    Program("2 tasks x 5 sections", counter, (deposits_in_a_lock,) * 2, lambda s: s.value == 10),
    Program("3 tasks x 5 sections", counter, (deposits_in_a_lock,) * 3, lambda s: s.value == 15),
    Program("2 tasks, mostly alone", counter, (mostly_alone,) * 2, lambda s: s.value == 2),
    Program("3 tasks, each alone", counter, (alone,) * 3, lambda s: s.sums == [4, 4, 4]),
)


class Watch:
    """Counts the runs of a program, and when the first of them failed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.runs = 0
        self.failed: tuple[int, float] | None = None
        self.began = perf_counter()

    def judge(self, state: Any) -> bool:
        self.runs += 1
        holds = self.program.holds(state)
        if not holds and self.failed is None:
            self.failed = self.runs, perf_counter() - self.began
        return holds

    def body(self) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def body(run: Any) -> None:
            state = self.program.setup()
            await run(*(worker(state) for worker in self.program.workers))
            assert self.judge(state)

        return body

    def main(self) -> Callable[[], Coroutine[Any, Any, None]]:
        async def main() -> None:
            state = self.program.setup()
            await asyncio.gather(*(worker(state) for worker in self.program.workers))
            self.judge(state)

        return main


def found(watch: Watch) -> str:
    """Say at which run, and after how long, a program failed first."""
    if watch.failed is None:
        return "never"
    at, after = watch.failed
    return f"at {at}, {after * 1e3:.1f} ms"


def plays(program: Program) -> float:
    """Return schedules a second, drawn and not written down."""
    best = 0.0
    for _ in range(TURNS):
        with TaskProgram(Watch(program).body(), Settings()) as played:
            steps = len(played.play(Plan([])).workers)
            began = process_time()
            for number in range(PLAYS):
                played.play(guide(number, seed=1, steps=steps), record=False)
            best = max(best, PLAYS / (process_time() - began))
    return best


def search(program: Program) -> tuple[str, int, float]:
    """Return what the search says, its schedules and their rate."""
    settings = Settings(schedules=100_000, seconds=60)
    said, best, schedules = "", 0.0, 0
    for _ in range(TURNS):
        played = 0
        began = process_time()
        while played < ENOUGH:
            watch = Watch(program)
            with TaskProgram(watch.body(), settings) as playing, steady():
                searched = Search(playing, settings)
                failed = searched.failure()
            schedules = searched.plays
            played += schedules
            whole = "complete" if searched.exhausted else f"complete to {searched.complete}"
            said = whole if failed is None else f"found {found(watch)}"
        best = max(best, played / (process_time() - began))
    return said, schedules, best


def explained(program: Program) -> str:
    """Return how long it takes from the first play of a failing program to its explanation."""
    best = 0.0
    for _ in range(TURNS):
        began = perf_counter()
        try:
            explore_coroutines(Watch(program).body(), Settings())
        except AssertionError:
            best = min(best or 1e9, perf_counter() - began)
    return f"{best * 1e3:.1f} ms" if best else ""


def by_simloom(program: Program) -> tuple[str, float]:
    """Return what simloom finds in 1,000 runs, and how many of them it makes in a second."""
    import simloom  # type: ignore[import-not-found]

    watch = Watch(program)
    began = process_time()
    simloom.explore(watch.main(), runs=RUNS)
    return found(watch), watch.runs / (process_time() - began)


def by_asyncio(program: Program) -> tuple[str, float]:
    """Return what plain runs find, and how many of them there are in a second."""
    watch = Watch(program)
    began = process_time()
    for _ in itertools.repeat(None, RUNS):
        asyncio.run(watch.main()())
    return found(watch), RUNS / (process_time() - began)


def main() -> None:
    head = ["program", "played", "searched", "share", "schedules", "the search says", "explained"]
    rivals = {"asyncio.run": by_asyncio}
    if find_spec("simloom") is None:
        print("simloom is not installed: left out")
    else:
        rivals["simloom"] = by_simloom
    rows = []
    for program in PROGRAMS:
        drawn = plays(program)
        said, schedules, rate = search(program)
        row = [program.name, f"{drawn:,.0f}/s", f"{rate:,.0f}/s", f"{rate / drawn:.0%}"]
        row += [f"{schedules:,}", said, explained(program)]
        for rival in rivals.values():
            seen, theirs = rival(program)
            row += [f"{theirs:,.0f}/s", ratio(drawn, theirs), seen]
        rows.append(row)
    for name in rivals:
        head += [name, "ours, played", "finds"]
    show(f"Orders of coroutines, Python {sys.version.split()[0]}", head, rows)


if __name__ == "__main__":
    main()
