"""A history as a picture in text, and why no order explains it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pytest_concurrency.explore.history import Answer, Call, History
from pytest_concurrency.explore.linearizability import DeadEnd, Refutation

WIDTH = 96
"""Columns that a picture may take; a failure is shown behind four more."""

ALONE = -1
"""The worker of calls that are made before the others start, or after they have ended."""

_GAP = 2
_SHOWN_DEAD_ENDS = 3


def picture(history: History, *, width: int = WIDTH) -> str:
    r"""Draw the history: one column per worker, time goes down.

    A call that no other event falls into takes one line; one that overlaps others is opened,
    carried on and closed.

    >>> print(picture(History((Call(worker=0, operation="get", invoked=1),))))
       worker 0
     1 get()
       (never returned)
    """
    workers = sorted({call.worker for call in history})
    numbers = len(str(2 * len(history)))
    column = (width - numbers - 2) // max(len(workers), 1)
    rows = [("", {worker: _who(worker) for worker in workers})]
    rows += [(str(number), cells) for number, cells in enumerate(_rows(history), 1)]
    if any(call.returned is None for call in history):
        pending = {call.worker for call in history if call.returned is None}
        rows.append(("", dict.fromkeys(pending, "(never returned)")))
    column = min(column, _GAP + max(len(cell) for _, cells in rows for cell in cells.values()))
    return "\n".join(
        _line(number.rjust(numbers + 1), [cells.get(worker, "") for worker in workers], column)
        for number, cells in rows
    )


def refusal(refutation: Refutation, *, width: int = WIDTH) -> str:
    """Say that no order explains the history, draw it, and show where each order ends."""
    count = len(refutation.history)
    calls = f"{count} call" if count == 1 else f"{count} calls"
    about = "" if refutation.key is None else f" for key {refutation.key!r}"
    which = f"this {calls[2:]}" if count == 1 else f"these {calls}"
    lines = [
        f"No order of {which}{about} gives these answers:",
        "",
        picture(refutation.history, width=width),
        "",
        *_reasons(refutation, width),
    ]
    return "\n".join(lines)


def _reasons(refutation: Refutation, width: int) -> list[str]:
    lines: list[str] = []
    told: set[tuple[str, ...]] = set()
    for end in refutation.dead_ends:
        label = max(len(_asked(call)) for call, _ in end.expected)
        reasons = tuple(
            _cut(f"     {_asked(call).ljust(label)}  {_apart(call, alone)}", width)
            for call, alone in end.expected
        )
        if reasons not in told and len(told) < _SHOWN_DEAD_ENDS:
            lines += [*_started(end, refutation.specification, again=bool(told)), *reasons]
            told.add(reasons)
    return [_cut(line, width) for line in lines]


def _started(end: DeadEnd, name: str, *, again: bool) -> list[str]:
    ends = f"{name}, run by one worker alone, answers otherwise:"
    if not end.order:
        return [f"Whichever call comes first, {ends}"]
    first = "Nor in this order:" if again else "The most that an order explains:"
    label = max(len(_asked(call)) for call in end.order)
    orders = [
        f"  {number}. {_asked(call).ljust(label)}  {call.answer or '(never returned)'}"
        for number, call in enumerate(end.order, 1)
    ]
    return [first, *orders, f"  then {ends}"]


def _asked(call: Call) -> str:
    return f"{_who(call.worker)}  {call}"


def _who(worker: int) -> str:
    return "alone" if worker == ALONE else f"worker {worker}"


def _apart(call: Call, alone: Answer) -> str:
    return f"alone {alone}, together {call.answer or Answer(waits=True)}"


def _rows(history: History) -> list[dict[int, str]]:
    """Lay out the events, one row each, joining a call to its return where nothing is between."""
    events = sorted(
        [(call.invoked, 0, call) for call in history]
        + [(call.returned, 1, call) for call in history if call.returned is not None],
        key=lambda event: event[:2],
    )
    rows: list[dict[int, str]] = []
    open_calls: set[int] = set()
    skip = False
    for event, following in pairwise([*events, None]):
        if event is None or skip:
            skip = False
            continue
        _, returns, call = event
        open_calls.discard(call.worker)
        cells = dict.fromkeys(open_calls, "|")
        skip = following is not None and following[2] is call
        cells[call.worker] = f"{call} {call.answer}" if skip else _cell(call, returns=bool(returns))
        if not returns and not skip:
            open_calls.add(call.worker)
        rows.append(cells)
    return rows


def _cell(call: Call, *, returns: bool) -> str:
    return f"`{call.answer}" if returns else str(call)


def _line(number: str, cells: Sequence[str], column: int) -> str:
    return f"{number} {''.join(_cut(cell, column - _GAP).ljust(column) for cell in cells)}".rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
