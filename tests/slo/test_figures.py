"""Quantities are written as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_concurrency.slo import figures as f
from pytest_concurrency.slo.quantities import duration_ns


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (61_312_345, "61.3 ms"),
        (3_140_000, "3.1 ms"),
        (10_000_000_000, "10 s"),
        (214_300_000, "214 ms"),
        (0, "0 ns"),
        (0.25, "0.25 ns"),
        (999_960, "1.0 ms"),
        (99_960_000, "100 ms"),
        (1_500, "1.5 \u00b5s"),
        (90_000_000_000, "90 s"),
        (180_000_000_000, "3 min"),
        (5_400_000_000_000, "90 min"),
        (9_000_000_000_000, "2.5 h"),
        (-61_312_345, "-61.3 ms"),
    ],
)
def test_format_duration(nanoseconds, text):
    """Three digits at most, in the unit that suits."""
    assert f.format_duration(nanoseconds) == text


def test_format_other_kinds():
    """Sizes, shares, rates and counts read well too."""
    assert f.format_quantity("size", 512_300_000) == "512 MB"
    assert f.format_quantity("size", 12) == "12 B"
    assert f.format_quantity("ratio", 0.182) == "18.2 %"
    assert f.format_quantity("ratio", 0.00012) == "0.012 %"
    assert f.format_quantity("ratio", 1e-9) == "1e-07 %"
    assert f.format_quantity("rate", 1204.2) == "1,204 /s"
    assert f.format_quantity("rate", 0.05) == "3 /min"
    assert f.format_quantity("number", 1204) == "1,204"
    assert f.format_quantity("number", 0.93) == "0.93"


def test_format_interval_names_a_shared_unit_once():
    """Both ends carry their unit only when they differ."""
    assert f.format_interval("duration", 58_912_000, 63_981_000) == "58.9 to 64.0 ms"
    assert f.format_interval("duration", 900_000, 1_100_000) == "900 \u00b5s to 1.1 ms"
    assert f.format_interval("ratio", 0, 0.007) == "0 to 0.7 %"


@given(st.integers(1, 10**16))
def test_format_duration_can_be_read_back(nanoseconds):
    """What is written is read back as the same duration, to the digits shown."""
    text = f.format_duration(nanoseconds).replace(",", "")

    assert duration_ns(text) == pytest.approx(nanoseconds, rel=0.06, abs=1)
