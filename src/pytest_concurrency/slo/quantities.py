"""Numbers with units, read as people write them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import Final, Literal

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest

__tracebackhide__ = is_on_purpose

Kind = Literal["duration", "size", "ratio", "rate", "number"]

_MICRO: Final = "\u00b5s"
_UNITS: Final[dict[str, tuple[Kind, float]]] = {
    "ns": ("duration", 1),
    "us": ("duration", 1e3),
    _MICRO: ("duration", 1e3),
    "\u03bcs": ("duration", 1e3),
    "ms": ("duration", 1e6),
    "s": ("duration", 1e9),
    "min": ("duration", 60e9),
    "h": ("duration", 3600e9),
    "d": ("duration", 86400e9),
    "B": ("size", 1),
    "kB": ("size", 1e3),
    "KB": ("size", 1e3),
    "MB": ("size", 1e6),
    "GB": ("size", 1e9),
    "TB": ("size", 1e12),
    "KiB": ("size", 2**10),
    "MiB": ("size", 2**20),
    "GiB": ("size", 2**30),
    "%": ("ratio", 0.01),
    "/s": ("rate", 1),
    "/min": ("rate", 1 / 60),
    "/h": ("rate", 1 / 3600),
}
_MEANT: Final = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "m": "min",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
    "hr": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "msec": "ms",
    "msecs": "ms",
    "millis": "ms",
    "millisecond": "ms",
    "milliseconds": "ms",
    "usec": "us",
    "micros": "us",
    "microseconds": "us",
    "nanoseconds": "ns",
    "byte": "B",
    "bytes": "B",
    "k": "kB",
    "mb": "MB",
    "meg": "MB",
    "megabytes": "MB",
    "g": "GB",
    "percent": "%",
    "pct": "%",
    "rps": "/s",
    "hz": "/s",
    "/sec": "/s",
    "/second": "/s",
    "/m": "/min",
    "/minute": "/min",
    "/hour": "/h",
    "/hr": "/h",
    "per second": "/s",
    "per minute": "/min",
}
_EXAMPLES: Final[dict[Kind, tuple[str, str]]] = {
    "duration": ("ms", "s"),
    "size": ("MB", "GB"),
    "ratio": ("%", "%"),
    "rate": ("/s", "/min"),
    "number": ("", ""),
}
_NOUNS: Final[dict[Kind, str]] = {
    "duration": "a duration",
    "size": "a size",
    "ratio": "a share in percent",
    "rate": "a rate",
    "number": "a plain number",
}
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:\d[\d_]*)?(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<unit>\D*)", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number whose unit is known.

    Attributes:
        kind: What is measured.
        value: The number in the kind's own unit: nanoseconds, bytes, a fraction of one, per
            second, or plain.
        text: The words it was read from.
    """

    kind: Kind
    value: float
    text: str


def parse_quantity(text: str, *, where: str = "", kind: Kind | None = None) -> Quantity:
    """Read a number with its unit.

    >>> parse_quantity("1.5 min").value
    90000000000.0
    >>> parse_quantity("1%")
    Quantity(kind='ratio', value=0.01, text='1%')

    Args:
        text: What the user wrote, such as ``"500ms"``, ``"500MB"``, ``"1%"`` or ``"100/s"``.
        where: What to name at the start of an error.
        kind: The kind that is needed here, if only one makes sense.

    Raises:
        UsageError: The text is not a number with a unit of the needed kind.
    """
    stripped = text.strip()
    wanted = kind or "duration"
    match = _QUANTITY.fullmatch(stripped)
    number = match["number"] if match else ""
    if match is None or not any(character.isdigit() for character in number):
        raise _usage(where or repr(text), _not_a_number(stripped, wanted))
    unit = match["unit"].strip()
    here = where or repr(text)
    value = float(number)
    if not math.isfinite(value):
        raise _usage(here, f"{stripped!r} is too large to be a number. {_write('10', wanted)}")
    if not unit:
        if kind == "number":
            return Quantity(kind="number", value=value, text=stripped)
        raise _usage(here, f"{stripped!r} has no unit. {_write(number, wanted)}")
    if unit not in _UNITS:
        raise _usage(here, _unknown_unit(number, unit, kind))
    found, factor = _UNITS[unit]
    if kind is not None and found != kind:
        raise _usage(
            here, f"{stripped!r} is {_NOUNS[found]}, not {_NOUNS[kind]}. {_write(number, kind)}"
        )
    return Quantity(kind=found, value=value * factor, text=stripped)


def duration_ns(value: float | str, *, where: str = "duration") -> int:
    """Return a duration in integer nanoseconds.

    >>> duration_ns("1.5ms")
    1500000
    >>> duration_ns(0.25)
    250000000

    Args:
        value: Seconds as a number, or text with a unit.
        where: What to name at the start of an error.

    Raises:
        UsageError: The value is negative, not finite, or text without a unit of time.
    """
    if isinstance(value, str):
        nanoseconds = parse_quantity(value, where=where, kind="duration").value
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise _usage(where, f"{value!r} is not a duration. Write seconds as a number, or '50ms'")
    else:
        nanoseconds = value * 1e9
    if not math.isfinite(nanoseconds):
        raise _usage(where, f"{value!r} is not a length of time. Write a finite number of seconds")
    if nanoseconds < 0:
        raise _usage(where, f"{value!r} is negative. A duration is zero or more")
    return round(nanoseconds)


def seconds(value: float | str, *, where: str = "duration") -> float:
    """Return a duration in seconds, read as by :func:`duration_ns`.

    >>> seconds("500ms")
    0.5
    """
    return duration_ns(value, where=where) / 1e9


def _write(number: str, kind: Kind) -> str:
    first, second = _EXAMPLES[kind]
    if first == second:
        return f"Write '{number}{first}'."
    return f"Write '{number}{first}' or '{number}{second}'."


def _not_a_number(text: str, kind: Kind) -> str:
    if re.fullmatch(r"\d+,\d+\D*", text):
        return f"{text!r} has a comma. Write {text.replace(',', '.')!r}."
    return f"{text!r} is not {_NOUNS[kind]}. {_write('50', kind)}"


def _unknown_unit(number: str, unit: str, kind: Kind | None) -> str:
    allowed = [name for name, (each, _) in _UNITS.items() if kind in (None, each)]
    meant = _MEANT.get(unit.lower())
    meant = meant if meant in allowed else None
    folded = {name.lower(): name for name in reversed(allowed)}
    meant = meant or folded.get(unit.lower()) or nearest(unit, allowed)
    if meant is not None:
        return f"{unit!r} is not a unit. Write '{number}{meant}'."
    shown = [name for name in allowed if name.isascii() and name != "KB"]
    return f"{unit!r} is not a unit. Write one of {', '.join(shown)}."


def _usage(where: str, text: str) -> UsageError:
    return UsageError(f"{where}: {text if text.endswith('.') else text + '.'}")
