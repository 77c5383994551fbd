"""How fast histories are judged and a stack that loses items is found.

A history is judged by Wing and Gong's search with the memory of Lowe: states seen before with the
same calls made are not searched again. The rival in the same run is the search without memory,
which is what a few lines of recursion give. Times are of the processor, the best of three turns.
"""

import random
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

from hypothesis import strategies as st
from measuring.table import ratio, show

from pytest_concurrency.explore.history import Answer, Call, History
from pytest_concurrency.explore.linearizability import linearize
from pytest_concurrency.explore.linearizable import linearizable
from pytest_concurrency.explore.specification import Sequential
from pytest_concurrency.explore.trial import NotLinearizable

TURNS = 3
PATIENCE = 200_000


class Register:
    """One value, read and written."""

    def __init__(self) -> None:
        self.value = 0

    def write(self, value: int) -> None:
        self.value = value

    def read(self) -> int:
        return self.value


def drawn(calls: int, clients: int, seed: int = 1) -> History:
    """Make a history of a register: each call takes effect at some moment while it runs."""
    draw = random.Random(seed)
    free = [0.0] * clients
    made = []
    for _ in range(calls):
        client = draw.randrange(clients)
        began = free[client] + draw.random()
        ended = began + draw.random() * 3
        free[client] = ended
        made.append((draw.uniform(began, ended), client, began, ended, draw.random() < 0.5))
    value, found = 0, []
    for at, client, began, ended, writes in sorted(made):
        if writes:
            value = int(at * 1e6) % 5
        found.append(
            Call(
                worker=client,
                operation="write" if writes else "read",
                arguments=(value,) if writes else (),
                invoked=int(began * 1e6),
                returned=int(ended * 1e6),
                answer=Answer(value=None if writes else value),
            )
        )
    return History(tuple(sorted(found, key=lambda call: call.invoked)))


def without_memory(history: History) -> bool | None:
    """Search for an order as the textbook does; nothing when patience ends."""
    calls = list(history)
    steps = 0
    stack: list[tuple[frozenset[int], int]] = [(frozenset(), 0)]
    while stack:
        done, value = stack.pop()
        steps += 1
        if steps > PATIENCE:
            return None
        left = [at for at in range(len(calls)) if at not in done]
        if not left:
            return True
        horizon = min(calls[at].returned or 0 for at in left)
        for at in reversed(left):
            call = calls[at]
            if call.invoked > horizon:
                continue
            if call.operation == "write":
                stack.append((done | {at}, call.arguments[0]))
            elif call.answer is not None and call.answer.value == value:
                stack.append((done | {at}, value))
    return False


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work gives, and the least processor time that it takes."""
    best, said = float("inf"), None
    for _ in range(TURNS):
        began = process_time()
        said = work()
        best = min(best, process_time() - began)
    return said, best


def judge(calls: int, clients: int) -> list[str]:
    history = drawn(calls, clients)
    ours, mine = timed(lambda: bool(linearize(history, Sequential(Register))))
    theirs, rival = timed(lambda: without_memory(history))
    gives_up = theirs is None
    return [
        f"{calls:,} calls of {clients} clients",
        f"{mine * 1e3:,.1f} ms",
        "explained" if ours else "refuted",
        f"{'> ' * gives_up}{rival * 1e3:,.1f} ms",
        f"gives up after {PATIENCE:,} steps" if gives_up else "explained" if theirs else "refuted",
        f"{'> ' * gives_up}{ratio(rival, mine)}",
    ]


class Stack:
    """Loses an item when two are pushed at once."""

    def __init__(self) -> None:
        self.items: tuple[int, ...] = ()

    def push(self, item: int) -> None:
        self.items = (item, *self.items)

    def pop(self) -> int | None:
        if not self.items:
            return None
        top, *rest = self.items
        self.items = tuple(rest)
        return top


def hunt() -> list[list[str]]:
    """Find the stack's race ten times over, with ten seeds."""
    times, schedules = [], []
    for seed in range(10):
        runs = 0

        def make() -> Stack:
            nonlocal runs
            runs += 1
            return Stack()

        began = process_time()
        try:
            linearizable(make, push=st.integers(0, 3), pop=(), seed=seed)
        except NotLinearizable:
            times.append(process_time() - began)
            schedules.append(runs)
    return [
        [
            "stack, two workers",
            f"{len(times)} of 10",
            f"{sorted(times)[len(times) // 2] * 1e3:,.0f} ms",
            f"{max(times) * 1e3:,.0f} ms",
            f"{sorted(schedules)[len(schedules) // 2]:,}",
        ]
    ]


def main() -> None:
    sizes = ((50, 4), (200, 4), (1_000, 4), (200, 8), (1_000, 8))
    show(
        f"Histories of a register, Python {sys.version.split()[0]}",
        ["history", "ours", "says", "without memory", "says", "as many times"],
        [judge(*size) for size in sizes],
    )
    show(
        "A race found, made small and explained",
        ["class", "seeds", "median", "longest", "objects made"],
        hunt(),
    )


if __name__ == "__main__":
    main()
