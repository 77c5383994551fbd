"""What a run has to tell, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_concurrency.run.call import Call
from pytest_concurrency.run.tally import count, one_line, repr_of, tally_rows, workers_text
from pytest_concurrency.slo.figures import format_duration

if TYPE_CHECKING:
    from pytest_concurrency.run.outcome import Outcome

MOST_SHOWN = 3


def failure_note(outcome: Outcome[Any], failed: Sequence[Call], shown: Call) -> str:
    """Tell how many failed, how, and who did not."""
    lines = [_headline(outcome, failed, shown), *tally_rows(failed, shown), *_returned(outcome)]
    if outcome.replay:
        lines.append(f"Same random numbers again: {outcome.replay}")
    return "\n".join(["", *lines])


def _headline(outcome: Outcome[Any], failed: Sequence[Call], shown: Call) -> str:
    planned = len(outcome) + outcome.unfinished
    who = f"worker {shown.worker}"
    if planned == outcome.workers:
        return f"{len(failed)} of {count(outcome.workers, 'worker')} failed; {who} is shown above."
    spread = len({call.worker for call in failed})
    if outcome.rounds > 1:
        who += f", round {shown.round},"
    return (
        f"{len(failed):,} of {count(planned, 'call')} failed, in {spread} of "
        f"{count(outcome.workers, 'worker')}; {who} is shown above."
    )


def _returned(outcome: Outcome[Any]) -> list[str]:
    good = [call for call in outcome.calls if call.error is None]
    told = overlap_text(outcome)
    if not good:
        return [told]
    values = {one_line(repr_of(call.value), 40) for call in good}
    if len(values) > MOST_SHOWN:
        return [f"{count(len(good), 'call')} returned {len(values)} different values. {told}"]
    if values == {"None"}:
        return [told]
    shown = ", ".join(sorted(values))
    who = workers_text(call.worker for call in good)
    return [f"{who[0].upper()}{who[1:]} returned {shown}. {told}"]


def overlap_text(outcome: Outcome[Any]) -> str:
    """Tell how much the calls overlapped."""
    overlap, number = outcome.overlap, outcome.workers
    if number == 1:
        return "One worker ran alone."
    if not overlap:
        return f"The calls of the {number:,} workers never overlapped."
    if overlap.peak >= number:
        return f"All {number:,} overlapped for {format_duration(overlap.peak_seconds * 1e9)}."
    return f"At most {overlap.peak:,} of {number:,} ran at once."


def summary(outcome: Outcome[Any]) -> str:
    """Sum a run up in one line."""
    returned = len(outcome.values)
    raised = len(outcome) - returned
    parts = [count(outcome.workers, "worker"), count(len(outcome), "call")]
    parts.append(f"{raised:,} raised" if raised else "none raised")
    if outcome.unfinished:
        parts.append(f"{outcome.unfinished:,} did not end")
    told = overlap_text(outcome).removesuffix(".")
    took = format_duration(outcome.wall_time * 1e9)
    return f"{', '.join(parts)}, {took}; {told[0].lower()}{told[1:]}"
