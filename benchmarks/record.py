"""What recording costs: time a sample, memory a million, error of quantiles, merging.

    python benchmarks/record.py [--quick]

hdrhistogram and ddsketch are measured beside it where they are installed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from array import array
from importlib import import_module

from pytest_concurrency.slo.bins import RELATIVE_ERROR, Bins
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.samples import Samples, merge_samples


def rival(module: str):
    try:
        return import_module(module)
    except ImportError:
        return None


def best_ns(body, calls: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter_ns()
        body(calls)
        best = min(best, (time.perf_counter_ns() - began) / calls)
    return best


def blocks(make):
    def body(calls):
        timer = make()
        for _ in range(calls):
            with timer:
                pass

    return body


def into(record):
    class Block:
        __slots__ = ("began",)

        def __enter__(self):
            self.began = time.perf_counter_ns()

        def __exit__(self, *_):
            record(time.perf_counter_ns() - self.began)

    return Block


def cost(calls: int, rounds: int) -> None:
    print("Cost of an empty 'with timer:' block, clock included (ns, best of", rounds, "rounds)")
    plain = best_ns(blocks(lambda: PerfTimer(takes_out_waits=False)), calls, rounds)
    rows = [("perf_timer, wall", plain)]
    if PerfTimer().takes_out_waits:
        rows.append(("perf_timer, waits taken out", best_ns(blocks(PerfTimer), calls, rounds)))
    rows.append(
        ("array.append in a block", best_ns(blocks(into(array("q").append)), calls, rounds))
    )
    hdr, dd = rival("hdrh.histogram"), rival("ddsketch")
    if hdr:
        histogram = hdr.HdrHistogram(1, 60_000_000_000, 3)
        rows.append(("hdrhistogram", best_ns(blocks(into(histogram.record_value)), calls, rounds)))
    if dd:
        sketch = dd.DDSketch(0.01)
        rows.append(("ddsketch 1 %", best_ns(blocks(into(sketch.add)), calls, rounds)))
    for name, took in rows:
        print(f"  {name:<28} {took:>8.0f}   {took / plain:.2f}x")
    clock = best_ns(lambda n: [time.perf_counter_ns() for _ in range(n)], calls, rounds)
    print(f"  one reading of the clock     {clock:>8.0f}")


def memory(n: int) -> None:
    print(f"\nMemory of {n:,} samples (MB a million)")
    tracemalloc.start()
    samples = Samples.of(range(n))
    exact = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    bins = Bins()
    bins.add(samples.ns)
    folded = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(f"  one by one                   {exact / n:>8.2f}")
    print(f"  in bins                      {folded / n:>8.2f}   {len(bins.counts)} bins")


def error(n: int) -> None:
    print(f"\nError of quantiles read from bins, {n:,} samples (stated: {RELATIVE_ERROR:.2%})")
    draw = random.Random(7)
    shapes = {
        "lognormal": lambda: draw.lognormvariate(13, 1),
        "pareto": lambda: 1e5 * draw.paretovariate(1.5),
        "bimodal": lambda: draw.gauss(1e6, 5e4) if draw.random() < 0.9 else draw.gauss(2e8, 1e7),
    }
    dd = rival("ddsketch")
    for name, shape in shapes.items():
        values = [max(1, int(shape())) for _ in range(n)]
        ordered, bins = sorted(values), Bins()
        bins.add(values)
        sketch = dd.DDSketch(0.01) if dd else None
        for value in values if sketch else ():
            sketch.add(value)
        cells = []
        for quantile in (0.5, 0.95, 0.99, 0.999):
            rank = int(quantile * n)
            ours = bins.at_rank(rank) / ordered[rank] - 1
            cells.append(f"p{quantile * 100:g} {ours:+.2%}")
            if sketch:
                cells[-1] += (
                    f" (ddsketch {sketch.get_quantile_value(quantile) / ordered[rank] - 1:+.2%})"
                )
        print(f"  {name:<10} {'  '.join(cells)}")


def merging(n: int) -> None:
    print(f"\nMerging two workers of {n:,} samples each (ms)")
    draw = random.Random(8)
    parts = [Samples.of(int(draw.lognormvariate(13, 1)) for _ in range(n)) for _ in range(2)]
    began = time.perf_counter()
    merge_samples(parts)
    print(f"  one by one, in turn          {(time.perf_counter() - began) * 1e3:>8.2f}")
    both = [Bins(), Bins()]
    for bins, part in zip(both, parts, strict=True):
        bins.add(part.ns)
    began = time.perf_counter()
    both[0].merge(both[1])
    print(f"  bins                         {(time.perf_counter() - began) * 1e3:>8.2f}")
    began = time.perf_counter()
    wire = parts[0].to_wire()
    Samples.from_wire(wire)
    took = (time.perf_counter() - began) * 1e3
    print(f"  to a report and back         {took:>8.2f}   {len(wire['ns']) / n:.1f} bytes a sample")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples and rounds")
    quick = parser.parse_args().quick
    print(f"Python {sys.version.split()[0]}")
    cost(*(5_000, 40) if quick else (20_000, 100))
    memory(200_000 if quick else 1_000_000)
    error(50_000 if quick else 500_000)
    merging(50_000 if quick else 200_000)


if __name__ == "__main__":
    main()
