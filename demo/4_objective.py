"""An objective, missed: four in ten calls find the cache cold, and the median does not tell.

The report has the quantile with its bounds, the share of calls over the limit, and the slowest
call. The same calls meet the limit for the median: 95 % of them is another question than half.
"""

import time

import pytest

EXPECTED = "1 failed"


def look_up(turn):
    cold = turn % 10 in (0, 3, 6, 9)
    time.sleep(0.004 if cold else 0.0005)


@pytest.mark.performance
@pytest.mark.slo("p50 < 3ms", "p95 < 3ms", "errors < 5%")
def test_answers_in_time(perf_timer):
    for turn in perf_timer.until_decided():
        with perf_timer:
            look_up(turn)
