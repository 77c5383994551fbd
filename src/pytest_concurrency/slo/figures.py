"""Numbers with units, written as people read them."""

from __future__ import annotations

from typing import Final

from pytest_concurrency.slo.quantities import Kind

_DURATION_STEPS: Final = (
    (3600e9, "h", 7200e9),
    (60e9, "min", 180e9),
    (1e9, "s", 1e9),
    (1e6, "ms", 1e6),
    (1e3, "\u00b5s", 1e3),
)
_SIZE_STEPS: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_WHOLE: Final = 100
_NEGLIGIBLE: Final = 1e-9
_NEARLY_ONE: Final = 0.995


def format_duration(nanoseconds: float) -> str:
    """Write a duration for a reader.

    >>> [format_duration(ns) for ns in (61_312_000, 214_000_000, 10_000_000_000, 3_140_000)]
    ['61.3 ms', '214 ms', '10 s', '3.1 ms']
    """
    factor, unit = _duration_unit(nanoseconds)
    return f"{_figure(nanoseconds / factor)} {unit}"


def format_size(octets: float) -> str:
    """Write a number of bytes for a reader.

    >>> format_size(512_300_000)
    '512 MB'
    """
    factor, unit = next(((f, u) for f, u in _SIZE_STEPS if abs(octets) >= f), (1.0, "B"))
    return f"{_figure(octets / factor)} {unit}"


def format_ratio(fraction: float) -> str:
    """Write a fraction of one as percent, with as many digits as tell it from 0 and 100.

    >>> [format_ratio(r) for r in (0.0, 0.182, 0.9999, 1.0)]
    ['0 %', '18.2 %', '99.99 %', '100 %']
    """
    return f"{_percent(fraction)} %"


def format_rate(per_second: float) -> str:
    """Write a rate for a reader.

    >>> [format_rate(r) for r in (1204.2, 12.34, 0.05)]
    ['1,204 /s', '12.3 /s', '3 /min']
    """
    if 0 < per_second < 1:
        return f"{_figure(per_second * 60)} /min"
    return f"{_figure(per_second)} /s"


def format_count(number: float) -> str:
    """Write a plain number with thousands separated.

    >>> format_count(1204)
    '1,204'
    """
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.3g}"


def format_quantity(kind: Kind, value: float) -> str:
    """Write a value of any kind, given in the kind's own unit.

    >>> format_quantity("duration", 61_312_000)
    '61.3 ms'
    """
    return _FORMATS[kind](value)


def format_interval(kind: Kind, low: float, high: float, *, joint: str = " to ") -> str:
    """Write both ends of an interval, naming the unit once when both share it.

    >>> format_interval("duration", 58_912_000, 63_981_000)
    '58.9 to 64.0 ms'
    """
    first, last = format_quantity(kind, low), format_quantity(kind, high)
    first_figure, _, first_unit = first.partition(" ")
    if first_unit == last.partition(" ")[2]:
        return f"{first_figure}{joint}{last}"
    return f"{first}{joint}{last}"


_FORMATS: Final = {
    "duration": format_duration,
    "size": format_size,
    "ratio": format_ratio,
    "rate": format_rate,
    "number": format_count,
}


def _duration_unit(nanoseconds: float) -> tuple[float, str]:
    """Return the largest unit that leaves a readable number before the point."""
    rounding = 0.9995  # 999.6 us is read as 1.0 ms, not as 1,000 us
    size = abs(nanoseconds)
    steps = ((f, u) for f, u, least in _DURATION_STEPS if size >= least * rounding)
    return next(steps, (1.0, "ns"))


def _figure(number: float) -> str:
    if abs(number - round(number)) < _NEGLIGIBLE or abs(number) >= _WHOLE - 0.05:
        return f"{number:,.0f}"
    return f"{number:,.1f}" if abs(number) >= _NEARLY_ONE else f"{number:.2g}"


def _percent(fraction: float) -> str:
    percent = fraction * 100
    if abs(percent - round(percent)) < _NEGLIGIBLE:
        return f"{percent:.0f}"
    for decimals in (1, 2, 3, 4):
        rounded = round(percent, decimals)
        if 0 < rounded < _WHOLE and abs(rounded - percent) <= 0.05 * min(percent, _WHOLE - percent):
            return f"{rounded:.{decimals}f}"
    return f"{percent:.2g}"
