"""Whether an operation, repeated, keeps more and more memory."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.assertions import Policy, conclude, current_policy
from pytest_concurrency.slo.figures import format_count, format_size
from pytest_concurrency.slo.intervals import Interval, quantile_interval
from pytest_concurrency.slo.memory import resident_bytes
from pytest_concurrency.slo.quantities import parse_quantity
from pytest_concurrency.slo.verdicts import State

__tracebackhide__ = is_on_purpose

_BLOCKS: Final = 20
_WARM_UP: Final = 0.1
_SCALE: Final = 1_000
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """What was found about an operation's memory.

    Attributes:
        state: Met when it keeps nothing, missed when it leaks.
        slope: Bytes kept by each call, with bounds.
        calls: How many calls were made.
        kept: The lines that allocated what was kept, largest first.
    """

    state: State
    slope: Interval
    calls: int
    kept: tuple[str, ...] = ()


def slope_of(calls: Sequence[int], octets: Sequence[float], error: float = 0.05) -> Interval:
    """Return the bytes by which memory grows with each call, with its bounds.

    It is the median of the growth between neighbouring measurements, so one jump, such as a
    cache that fills once, is not taken for a leak.

    Args:
        calls: How many calls had been made at each measurement.
        octets: The memory at each.
        error: How often each bound may be wrong.
    """
    steps = array(
        "q",
        [
            round(_SCALE * (octets[i + 1] - octets[i]) / (calls[i + 1] - calls[i]))
            for i in range(len(calls) - 1)
        ],
    )
    return quantile_interval(steps, 0.5, error).over(_SCALE)


def assert_no_leak(
    function: Callable[[], object],
    *,
    calls: int = 2_000,
    limit: str = "1B",
    by: Literal["allocations", "process"] = "allocations",
    error: float = 0.05,
    policy: Policy | None = None,
) -> Leak:
    """Assert that an operation keeps no memory from call to call.

    A tenth of the calls warms caches up; then memory is measured in twenty places.

    Args:
        function: The operation.
        calls: How often to repeat it.
        limit: How much each call may keep.
        by: Count what Python allocates, or ask for the memory of the process and its children,
            which sees other languages too and is less precise.
        error: How often the verdict may be wrong.
        policy: What a missed and an undecided verdict do; those of the session if left out.

    Raises:
        MissedObjective: Each call keeps more, but for the error allowed.
        UndecidedObjective: It cannot be told, and that was to fail.
        UsageError: There are too few calls to tell.
    """
    __tracebackhide__ = True
    limit_bytes = parse_quantity(limit, where="assert_no_leak(limit)", kind="size").value
    if calls < 2 * _BLOCKS:
        msg = (
            f"assert_no_leak(calls={calls!r}): fewer than 40 calls show nothing. Write calls=2000."
        )
        raise UsageError(msg)
    made, octets, kept = _measure(function, calls, by)
    slope = slope_of(made, octets, error)
    state = _state(slope, limit_bytes)
    leak = Leak(state=state, slope=slope, calls=calls, kept=kept)
    conclude(state, _text(leak, limit, error), policy or current_policy(), row=_row(leak, limit))
    return leak


def _state(slope: Interval, limit_bytes: float) -> State:
    if slope.high <= limit_bytes:
        return "met"
    return "missed" if slope.low > limit_bytes else "undecided"


def _measure(
    function: Callable[[], object], calls: int, by: str
) -> tuple[array[int], array[float], tuple[str, ...]]:
    """Return the calls made and the memory at each measurement, and what was kept."""
    import tracemalloc

    is_ours = by == "allocations" and not tracemalloc.is_tracing()
    for _ in range(max(1, int(calls * _WARM_UP))):
        function()
    if is_ours:
        tracemalloc.start()
    gc.collect()
    gc.freeze()  # what was there before cannot have been kept by the operation
    try:
        function()
        first = tracemalloc.take_snapshot() if by == "allocations" else None
        each = calls // _BLOCKS
        made = array("q", range(0, (_BLOCKS + 1) * each, each))
        octets = array("d", [0.0]) * len(made)  # kept ready, so that measuring keeps nothing
        octets[0] = _memory(by)
        for block in range(1, len(made)):
            for _ in range(each):
                function()
            octets[block] = _memory(by)
        return made, octets, _kept(first)
    finally:
        gc.unfreeze()
        if is_ours:
            tracemalloc.stop()


def _memory(by: str) -> float:
    import tracemalloc

    gc.collect()
    return tracemalloc.get_traced_memory()[0] if by == "allocations" else resident_bytes()


def _kept(first: object) -> tuple[str, ...]:
    import tracemalloc

    if not isinstance(first, tracemalloc.Snapshot):
        return ()
    ours = [
        tracemalloc.Filter(inclusive=False, filename_pattern=__file__),
        tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__),
    ]
    last = tracemalloc.take_snapshot().filter_traces(ours)
    grown = [
        each for each in last.compare_to(first.filter_traces(ours), "lineno") if each.size_diff > 0
    ]
    return tuple(
        f"{each.traceback[0].filename}:{each.traceback[0].lineno}  "
        f"{format_size(each.size_diff)} in {format_count(each.count_diff)} objects"
        for each in grown[:_SHOWN]
    )


def _row(leak: Leak, limit: str) -> tuple[str, str, str, str, str]:
    """Return claim, growth, bounds, number of calls and state for a table."""
    bounds = f"({leak.slope.low:,.1f} to {leak.slope.high:,.1f})"
    calls = f"{format_count(leak.calls)} calls"
    return f"keeps <= {limit} a call", f"{leak.slope.value:,.1f} B", bounds, calls, leak.state


def _text(leak: Leak, limit: str, error: float) -> str:
    slope = leak.slope
    head = "Missed" if leak.state == "missed" else "undecided"
    bounds = f"{slope.low:,.1f} to {slope.high:,.1f} B"
    sure = f"{(1 - error) * 100:.4g} % bounds {bounds}, {format_count(leak.calls)} calls"
    lines = [
        f"{head}: keeps at most {limit} a call",
        f"  keeps  {slope.value:,.1f} B a call, {sure}",
    ]
    lines += [f"  kept   {line}" for line in leak.kept]
    if leak.state == "undecided":
        lines.append(f"  Repeat it more often:  assert_no_leak(..., calls={leak.calls * 4}).")
    return "\n".join(lines)
