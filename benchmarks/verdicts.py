"""False alarms and misses of verdicts, simulated on noise recorded from this machine.

A function that never changes is timed while the machine is idle, has one core busy, and has
every core busy. Windows of those recordings are then judged against limits that are multiples of
the truth, the quiet figure, by our verdicts and by what else people use. A second pass makes the
function 1.5 times slower and counts who still lets it pass.

    python benchmarks/verdicts.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from array import array
from collections import Counter
from itertools import product
from math import sqrt

from pytest_concurrency.slo.assertions import Policy
from pytest_concurrency.slo.deciding import Decision
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.intervals import quantile_interval, quantile_of
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.noise import Noise, canary_ns
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.samples import Samples

BURNER = """
import random, time
while True:
    until = time.monotonic() + random.uniform(0.05, 0.5)
    while time.monotonic() < until:
        pass
    time.sleep(random.uniform(0.02, 0.2))
"""
FACTORS = (1.1, 1.3, 2.0)
SIZES = (20, 50, 200, 2_000)


def work() -> int:
    total = 0
    for step in range(9_000):
        total += step * step % 7
    return total


class Recording:
    """Samples in order, each with its wait, and the canary beside them."""

    def __init__(self, name: str, samples: Samples, canaries: list[int], seconds: float) -> None:
        self.name = name
        self.wall = samples.ns
        self.waits = samples.waits_ns or array("q", [0]) * len(samples.ns)
        self.canaries = canaries
        self.seconds = seconds

    def window(self, start: int, n: int, slower: float) -> Samples:
        wall, waits = self.wall[start : start + n], self.waits[start : start + n]
        if slower != 1.0:
            own = (d - w for d, w in zip(wall, waits, strict=True))
            wall = array("q", [round(o * slower) + w for o, w in zip(own, waits, strict=True)])
        return Samples(ns=wall, waits_ns=waits)

    def noise(self, start: int, n: int, reference: int) -> Noise:
        near = self.canaries[start : start + n]
        return Noise(slowdown=statistics.median(near) / reference)


def record(name: str, busy: int, n: int) -> Recording:
    burners = [subprocess.Popen([sys.executable, "-c", BURNER]) for _ in range(busy)]
    timer, canaries = PerfTimer(), []
    try:
        time.sleep(0.3)
        for _ in range(50):
            work()
        began = time.perf_counter()
        for _ in range(n):
            with timer:
                work()
            canaries.append(canary_ns())
        seconds = time.perf_counter() - began
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    return Recording(name, timer.samples, canaries, seconds)


class Truth:
    """The quiet figures, and the reference that stored baselines compare with."""

    def __init__(self, idle: Recording) -> None:
        own = [d - w for d, w in zip(idle.wall, idle.waits, strict=True)]
        windows = [own[i : i + 200] for i in range(0, len(own) - 199, 200)]
        self.p95 = statistics.median(quantile_of(sorted(each), 0.95) for each in windows)
        self.mean = statistics.median(statistics.fmean(each) for each in windows)
        self.reference = sorted(idle.canaries)[len(idle.canaries) // 20]
        self.baseline = own[:200]


def ours(window, noise, truth, factor):
    objective = parse_objective(f"p95 < {truth.p95 * factor:.0f}ns")
    evidence = Evidence(latency=window, calls=len(window), noise=noise)
    return judge(evidence, objective).state


def naive_mean(window, _, truth, factor):
    return "missed" if statistics.fmean(window.ns) > factor * truth.mean else "met"


def naive_p95(window, _, truth, factor):
    return "missed" if quantile_of(sorted(window.ns), 0.95) > factor * truth.p95 else "met"


def order_statistics(window, _, truth, factor):
    """A distribution-free interval that takes samples for independent, by the wall clock."""
    shuffled = array("q", random.Random(0).sample(list(window.ns), len(window.ns)))
    interval, limit = quantile_interval(shuffled, 0.95, 0.05), factor * truth.p95
    if interval.high < limit:
        return "met"
    return "missed" if interval.low > limit else "undecided"


def pytest_benchmark(window, _, truth, factor):
    """``--benchmark-compare-fail=mean:30%``: the means' ratio, as a point."""
    return "missed" if statistics.fmean(window.ns) / truth.mean - 1 > factor - 1 else "met"


def t_test(window, _, truth, factor):
    """A one-sided test of the mean against the factor times the stored mean."""
    ns = window.ns
    error = statistics.stdev(ns) / sqrt(len(ns))
    return "missed" if (statistics.fmean(ns) - factor * truth.mean) / error > 1.65 else "met"


RULES = {
    "naive mean": naive_mean,
    "naive p95": naive_p95,
    "order statistics, wall": order_statistics,
    "pytest-benchmark mean:x%": pytest_benchmark,
    "t-test on the mean": t_test,
    "ours": ours,
}


def judge_windows(recording, truth, rule, plan, rng):
    n, factor, slower, trials = plan
    states = Counter()
    for _ in range(trials):
        start = rng.randrange(len(recording.wall) - n)
        window = recording.window(start, n, slower)
        noise = recording.noise(start, n, truth.reference)
        states[rule(window, noise, truth, factor)] += 1
    return percent(states)


def percent(states):
    trials = sum(states.values())
    return [f"{100 * states[state] / trials:.1f}" for state in ("missed", "undecided", "met")]


def paired(recording, n, slower, trials, rng):
    """The gate ``new <= 1.10x old`` on neighbouring calls, every other one the new function."""
    own = [d - w for d, w in zip(recording.wall, recording.waits, strict=True)]
    states = Counter()
    for _ in range(trials):
        start = rng.randrange(len(own) - 2 * n)
        ratios = array("q")
        for i in range(start, start + 2 * n - 3, 4):  # new, old, old, new, or the other way round
            a, b, c, d = own[i : i + 4]
            ratio = (a + d) / (b + c)
            ratios.append(round(1e9 * slower * (ratio if rng.random() < 0.5 else 1 / ratio)))
        ratio = quantile_interval(ratios, 0.5, 0.01).over(1e9)
        state = "met" if ratio.high <= 1.1 else "missed" if ratio.low > 1.1 else "undecided"
        states[state] += 1
    return percent(states)


def sequential(recording, truth, slower, trials, rng):
    """``until_decided``: states, and the median number of calls and seconds to a verdict."""
    objective = parse_objective(f"p95 < {truth.p95 * 1.3:.0f}ns")
    most = 2_000
    each = recording.seconds / len(recording.wall)
    least = int(0.1 / each)
    states, calls = Counter(), []
    for _ in range(trials):
        start = rng.randrange(len(recording.wall) - most)
        decision = Decision(objectives=(objective,), policy=Policy())
        n = max(5, least)
        while True:
            window = recording.window(start, n, slower)
            noise = recording.noise(start, n, truth.reference)
            decision.look(Evidence(latency=window, calls=n, noise=noise), is_last=n >= most)
            if decision.is_complete or n >= most:
                break
            n = min(most, max(n + 1, int(n * 1.5)))
        states[decision.verdicts[objective].state] += 1
        calls.append(n)
    median = statistics.median(calls)
    return percent(states), median, median * each


def row(*cells):
    widths = (26, 12, 6, 7, 9, 11, 9)
    print("  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples and trials")
    quick = parser.parse_args().quick
    n, trials = (6_000, 100) if quick else (20_000, 300)
    cores = os.cpu_count() or 1
    print(f"Python {sys.version.split()[0]}, {cores} cores, load {os.getloadavg()[0]:.2f} at start")
    recordings = [
        record(name, busy, n) for name, busy in (("idle", 0), ("one busy", 1), ("all busy", cores))
    ]
    truth = Truth(recordings[0])
    print(
        f"truth: p95 {truth.p95 / 1e3:.0f} us, mean {truth.mean / 1e3:.0f} us, {n} samples each\n"
    )
    against_limits(recordings, truth, trials)
    against_rivals(recordings, truth, trials)


def against_limits(recordings, truth, trials):
    rng = random.Random(5)
    heads = ("rule", "machine", "n", "limit", "missed", "undecided", "met")
    print("An unchanged function under a limit: % missed is false alarms")
    row(*heads)
    for name, rule in RULES.items():
        for recording, n, factor in product(recordings, SIZES, FACTORS):
            got = judge_windows(recording, truth, rule, (n, factor, 1.0, trials), rng)
            row(name, recording.name, n, f"{factor}x", *got)

    print("\nA function 1.5x slower under a limit of 1.3x: % met is misses")
    row(*heads)
    for name, rule in RULES.items():
        for recording, n in product(recordings, SIZES):
            got = judge_windows(recording, truth, rule, (n, 1.3, 1.5, trials), rng)
            row(name, recording.name, n, "1.3x", *got)


def against_rivals(recordings, truth, trials):
    rng = random.Random(6)
    print("\nThe paired gate, new <= 1.10x old")
    row("", "machine", "pairs", "new is", "missed", "undecided", "met")
    for recording, pairs, slower in product(recordings, (20, 60, 200), (1.0, 1.3, 1.5)):
        got = paired(recording, pairs, slower, trials, rng)
        row("ours, 99 % bounds", recording.name, pairs, f"{slower}x", *got)

    print("\nuntil_decided under a limit of 1.3x, at most 2,000 calls")
    row("median to a verdict", "machine", "", "new is", "missed", "undecided", "met")
    for recording, slower in product(recordings, (1.0, 1.5, 2.0)):
        got, calls, seconds = sequential(recording, truth, slower, trials, rng)
        took = f"{calls:.0f} calls, {seconds * 1e3:.0f} ms"
        row(took, recording.name, "", f"{slower}x", *got)


if __name__ == "__main__":
    main()
