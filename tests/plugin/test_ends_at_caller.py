"""A mistake ends in the line that made it: no line of this package stands in its traceback."""

SUITE = """
import pytest
import pytest_concurrency as pc

def test_missed():
    pc.assert_performance("61.3ms", "50ms", "validation")

def test_no_unit():
    pc.assert_performance("61", "50ms", "validation")

def test_too_early():
    with pc.measure_time("import") as timing:
        timing.duration
"""
ENDS = """\
____ test_missed ____

    def test_missed():
>       pc.assert_performance("61.3ms", "50ms", "validation")
E       pytest_concurrency.BrokenPromise: Missed: validation within 50 ms
E         took    61.3 ms
E         margin  11.3 ms over, 1.23 times the limit

test_it.py:5: BrokenPromise
____ test_no_unit ____

    def test_no_unit():
>       pc.assert_performance("61", "50ms", "validation")
E       pytest_concurrency.UsageError: assert_performance('validation'): '61' has no unit. \
Write '61ms' or '61s'.

test_it.py:8: UsageError
____ test_too_early ____

    def test_too_early():
        with pc.measure_time("import") as timing:
>           timing.duration
E           pytest_concurrency.UsageError: measure_time('import'): the block has not ended. \
Read .duration after the with statement.

test_it.py:12: UsageError
"""
MISTAKES = (
    "pc.measure_time('x').duration",
    "pc.PerformanceTimer().stop()",
    "pc.PerformanceTimer().lap()",
    "pc.PerformanceTimer().start().start()",
    "pc.assert_slo([0.1], 'p95 < 50')",
    "pc.assert_slo([], 'p95 < 50ms')",
    "pc.assert_slo(object(), 'p95 < 50ms')",
    "pc.assert_slo([0.1] * 100, 'p95 < 50ms')",
    "pc.parse_objective('p95 << 4')",
    "pc.parse_objective(3)",
    "pc.PerfTimer(objectives=['p95'])",
    "pc.PerfTimer().until_decided()",
    "pc.PerfTimer().until_decided('p95 < 5ms', seconds='4')",
    "pc.PerfTimer().until_decided('p95 < 5ms', max_calls=-3)",
    "list(pc.PerfTimer().until_decided('p95 < 5ms'))",
    "pc.PerfTimer().waiting('foo')",
    "pc.compare(1, int)",
    "pc.compare(int, int, 'x')",
    "pc.compare(int, int, seconds='1')",
    "pc.assert_scales(int, [], 'n')",
    "pc.assert_scales(int, [1, 2, 3, 4], 'n^^2')",
    "pc.assert_no_leak(int, limit='4')",
    "pc.concurrent_runner(3)",
    "pc.concurrent_runner(int, workers=-1)",
    "pc.concurrent_runner(int, on='thread')",
    "pc.concurrent_runner(int, timeout='4')",
    "pc.concurrent_runner(int, rounds=0)",
    "pc.concurrent_runner(int, seed='x')",
)


def test_a_failure_ends_in_the_callers_line(suite):
    """The whole text of a missed claim, of a value without a unit, and of a block read early."""
    ran = suite(SUITE)

    out = [line.rstrip() for line in ran.result.outlines]
    begun = next(i for i, line in enumerate(out) if line.endswith("FAILURES " + "=" * 35))
    ended = next(i for i, line in enumerate(out) if "short test summary" in line)
    assert shortened(out[begun + 1 : ended]) == ENDS


def shortened(lines):
    """Return lines with the rules around a title shortened."""
    titles = ("_" * 10, "_" * 9)
    return "".join(
        f"____ {line.strip('_ ')} ____\n" if line.startswith(titles) else f"{line}\n"
        for line in lines
    )


def test_no_mistake_shows_a_line_of_ours(suite):
    """Whatever is refused, the one entry of its traceback is the test's own line."""
    tests = [f"def test_{number}():\n    {mistake}\n" for number, mistake in enumerate(MISTAKES)]
    ran = suite("import pytest_concurrency as pc\n" + "\n".join(tests), "--tb=short")

    places = [line for line in ran.result.outlines if line.partition(": in ")[1]]
    assert ran.outcomes == {"failed": len(MISTAKES)}
    assert [place.partition(":")[0] for place in places] == ["test_it.py"] * len(MISTAKES)


def test_a_mistake_of_ours_is_shown_whole(suite):
    """What the package did not raise on purpose keeps every line of its traceback."""
    ran = suite("""
        import pytest_concurrency as pc

        def test_it():
            pc.error_budget(3)
    """)

    assert "budgets.py" in ran.section("test_it")
