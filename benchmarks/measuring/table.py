"""Figures, written in columns."""

from collections.abc import Sequence
from statistics import median


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column to the left and all others to the right."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    print(f"\n{title}\n")
    for row in [head, ["-" * width for width in widths], *rows]:
        first, *rest = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip(), flush=True)


def microseconds(seconds: float) -> str:
    """Write a time with as many digits as tell something."""
    value = seconds * 1e6
    if value >= 100_000:
        return f"{value / 1e3:,.0f} ms"
    if value >= 1000:
        return f"{value / 1e3:.2f} ms"
    return f"{value:.1f} us"


def ratio(value: float, ours: float) -> str:
    """Write how many times ours a rival's figure is."""
    return f"{value / ours:,.1f} x" if ours else ""


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of some values and a 95 % interval of it, from their order alone."""
    ordered = sorted(values)
    number = len(ordered)
    reach = 0.98 * number**0.5  # half of 1.96 standard deviations of a binomial's count
    low = max(0, int(number / 2 - reach))
    high = min(number - 1, int(number / 2 + reach))
    return median(ordered), ordered[low], ordered[high]
