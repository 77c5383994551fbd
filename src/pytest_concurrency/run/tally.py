"""Tallies: many failures told in few lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_concurrency.run.call import Call
from pytest_concurrency.run.place import raised_at

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
MOST_ROWS = 12


def repr_of(value: object) -> str:
    """Return the ``repr`` of a value, or say that it has none."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a repr of the user's may do anything
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def one_line(text: str, width: int = 60) -> str:
    """Show text on one line, cut in the middle if it is long."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    head = (width - 3) * 2 // 3
    return f"{text[:head]}...{text[len(text) - (width - 3 - head) :]}"


def error_line(error: BaseException, width: int = 60) -> str:
    """Show an exception on one line, by its type and the first line of its text."""
    try:
        text = str(error).strip().split("\n", 1)[0]
    except Exception:  # noqa: BLE001 - a __str__ of the user's may do anything
        text = ""
    name = type(error).__name__
    return one_line(f"{name}: {text}" if text else name, width)


def spans(numbers: Iterable[int]) -> str:
    """Write numbers as spans.

    >>> spans([0, 1, 2, 4, 7, 8])
    '0-2, 4, 7, 8'
    """
    rows: list[list[int]] = []
    for number in sorted(set(numbers)):
        if rows and number == rows[-1][1] + 1:
            rows[-1][1] = number
        else:
            rows.append([number, number])
    wide = 2
    return ", ".join(
        f"{low}-{high}" if high - low >= wide else f"{low}, {high}" if high > low else f"{low}"
        for low, high in rows
    )


def workers_text(numbers: Iterable[int], width: int = 40) -> str:
    """Name workers: ``worker 3``, ``workers 0-2, 4-6``."""
    unique = sorted(set(numbers))
    text = spans(unique)
    if len(text) > width:
        text = f"{text[: text.rindex(',', 0, width)]}, ... ({len(unique)} workers)"
    return f"worker{'' if len(unique) == 1 else 's'} {text}"


def count(number: int, noun: str) -> str:
    """Write a count with its noun in the right number: ``1 call``, ``2,400 calls``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tally_rows(failed: Sequence[Call], shown: Call | None) -> list[str]:
    """Group failed calls by what they raised, the most frequent first."""
    groups: dict[tuple[str, str], list[Call]] = {}
    for call in failed:
        if call.error is not None:
            place = raised_at(call.error.__traceback__)
            key = (_ADDRESS.sub("0x...", error_line(call.error)), place)
            groups.setdefault(key, []).append(call)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    rows = [_row(text, place, calls, shown) for (text, place), calls in ordered[:MOST_ROWS]]
    lines = [f"  {line}" for line in aligned(rows)]
    rest = ordered[MOST_ROWS:]
    if rest:
        lines.append(f"  and {count(sum(len(calls) for _, calls in rest), 'error')} of other kinds")
    return lines


def aligned(rows: Sequence[Sequence[str]], *, counts: bool = True) -> list[str]:
    """Align columns, leaving out those that are empty throughout.

    Args:
        rows: The cells.
        counts: Whether the first column is a count, set to the right and close to the second.
    """
    if not rows:
        return []
    kept = [column for column in zip(*rows, strict=True) if any(column)]
    padded = []
    for number, column in enumerate(kept):
        width = max(map(len, column))
        pad = str.rjust if counts and number == 0 else str.ljust
        padded.append([pad(cell, width) for cell in column])
    joint = " " if counts else "  "
    return [
        joint.join([first, "  ".join(rest)]).rstrip() for first, *rest in zip(*padded, strict=True)
    ]


def _row(text: str, place: str, calls: list[Call], shown: Call | None) -> tuple[str, ...]:
    is_shown = any(call is shown for call in calls)
    where = f"at {place}" if place and not is_shown else ""
    return f"{len(calls)} x", text, where, workers_text(call.worker for call in calls)
