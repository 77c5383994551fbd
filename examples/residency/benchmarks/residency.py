"""What the residency service's calculations cost, against the bars of its requirements.

Run ``python benchmarks/residency.py``; it ends within two minutes on an idle machine.
Each figure is the least of several runs, in wall and in processor time: the second one is not
disturbed by what else the machine does. ``--plot FILE`` keeps the plot of quality against time.
"""

import argparse
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path
from time import perf_counter, process_time

# This file has the name of the package that it measures, and its folder comes first on the path.
sys.path[:] = [place for place in sys.path if Path(place) != Path(__file__).parent]

from sqlalchemy.orm import Session, sessionmaker

from residency.data.datasets import filled
from residency.data.roster import FIRST_DAY, HUGE, LARGE, MEDIUM, SMALL, VAST
from residency.services.compliance import validate
from residency.services.generation import generate
from residency.services.resilience import burnout, contingency, defence
from residency.solver.planner import Limits, make_planner
from residency.solver.plot import quality_svg
from residency.store.engine import make_engine
from residency.store.models import Base, ScheduleRun

BARS = {SMALL: 1.0, MEDIUM: 2.0, LARGE: 5.0, HUGE: 15.0, VAST: None}
MOST_MEMORY = 500e6
SEARCH_SECONDS = 20


def timed(call, times=7):
    """Return the least wall and processor seconds of a call."""
    took = []
    for _ in range(times):
        wall, cpu = perf_counter(), process_time()
        call()
        took.append((perf_counter() - wall, process_time() - cpu))
    return min(wall for wall, _ in took), min(cpu for _, cpu in took)


def row(name, seconds, bar, extra=""):
    """Print a line: what, how long, the bar and the ratio."""
    wall, cpu = seconds
    limit = f"{bar * 1e3:>9,.0f} ms {bar / wall:>8,.0f} x" if bar else f"{'':>12} {'':>10}"
    print(f"{name:<38} {wall * 1e3:>10,.1f} ms {cpu * 1e3:>10,.1f} ms {limit}  {extra}", flush=True)


def at_once(call, workers=10):
    """Make a call in ten threads."""
    threads = [threading.Thread(target=call) for _ in range(workers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def main():
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="where to write quality against time, as SVG")
    plot = parser.parse_args().plot
    print(f"{'':<38} {'wall':>13} {'processor':>13} {'bar':>12} {'ratio':>10}")
    with tempfile.TemporaryDirectory() as room:
        for size, bar in BARS.items():
            engine = make_engine(f"sqlite:///{room}/{size.assignments}.db")
            Base.metadata.create_all(engine)
            with Session(engine) as session, session.begin():
                filled(size)(session)
            measure(engine, size, bar, plot)
            engine.dispose()


def measure(engine, size, bar, plot):
    """Measure what there is to measure at a size."""
    days = {"first_day": FIRST_DAY, "last_day": size.last_day}

    def asked(function):
        with Session(engine) as session:
            return function(session, **days)

    tracemalloc.start()
    asked(validate)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    seconds = timed(lambda: asked(validate))
    row(
        f"validate {size.assignments:,} assignments",
        seconds,
        bar,
        f"{peak / 1e6:.1f} of {MOST_MEMORY / 1e6:.0f} MB",
    )
    if size == LARGE:
        row("ten validations at once", timed(lambda: at_once(lambda: asked(validate))), 10.0)
        row("contingency: 130 singles, 8,385 pairs", timed(lambda: asked(contingency)), 5.0)
        row("defence level", timed(lambda: asked(defence)), 1.0)
        row("burnout Rt of 130 people", timed(lambda: asked(burnout)), 10.0)
        generate_large(engine, days, plot)


def generate_large(engine, days, plot):
    """Generate four weeks of 100 residents, with hardly any and with some time to search."""
    sessions = sessionmaker(engine)
    for seconds in (0.1, SEARCH_SECONDS):
        planner = make_planner(Limits(seconds=seconds))
        wall, cpu = perf_counter(), process_time()
        run = generate(sessions, **days, planner=planner)
        took = perf_counter() - wall, process_time() - cpu
        with sessions() as session:
            found = session.get_one(ScheduleRun, run).statistics
        row(f"generate four weeks, search {seconds:g} s", took, 180.0, told(found))
    drawn = quality_svg(found)
    if plot is not None:
        plot.write_text(drawn, encoding="utf-8")


def told(found):
    """Return what a search says of itself, on one line."""
    first = found["quality"][0]["objective"]
    return (
        f"{found['status']}, {found['empty']} empty, cost {first:,.0f} to {found['objective']:,.0f}"
        f" in {len(found['quality'])} steps, bound {found['bound']:,.0f},"
        f" {found['branches']:,} branches, {found['conflicts']:,} conflicts,"
        f" {found['propagations']:,} propagations, {found['peak_memory_bytes'] / 1e6:,.0f} MB"
    )


if __name__ == "__main__":
    main()
