"""What the residency service's calculations cost, against the bars of its requirements.

Run ``python benchmarks/residency.py``; it ends within two minutes.
"""

import tempfile
import threading
from pathlib import Path
from statistics import median
from time import perf_counter

from pytest_concurrency import track_memory
from sqlalchemy.orm import Session, sessionmaker

from residency.data.datasets import filled
from residency.data.roster import FIRST_DAY, HUGE, LARGE, MEDIUM, SMALL, VAST
from residency.services.compliance import validate
from residency.services.resilience import burnout, contingency, defence
from residency.solver.planner import make_planner
from residency.solver.plot import quality_svg
from residency.store.engine import make_engine
from residency.store.models import Base

BARS = {SMALL: 1.0, MEDIUM: 2.0, LARGE: 5.0, HUGE: 15.0, VAST: None}


def timed(call, times=7):
    """Return the median seconds of a call."""
    took = []
    for _ in range(times):
        begun = perf_counter()
        call()
        took.append(perf_counter() - begun)
    return median(took)


def row(name, seconds, bar, extra=""):
    """Print a line: what, how long, the bar and the ratio."""
    limit = f"{bar * 1e3:>9,.0f} ms {bar / seconds:>8,.0f} x" if bar else f"{'':>12} {'':>10}"
    print(f"{name:<42} {seconds * 1e3:>10,.1f} ms {limit}  {extra}", flush=True)


def at_once(call, workers=10):
    """Return the seconds until ten threads have made a call."""
    threads = [threading.Thread(target=call) for _ in range(workers)]
    begun = perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return perf_counter() - begun


def main():
    """Measure everything."""
    print(f"{'':<42} {'took':>13} {'bar':>12} {'ratio':>10}")
    with tempfile.TemporaryDirectory() as room:
        for size, bar in BARS.items():
            engine = make_engine(f"sqlite:///{room}/{size.assignments}.db")
            Base.metadata.create_all(engine)
            with Session(engine) as session, session.begin():
                filled(size)(session)
            days = {"first_day": FIRST_DAY, "last_day": size.last_day}

            def check(engine=engine, days=days):
                with Session(engine) as session:
                    return validate(session, **days)

            check()
            seconds = timed(check)
            with track_memory() as memory:
                check()
            row(f"validate {size.assignments:,}", seconds, bar, f"{memory.peak_bytes / 1e6:.1f} MB")
            if size == LARGE:
                row("ten validations at once", median(at_once(check) for _ in range(5)), 10.0)
                with Session(engine) as session:
                    row(
                        "contingency of 8,385 pairs",
                        timed(lambda: contingency(session, **days)),
                        5.0,
                    )
                    row("defence level", timed(lambda: defence(session, **days)), 1.0)
                    row("burnout Rt", timed(lambda: burnout(session, **days)), 10.0)
                generate_large(engine, days)
            engine.dispose()


def generate_large(engine, days):
    """Generate four weeks of 100 residents, and draw quality against time."""
    begun = perf_counter()
    with sessionmaker(engine)() as session:
        found = make_planner(seconds=20)(session, days["first_day"], days["last_day"]).statistics
    row("generate 5,600 places (20 s of search)", perf_counter() - begun, 180.0,
        f"{found['status']}, {found['empty']} empty, cost {found['objective']:,.0f}, "
        f"bound {found['bound']:,.0f}, {found['branches']:,} branches, "
        f"{found['conflicts']:,} conflicts, {found['propagations']:,} propagations, "
        f"{found['peak_memory_bytes'] / 1e6:,.0f} MB")  # fmt: skip
    plot = Path(tempfile.gettempdir()) / "residency-quality.svg"
    plot.write_text(quality_svg(found), encoding="utf-8")
    print(f"  quality against time: {plot}")


if __name__ == "__main__":
    main()
