"""Quantities are read as people write them."""

import math

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo import quantities as q


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("10s", "duration", 10e9),
        ("500ms", "duration", 500e6),
        ("2us", "duration", 2e3),
        ("2\u00b5s", "duration", 2e3),
        ("2\u03bcs", "duration", 2e3),
        ("7ns", "duration", 7),
        ("1.5 min", "duration", 90e9),
        ("2h", "duration", 7200e9),
        ("30d", "duration", 30 * 86400e9),
        (" 1_000 ms ", "duration", 1e9),
        (".5s", "duration", 5e8),
        ("1e3ms", "duration", 1e9),
        ("500MB", "size", 5e8),
        ("1GiB", "size", 2**30),
        ("64 kB", "size", 64e3),
        ("1%", "ratio", 0.01),
        ("99.99 %", "ratio", 0.9999),
        ("100/s", "rate", 100),
        ("120 /min", "rate", 2),
    ],
)
def test_parse_quantity_reads(text, kind, value):
    """Every unit is read, with or without a space."""
    quantity = q.parse_quantity(text)

    assert (quantity.kind, quantity.text) == (kind, text.strip())
    assert math.isclose(quantity.value, value)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("50", None, "'50': '50' has no unit. Write '50ms' or '50s'."),
        ("50", "size", "x: '50' has no unit. Write '50MB' or '50GB'."),
        ("1", "ratio", "x: '1' has no unit. Write '1%'."),
        ("10 sec", None, "'10 sec': 'sec' is not a unit. Write '10s'."),
        ("10m", "duration", "x: 'm' is not a unit. Write '10min'."),
        ("500mb", "size", "x: 'mb' is not a unit. Write '500MB'."),
        ("500MS", "duration", "x: 'MS' is not a unit. Write '500ms'."),
        ("5 percent", None, "'5 percent': 'percent' is not a unit. Write '5%'."),
        ("100rps", "rate", "x: 'rps' is not a unit. Write '100/s'."),
        ("100 parsecs", "rate", "x: 'parsecs' is not a unit. Write one of /s, /min, /h."),
        ("1,5s", "duration", "x: '1,5s' has a comma. Write '1.5s'."),
        ("fast", "duration", "x: 'fast' is not a duration. Write '50ms' or '50s'."),
        ("", "size", "x: '' is not a size. Write '50MB' or '50GB'."),
        ("1e999s", "duration", "x: '1e999s' is too large to be a number. Write '10ms' or '10s'."),
        ("5%", "duration", "x: '5%' is a share in percent, not a duration. Write '5ms' or '5s'."),
        ("5s", "number", "x: '5s' is a duration, not a plain number. Write '5'."),
    ],
)
def test_parse_quantity_refuses(text, kind, message):
    """A wrong quantity names what to type instead."""
    with pytest.raises(UsageError) as refused:
        q.parse_quantity(text, kind=kind, where="x" if kind else "")

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "timeout: -1 is negative. A duration is zero or more."),
        ("-1s", "timeout: '-1s' is negative. A duration is zero or more."),
        (math.nan, "timeout: nan is not a length of time. Write a finite number of seconds."),
        (math.inf, "timeout: inf is not a length of time. Write a finite number of seconds."),
        (True, "timeout: True is not a duration. Write seconds as a number, or '50ms'."),
        (None, "timeout: None is not a duration. Write seconds as a number, or '50ms'."),
        ("5", "timeout: '5' has no unit. Write '5ms' or '5s'."),
    ],
)
def test_duration_refuses(value, message):
    """A duration is finite, zero or more, and has a unit when it is text."""
    with pytest.raises(UsageError) as refused:
        q.duration_ns(value, where="timeout")

    assert str(refused.value) == message


def test_seconds_reads_numbers_and_text():
    """A number is seconds; text has its unit."""
    assert (q.seconds(2), q.seconds(0.5), q.seconds("1.5 min")) == (2.0, 0.5, 90.0)
