"""One exploration from the first schedule to the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol, final, runtime_checkable

from pytest_concurrency.errors import InternalError, UsageError
from pytest_concurrency.explore.comparison import DECIDED_OTHERWISE
from pytest_concurrency.explore.debuggers import without_breakpoints
from pytest_concurrency.explore.exploration import Exploration
from pytest_concurrency.explore.failures import NotDeterministic
from pytest_concurrency.explore.garbage import steady
from pytest_concurrency.explore.leftover import FAILS, fails_again, left_over
from pytest_concurrency.explore.patience import SPIN
from pytest_concurrency.explore.program import BODY, FOREVER, Event, Program, Trace
from pytest_concurrency.explore.rescue import is_by_signal
from pytest_concurrency.explore.schedule import Leg, Plan, parse, token
from pytest_concurrency.explore.search import Search
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.shrink import Shrink
from pytest_concurrency.run.place import without_our_frames

_SPUN = (
    "A worker went on for {points:,} points while others could run, and was made to let them: a "
    "loop that waits has orders without end. Wait with an Event, a Condition or sleep()."
)
_PASSED_THROUGH = ("Skipped", "Exit", "OnALoop", "BdbQuit")


@runtime_checkable
class Plain(Program, Protocol):
    """A program that can show values without running code of theirs."""

    plain: bool


@final
class Failed(Exception):
    """Carries a failing schedule to whoever raises it."""

    def __init__(self, trace: Trace, legs: tuple[Leg, ...]) -> None:
        """Carry a play and its schedule."""
        super().__init__(token(legs, before=trace.before))
        self.trace = trace
        self.legs = legs


def explore(program: Program, settings: Settings) -> Exploration:
    """Search a program for a schedule that fails.

    Args:
        program: What to play. Whatever it needs open is open.
        settings: How far to search, and what to try first.

    Returns:
        What was explored, when nothing fails.

    Raises:
        BaseException: What the failing schedule raised, with the timeline, the effort and the
        token as a note.
    """
    __tracebackhide__ = True
    began = time.perf_counter()
    with steady():
        notes: list[str] = []
        for source, text in (("replay", settings.replay), ("saved", settings.saved)):
            if text is None:
                continue
            failed = _replay(program, text, source, notes)
            if failed is not None:
                with without_breakpoints():
                    explained = _explained(program, settings, failed, _Effort(1, began))
                raise without_our_frames(explained)
            if source == "replay" and not notes:
                return Exploration(
                    schedules=1, budget="replay", seconds=time.perf_counter() - began
                )
        search = Search(program, settings, began=began)
        found = search.failure()
        if found is not None:
            with without_breakpoints():
                shrunk = _shrunk(program, found)
                effort = _Effort(search.plays, began, search.first, notes)
                explained = _explained(program, settings, shrunk, effort)
            raise without_our_frames(explained)
        search.differed = search.differed or left_over(program, search.first)
    return _report(search, tuple(notes), began, getattr(program, "patience", SPIN))


def _replay(program: Program, text: str, source: str, notes: list[str]) -> Failed | None:
    __tracebackhide__ = True
    try:
        legs = parse(text)
    except UsageError:
        if source == "saved":  # by another version of this package
            return None
        raise
    plan = Plan([(leg.worker, leg.points) for leg in legs])
    trace = program.play(plan)
    if trace.before:  # known only now: who is T0 depends on it
        legs = parse(text, before=trace.before)
        plan = Plan([(leg.worker, leg.points) for leg in legs])
        trace = program.play(plan)
    _let_through(trace)
    if trace.ending.kind != "passed":
        return Failed(trace, legs)
    if source == "replay" and (plan.misfit is not None or not plan.used):
        notes.append(f"The token {text!r} no longer fits the code; the search began anew.")
    return None


def _let_through(trace: Trace) -> None:
    """Raise at once what is no finding: interruptions, skips, and `run` called wrongly."""
    __tracebackhide__ = True
    error = trace.ending.error
    if error is None:
        return
    if (
        isinstance(error, (KeyboardInterrupt, SystemExit, UsageError))
        or type(error).__name__ in _PASSED_THROUGH
        or is_by_signal(error)
    ):
        raise without_our_frames(error)


def _shrunk(program: Program, found: Trace) -> Failed:
    __tracebackhide__ = True
    from pytest_concurrency.explore.outside import is_database_lock

    _let_through(found)
    if is_database_lock(found.ending.error):  # each play takes as long as the database waits
        return Failed(found, ())
    shrink = Shrink(program, found)
    if found.stuck:  # each play of it takes as long as is waited for a worker
        shrink.legs = [*shrink.legs[:-1], (found.workers[-1], FOREVER)] if found.workers else []
    elif not shrink.run():
        msg = f"A schedule failed once and passed when it was played again.\n{DECIDED_OTHERWISE}"
        raise NotDeterministic(msg) from found.ending.error
    legs = shrink.legs or [(found.workers[0] if found.workers else BODY, FOREVER)]
    return Failed(found, tuple(Leg(worker=worker, points=points) for worker, points in legs))


class _Effort(NamedTuple):
    """What it took to find a failure."""

    plays: int
    began: float
    first: Trace | None = None
    notes: Sequence[str] = ()


def _why(
    program: Program,
    settings: Settings,
    legs: Sequence[Leg],
    trace: Trace,
    first: Trace | None,
) -> tuple[Sequence[Event], str]:
    """Find out what tells why a play fails, and what would help."""
    from pytest_concurrency.explore.cause import cause
    from pytest_concurrency.explore.hint import hint
    from pytest_concurrency.explore.inversion import passing

    if trace.ending.kind == "hang":
        return (), ""
    if trace.ending.kind != "failed":
        return (), FAILS if fails_again(program, first) else ""
    why = cause(trace, passing(program, legs))
    if fails_again(program, first):
        return why.told, FAILS
    return why.told, hint(program, trace, settings, why) or ""


def _replayed(program: Program, legs: Sequence[tuple[int, int]], *, explain: bool) -> Trace:
    """Play a schedule that fails again, in detail; what shows values may not change them."""
    trace = program.play(Plan(legs), explain=explain)
    if trace.ending.kind == "passed" and isinstance(program, Plain):
        program.plain = True
        trace = program.play(Plan(legs), explain=explain)
    return trace


def _explained(
    program: Program, settings: Settings, failed: Failed, effort: _Effort
) -> BaseException:
    from pytest_concurrency.explore.outside import DATABASE_LOCK, Uncontrolled, is_database_lock
    from pytest_concurrency.explore.timeline import note

    seconds = time.perf_counter() - effort.began
    refused = failed.trace.ending.error
    if is_database_lock(refused):
        first = str(refused).partition("\n")[0]
        return Uncontrolled(DATABASE_LOCK.format(error=f"  {first}"))
    told: Sequence[Event] = ()
    trace, held = failed.trace, ""
    if not trace.stuck:
        legs = [(leg.worker, leg.points) for leg in failed.legs]
        trace = _replayed(program, legs, explain=trace.ending.kind != "hang")
        if trace.ending.kind == "passed":
            trace = failed.trace
        told, held = _why(program, settings, failed.legs, trace, effort.first)
    text = token(failed.legs, before=failed.trace.before)
    if settings.record is not None:
        settings.record(text)
    error = trace.ending.error or failed.trace.ending.error
    if error is None:
        msg = f"A schedule failed without saying how: {text}."
        return InternalError(msg)
    error.add_note(
        note(
            trace,
            failed.legs,
            plays=effort.plays,
            seconds=seconds,
            command=settings.command,
            hints=[*effort.notes, *([held] if held else [])],
            told=told,
        )
    )
    return error


def _report(search: Search, notes: tuple[str, ...], began: float, patience: int) -> Exploration:
    points: dict[int, int] = {}
    for worker in search.first.workers if search.first is not None else ():
        points[worker] = points.get(worker, 0) + 1
    if search.differed is not None:
        notes = (*notes, search.differed)
    if search.spun:
        notes = (*notes, _SPUN.format(points=patience))
    whole = search.complete >= 0 and not search.spun and search.differed is None
    return Exploration(
        schedules=search.plays,
        complete=search.complete if whole else None,
        exhausted=search.exhausted and whole,
        shared=search.shared,
        budget=search.budget,
        points=points,
        seconds=time.perf_counter() - began,
        notes=notes,
    )
