"""A run that does not end: who hangs, where, on what, and who was done."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.run.place import is_ours
from pytest_concurrency.run.stack import MOST_FRAMES, Place, all_frames, places, thread_frames
from pytest_concurrency.run.tally import aligned, count, workers_text
from pytest_concurrency.run.waits import Wait, find_holder, find_wait, is_held
from pytest_concurrency.slo.figures import format_duration
from pytest_concurrency.surroundings import SURROUNDINGS

if TYPE_CHECKING:
    from pytest_concurrency.run.outcome import Outcome

MOST_GROUPS = 6
AT_THE_GATE = "waits for the others, before its next round"
_WORKER = re.compile(r"(?:(?P<title>.+) )?worker (?P<index>\d+)")


class HangError(BrokenPromise):
    """Workers did not end by their deadline.

    Attributes:
        outcome: The calls that had ended.
        left_running: The names of threads or tasks that could not be stopped.
    """

    __module__ = "pytest_concurrency"

    def __init__(
        self, text: str, *, outcome: Outcome[Any], left_running: Sequence[str] = ()
    ) -> None:
        """Keep what is known beside the text."""
        super().__init__(text)
        self.outcome: Outcome[Any] = outcome
        self.left_running: tuple[str, ...] = tuple(left_running)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hanging:
    """One worker that does not end."""

    worker: int
    places: tuple[Place, ...]
    reason: str


def examine_threads(stuck: Mapping[int, int | None]) -> list[Hanging]:
    """Look at stuck threads: where they are, what each waits for, who holds it.

    Args:
        stuck: The identifier of each stuck worker's thread, by the worker's index.
    """
    frames = {index: thread_frames(ident) for index, ident in stuck.items()}
    others: dict[str, tuple[int | None, list[FrameType]]] = {
        f"worker {index}": (stuck[index], frames[index]) for index in stuck
    }
    mine = set(stuck.values())
    here = threading.get_ident()
    others["the test itself"] = (here, _all_frames(here))
    for thread in threading.enumerate():
        if thread.ident not in mine and thread.ident != here:
            others.setdefault(f"thread {thread.name!r}", (thread.ident, _all_frames(thread.ident)))
    told = waits_elsewhere()
    known = {thread.ident: told[thread] for thread in threading.enumerate() if thread in told}
    return [
        examine(index, frames[index], others, told=known.get(ident, ""))
        for index, ident in stuck.items()
    ]


def waits_elsewhere() -> Mapping[object, str]:
    """Return what threads and tasks wait for outside of this process, such as in a database.

    The surroundings know, if anybody does: the room that watches databases comes after this one.
    """
    ask: Callable[[], Mapping[object, str]] | None = SURROUNDINGS.settings_for("waits")
    return ask() if ask is not None else {}


def _all_frames(ident: int | None) -> list[FrameType]:
    return [frame for frame in all_frames(ident) if not is_ours(frame.f_code)]


def examine(
    index: int,
    frames: list[FrameType],
    others: Mapping[str, tuple[int | None, list[FrameType]]],
    *,
    told: str = "",
) -> Hanging:
    """Tell where one worker is and what it waits for.

    Args:
        index: The worker's.
        frames: Of the user's code, innermost first.
        others: By name, the identifier and the frames of whoever may hold what it waits for.
        told: What it is known to wait for outside of this process.
    """
    if not frames:  # it is in our own code, between two calls
        return Hanging(worker=index, places=(), reason=told or AT_THE_GATE)
    wait = find_wait(frames)
    rivals = {name: who for name, who in others.items() if name != f"worker {index}"}
    return Hanging(
        worker=index,
        places=tuple(places(frames)),
        reason=told or (_reason(wait, f"worker {index}", others, rivals) if wait else ""),
    )


def _reason(
    wait: Wait,
    me: str,
    others: Mapping[str, tuple[int | None, list[FrameType]]],
    rivals: Mapping[str, tuple[int | None, list[FrameType]]],
) -> str:
    holder = find_holder(wait, rivals)
    if holder:
        return f"waits for {wait.name}, held by {holder}"
    if not is_held(wait):
        return f"waits for {wait.name}"
    if find_holder(wait, {me: others[me]}) and me in others:
        return f"waits for {wait.name}, which it holds itself"
    return f"waits for {wait.name}, held by no worker that still runs"


def hang_text(
    outcome: Outcome[Any],
    hanging: Sequence[Hanging],
    *,
    seconds: float,
    source: str,
    left_running: Sequence[str] = (),
) -> str:
    """Write the whole text of a hang."""
    head = (
        f"{len(hanging)} of {count(outcome.workers, 'worker')} did not end within "
        f"{format_duration(seconds * 1e9)}:"
    )
    lines = [head, "", *_groups(hanging), *_ended(outcome, len(hanging))]
    lines.append(f"The limit is {source}.")
    if left_running:
        lines.append(left_text(left_running))
    return "\n".join(lines)


def left_text(names: Sequence[str]) -> str:
    """Name the threads or tasks that could not be stopped."""
    verb = "goes" if len(names) == 1 else "go"
    found = [_WORKER.fullmatch(name) for name in names]
    titles = {match["title"] for match in found if match}
    if len(titles) == 1 and all(found):
        who = workers_text(int(match["index"]) for match in found if match)
        who += "".join(f" of {title}" for title in titles if title)
    else:
        who = ", ".join(map(repr, names))
    return f"Cannot be stopped and {verb} on in the background: {who}."


def _groups(hanging: Sequence[Hanging]) -> list[str]:
    alike: dict[tuple[tuple[Place, ...], str], list[int]] = {}
    for one in hanging:
        alike.setdefault((one.places, one.reason), []).append(one.worker)
    lines: list[str] = []
    for (stack, reason), workers in list(alike.items())[:MOST_GROUPS]:
        lines += [*_group(workers_text(workers), stack, reason), ""]
    rest = list(alike.values())[MOST_GROUPS:]
    if rest:
        lines += [f"  and {count(sum(map(len, rest)), 'worker')} elsewhere", ""]
    return lines


def _group(who: str, stack: Sequence[Place], reason: str) -> list[str]:
    if not stack:
        return [f"  {who}  {reason}"]
    indent = " " * len(who)
    rows = [
        (
            f"{'<-' if number else 'in'} {place.function}",
            place.where,
            "" if number else place.source,
        )
        for number, place in enumerate(stack[:MOST_FRAMES])
    ]
    table = aligned(rows, counts=False)
    lines = [f"  {who if not number else indent}  {row}" for number, row in enumerate(table)]
    if len(stack) > MOST_FRAMES:
        lines.append(f"  {indent}  <- {len(stack) - MOST_FRAMES} more")
    if reason:
        lines += [f"  {indent}  {line}" for line in reason.splitlines()]
    return lines


def _ended(outcome: Outcome[Any], hanging: int) -> list[str]:
    ended = outcome.workers - hanging
    if not len(outcome):
        return ["No call had ended."]
    values = len(outcome.values)
    errors = len(outcome) - values
    told = f"{count(values, 'value')}, {count(errors, 'error') if errors else 'no error'}"
    whose = "Its results are" if ended == 1 else "Their results are"
    who = count(ended, "worker")
    return [f"{who} had ended: {told}. {whose} in the outcome attached to this failure."]
