"""How fast the explorer finds, completes and runs, beside its rivals and beside plain threads.

    python benchmarks/explore.py [--rivals PYTHON] [--only PART] [--limit SECONDS]

Each cell runs in a process of its own with a time limit. A rival that is not installed in the
interpreter named by --rivals (this one, unless told otherwise) is left out, and a line says so:

    python -m pip install frontrun interleave-test simloom
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "this package"
TOOLS = (OURS, "frontrun", "interleave-test", "plain x 1000")
ASYNC_TOOLS = (OURS, "frontrun", "simloom")
MODULES = {"frontrun": "frontrun", "interleave-test": "interleave_test", "simloom": "simloom"}
NEW = sys.version_info >= (3, 12)
_BATCHES, _BATCH = 20, 160  # of equal schedules: the best of them is the least disturbed


def now():
    """Seconds of a clock that no tool makes virtual."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class State:
    """What the workers of a case share."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@dataclass(frozen=True)
class Case:
    """A program in the shape that every tool can be given."""

    name: str
    setup: Callable[[], Any]
    workers: tuple[Callable[[Any], Any], ...]
    holds: Callable[[Any], bool] = lambda _state: True


# ---- bugs ---------------------------------------------------------------------------------


def add(state):
    value = state.value
    state.value = value + 1


def load_once(state):
    if "key" not in state.cache:
        state.made += 1
        state.cache["key"] = state.made


def get_instance(state):
    if not state.ready:
        with state.lock:
            if not state.ready:
                state.ready = True
                state.instance = "loaded"
    state.got.append(state.instance)


def take(*names):
    def locks_in_order(state):
        for name in names:
            getattr(state, name).acquire()
        for name in names:
            getattr(state, name).release()

    return locks_in_order


def three_locks():
    return State(a=threading.Lock(), b=threading.Lock(), c=threading.Lock())


def wait_for_news(state):
    if not state.ready:
        with state.changed:
            state.changed.wait()


def tell_news(state):
    state.ready = True
    with state.changed:
        state.changed.notify()


def take_if(state):
    with state.changed:
        if not state.items:
            state.changed.wait()
        state.items.pop()


def put_one(state):
    with state.changed:
        state.items.append(1)
        state.changed.notify_all()


class Node:
    def __init__(self, name, below):
        self.name = name
        self.below = below


def stack():
    top = None
    for name in "cba":
        top = Node(name, top)
    return State(top=top, lock=threading.Lock(), taken=[])


def swap(state, expected, new):
    with state.lock:
        if state.top is not expected:
            return False
        state.top = new
        return True


def pop(state):
    while True:
        top = state.top
        below = top.below
        if swap(state, top, below):
            return top


def pop_one(state):
    state.taken.append(pop(state).name)


def pop_two_push_one(state):
    first, second = pop(state), pop(state)
    state.taken.append(second.name)
    while True:
        first.below = state.top
        if swap(state, first.below, first):
            return


def all_there(state):
    names, node = list(state.taken), state.top
    while node is not None:
        names.append(node.name)
        node = node.below
    return sorted(names) == ["a", "b", "c"]


def order_first(state):
    state.a = 1
    if state.c == 1:
        state.a = 2


def order_second(state):
    if state.a == 1:
        state.b = 1
        if state.c == 2:
            state.bad = True


def order_third(state):
    if state.b == 1:
        state.c = 1
        if state.a == 2:
            state.c = 2


def loop_then_add(state):
    total = 0
    for _ in range(50):
        total += state.rate
    add(state)


def tickets(state):
    while True:
        state.number += 1
        yield state.number


def shared_generator():
    state = State(number=0, got=[])
    state.tickets = tickets(state)
    return state


def next_ticket(state):
    state.got.append(next(state.tickets))


BUGS = (
    Case("lost update", lambda: State(value=0), (add, add), lambda s: s.value == 2),
    Case(
        "check-then-act",
        lambda: State(cache={}, made=0),
        (load_once, load_once),
        lambda s: s.made == 1,
    ),
    Case(
        "double-checked init",
        lambda: State(lock=threading.Lock(), ready=False, instance=None, got=[]),
        (get_instance, get_instance),
        lambda s: s.got == ["loaded", "loaded"],
    ),
    Case("deadlock, 2 locks", three_locks, (take("a", "b"), take("b", "a"))),
    Case("deadlock, 3 locks", three_locks, (take("a", "b"), take("b", "c"), take("c", "a"))),
    Case(
        "missed notification",
        lambda: State(ready=False, changed=threading.Condition()),
        (wait_for_news, tell_news),
    ),
    Case(
        "if for while",
        lambda: State(items=[], changed=threading.Condition()),
        (take_if, take_if, put_one, put_one),
    ),
    Case("generator shared", shared_generator, (next_ticket, next_ticket)),
    Case("ABA stack", stack, (pop_one, pop_two_push_one), all_there),
    Case(
        "order, 3 preemptions",
        lambda: State(a=0, b=0, c=0, bad=False),
        (order_first, order_second, order_third),
        lambda s: not s.bad,
    ),
    Case(
        "window behind 50 reads",
        lambda: State(value=0, rate=1),
        (loop_then_add, loop_then_add),
        lambda s: s.value == 2,
    ),
)

# ---- correct programs ---------------------------------------------------------------------


def section(state):
    with state.lock:
        state.value += 1


def sections(state):
    for _ in range(5):
        with state.lock:
            state.value += 1


def benign(state):
    for _ in range(5):
        state.seen = True
        state.seen  # noqa: B018 - a read


def reads(state):
    for _ in range(10):
        state.rate  # noqa: B018 - a read


def locked(workers, call, expected):
    return (
        lambda: State(lock=threading.Lock(), value=0),
        (call,) * workers,
        lambda s: s.value == expected,
    )


CORRECT = (
    Case("locked counter, 2 workers", *locked(2, section, 2)),
    Case("2 workers x 5 sections", *locked(2, sections, 10)),
    Case("3 workers x 5 sections", *locked(3, sections, 15)),
    Case("2 workers x 10 benign", lambda: State(seen=False), (benign, benign)),
    Case("3 workers x 10 reads", lambda: State(rate=1), (reads, reads, reads)),
)

# ---- coroutines ---------------------------------------------------------------------------


async def deposit(state):
    value = state.value
    await asyncio.sleep(0)
    state.value = value + 1


async def locked_deposits(state):
    for _ in range(5):
        async with state.lock:
            value = state.value
            await asyncio.sleep(0)
            state.value = value + 1


async def first_of_two(state):
    await asyncio.sleep(0)
    state.log.append("first")


async def second_of_two(state):
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    state.log.append("second")


AWAITS = (
    Case("await race", lambda: State(value=0), (deposit, deposit), lambda s: s.value == 2),
    Case(
        "hidden by ready order",
        lambda: State(log=[]),
        (first_of_two, second_of_two),
        lambda s: s.log == ["first", "second"],
    ),
    Case(
        "3 tasks x 5 asyncio.Lock",
        lambda: State(lock=asyncio.Lock(), value=0),
        (locked_deposits,) * 3,
        lambda s: s.value == 15,
    ),
)

# ---- slowdown -----------------------------------------------------------------------------


def arithmetic(_state):
    total = 0
    for number in range(20_000):
        total += number * number % 7
    return total


def attributes(state):
    own = State(value=0)
    for _ in range(5_000):
        own.value += 1
    state.sums.append(own.value)


SLOW = (
    Case("arithmetic loop", lambda: State(sums=[]), (arithmetic, lambda s: s.sums.append(1))),
    Case("attribute loop", lambda: State(sums=[]), (attributes, lambda s: s.sums.append(1))),
)

CASES = {case.name: case for case in (*BUGS, *CORRECT, *AWAITS, *SLOW)}


# ---- one cell, in its own process ---------------------------------------------------------


@dataclass
class Watch:
    """Counts the schedules of a case and notes when the first of them failed."""

    case: Case
    began: float = field(default_factory=now)
    runs: int = 0
    first: tuple[int, float] | None = None
    given: Callable[..., Any] = field(init=False)

    def __post_init__(self):
        self.given = _awaited if asyncio.iscoroutinefunction(self.case.workers[0]) else _called

    def setup(self):
        self.runs += 1
        return self.case.setup()

    def failed(self):
        if self.first is None:
            self.first = (self.runs, now() - self.began)

    def holds(self, state):
        if self.case.holds(state):
            return True
        self.failed()
        return False

    def body(self, run):
        state = self.setup()
        try:
            run(*[self.given(worker, state) for worker in self.case.workers])
            assert self.holds(state)
        except BaseException:
            self.failed()
            raise

    def report(self, verdict, *, schedules=None):
        seconds = now() - self.began
        first_at, first_after = self.first or (self.runs, seconds)
        return {
            "verdict": verdict,
            "schedules": self.runs if schedules is None else schedules,
            "seconds": seconds,
            "first_at": first_at,
            "first_after": first_after,
        }


def _awaited(worker, state):
    async def given():
        await worker(state)

    return given


def _called(worker, state):
    return lambda: worker(state)


def ours(case, part):
    from pytest_concurrency.explore.interleave import interleave

    if part == "rate":
        return sampled(case)
    settings = {"schedules": 1} if part == "slow" else {"schedules": 100_000, "seconds": 30.0}
    watch = Watch(case)
    try:
        explored = interleave(watch.body, **settings)
    except Exception as error:  # noqa: BLE001 - whatever the failing schedule raised
        return watch.report(f"found ({type(error).__name__})")
    return watch.report(str(explored).split(",")[0], schedules=explored.schedules)


def sampled(case):
    """Play sampled schedules, unrecorded, as the rest of a budget does; time the best batch."""
    from pytest_concurrency.explore.code import CodeProgram
    from pytest_concurrency.explore.portfolio import guide
    from pytest_concurrency.explore.settings import Settings

    watch = Watch(case)
    best = None
    with CodeProgram(watch.body, Settings()) as program:
        steps = len(program.play(guide(0, seed=0, steps=50)).workers)
        for _ in range(_BATCHES):
            watch = Watch(case)
            for number in range(_BATCH):
                program.play(guide(number, seed=0, steps=steps), record=False)
            report = watch.report("complete", schedules=_BATCH)
            if best is None or report["seconds"] < best["seconds"]:
                best = report
    return best


def frontrun(case, part):
    import frontrun

    watch = Watch(case)

    waits = "notification" in case.name or "while" in case.name
    settings = {"clock": "virtual"} if waits else {}
    settings["reproduce_on_failure"] = 0
    if part == "slow":
        settings["max_executions"] = 1
    if part == "rate":
        settings |= {"strategy": "random", "max_attempts": 300, "seed": 1}
    try:
        result = frontrun.explore(
            setup=watch.setup, workers=list(case.workers), invariant=watch.holds, **settings
        )
    except (IndexError, RuntimeError, ValueError) as error:  # what a worker raised
        return watch.report(f"found ({type(error).__name__})")
    if asyncio.iscoroutine(result):
        result = asyncio.run(result)
    verdict = {True: "complete", False: "found", None: "inconclusive"}[result.property_holds]
    return watch.report(verdict, schedules=result.num_explored)


def interleave_test(case, part):
    import interleave_test as rival

    watch = Watch(case)

    def model():
        def run(*workers):
            tasks = [rival.spawn(worker) for worker in workers]
            for task in tasks:
                task.join()

        watch.body(run)

    if part == "correct":
        settings = {"strategy": "dfs", "iterations": 1_000_000}
    elif part == "rate":
        settings = {"strategy": "random", "iterations": 300}
    elif part == "slow":
        settings = {"strategy": "pct", "iterations": 1}
    else:
        settings = {"strategy": "pct", "iterations": 1_000}
    result = rival.explore(model, seed=1, raise_on_failure=False, timeout=5.0, **settings)
    if result.failure is not None:
        return watch.report("found", schedules=result.schedules_run)
    verdict = "complete" if result.exhausted else "not found"
    return watch.report(verdict, schedules=result.schedules_run)


def simloom(case, _part):
    import simloom

    watch = Watch(case)

    async def main():
        state = watch.setup()
        await asyncio.gather(*[worker(state) for worker in case.workers])
        assert watch.holds(state)

    explored = simloom.explore(main, runs=1_000)
    failures = getattr(explored, "failures", None) or getattr(explored, "failure", None)
    return watch.report("found" if failures or watch.first else "not found")


def plain(case, part):
    watch = Watch(case)
    for _ in range(1 if part == "slow" else 1_000):
        state, errors = watch.setup(), []
        gate = threading.Barrier(len(case.workers))
        threads = [
            threading.Thread(target=_caught, args=(gate, worker, state, errors), daemon=True)
            for worker in case.workers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.5)
        if errors or any(thread.is_alive() for thread in threads) or not watch.holds(state):
            watch.failed()
            return watch.report("found")
    return watch.report("not found")


def _caught(gate, worker, state, errors):
    gate.wait()
    try:
        worker(state)
    except Exception as error:  # noqa: BLE001 - counted
        errors.append(error)


RUNNERS = {
    OURS: ours,
    "frontrun": frontrun,
    "interleave-test": interleave_test,
    "simloom": simloom,
    "plain x 1000": plain,
}


def native(case):
    """Seconds that one plain run of a case takes."""
    best = float("inf")
    for _ in range(5):
        state = case.setup()
        began = time.perf_counter()
        for worker in case.workers:
            worker(state)
        best = min(best, time.perf_counter() - began)
    return best


def cell(tool, name, part):
    case = CASES[name]
    if part == "slow":
        once = native(case)
        report = RUNNERS[tool](case, part)
        runs = max(report["schedules"], 1)
        report["slowdown"] = report["seconds"] / runs / once
        return report
    if tool == OURS:
        _warm()
    return RUNNERS[tool](case, part)


def _warm():
    """Import what a session imports once, so that the first cell does not pay for it."""
    from pytest_concurrency.explore.interleave import interleave

    state = State(value=0)
    interleave(lambda run: run(lambda: section_free(state), lambda: section_free(state)))


def section_free(state):
    state.value = 1


# ---- all cells ----------------------------------------------------------------------------


def measure(python, tool, name, part, limit):
    command = [python, __file__, "--cell", tool, name, part]
    if tool == "frontrun":  # refuses to explore threads unless its own command started the process
        command = [str(Path(python).with_name("frontrun")), *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"verdict": f"not done in {limit:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        wrong = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"verdict": f"error: {wrong[:60]}"}
    return json.loads(lines[-1])


def installed(python, module):
    probe = [python, "-c", f"import {module}"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def table(title, names, tools, show, results, *, bar=""):
    print(f"\n{title}{bar and '   bar: '}{bar}")
    wide = max(map(len, names)) + 2
    print(" " * wide + "".join(f"{tool:<26}" for tool in tools))
    for name in names:
        shown = [show(results[name].get(tool), results[name].get(OURS)) for tool in tools]
        print(f"{name:<{wide}}" + "".join(f"{text:<26}" for text in shown))


def ratio(theirs, mine):
    return f" ({theirs / mine:,.0f}x)" if mine and theirs / mine >= 1.5 else ""


def show_bug(report, mine):
    if report is None:
        return "-"
    if not report["verdict"].startswith("found"):
        return report["verdict"]
    after = report["first_after"] * 1e3
    base = mine["first_after"] * 1e3 if mine and "first_after" in mine else 0
    times = "" if report is mine else ratio(after, base)
    return f"{report['first_at']:>5,}  {after:,.1f} ms{times}"


def show_correct(report, mine):
    if report is None:
        return "-"
    if "seconds" not in report:
        return report["verdict"]
    rate = report["schedules"] / report["seconds"]
    times = "" if report is mine else ratio(report["seconds"], (mine or {}).get("seconds"))
    done = "" if report["verdict"].startswith("complete") else f" {report['verdict']}"
    return f"{report['schedules']:,} {report['seconds']:.2f}s {rate:,.0f}/s{times}{done}"


def show_rate(report, mine):
    if report is None or "seconds" not in report:
        return "-" if report is None else report["verdict"]
    rate = report["schedules"] / report["seconds"]
    best = mine["schedules"] / mine["seconds"] if mine and "seconds" in mine else 0
    return f"{rate:,.0f}/s" + ("" if report is mine or rate > best else f" ({best / rate:,.0f}x)")


def show_slow(report, _mine):
    if report is None:
        return "-"
    return f"x{report['slowdown']:,.0f}" if "slowdown" in report else report["verdict"]


def main(argv=None):
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rivals", default=sys.executable, help="interpreter that has the rivals")
    options.add_argument("--only", choices=["bugs", "correct", "rate", "awaits", "slow"])
    options.add_argument("--limit", type=float, default=5.0, help="seconds that a cell may take")
    options.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    chosen = options.parse_args(argv)
    if chosen.cell:
        print(json.dumps(cell(*chosen.cell)))
        return
    pythons = {OURS: sys.executable, "plain x 1000": sys.executable}
    for tool, module in MODULES.items():
        if installed(chosen.rivals, module):
            pythons[tool] = chosen.rivals
        else:
            print(f"{tool} is not installed in {Path(chosen.rivals).name}: left out")
    bar_rate, bar_done = ("5,000", "2 s") if NEW else ("2,000", "4 s")
    parts = {
        "bugs": (
            "First failure: schedules until it, time until it",
            BUGS,
            TOOLS,
            show_bug,
            "under 20 ms",
        ),
        "correct": (
            "Correct programs: schedules until complete, time, schedules a second",
            CORRECT,
            TOOLS[:3],
            show_correct,
            f"3 x 5 sections complete in {bar_done}",
        ),
        "rate": (
            f"Sampling: schedules a second, best of {_BATCHES} batches",
            CORRECT[:3],
            TOOLS[:3],
            show_rate,
            f"{bar_rate}/s with 2 workers",
        ),
        "awaits": (
            "Coroutines: schedules, time, schedules a second",
            AWAITS,
            ASYNC_TOOLS,
            show_correct,
            "5,000/s",
        ),
        "slow": ("Slowdown of traced code, one schedule", SLOW, TOOLS[:3], show_slow, ""),
    }
    print(f"Python {sys.version.split()[0]}; a cell may take {chosen.limit:g} s")
    began = time.perf_counter()
    for part, (title, cases, tools, show, bar) in parts.items():
        if chosen.only not in (None, part):
            continue
        here = [tool for tool in tools if tool in pythons]
        results = {
            case.name: {
                tool: measure(pythons[tool], tool, case.name, part, chosen.limit) for tool in here
            }
            for case in cases
        }
        table(title, [case.name for case in cases], here, show, results, bar=bar)
    print(f"\n{time.perf_counter() - began:.0f} s in all; (nx) is times as long as {OURS}")


if __name__ == "__main__":
    main()
