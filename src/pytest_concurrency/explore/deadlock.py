"""Who holds what and waits for what, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple, final

from pytest_concurrency.explore.failures import Deadlock
from pytest_concurrency.explore.naming import name_of, place
from pytest_concurrency.explore.program import worker_name
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.titles import titles
from pytest_concurrency.explore.waiting import (
    Own,
    Wait,
    cycle,
    held_by,
    holders,
    wait_of,
    waits,
    wants_lock,
)
from pytest_concurrency.explore.workers import Worker


def diagnoser(own: Own) -> Callable[[Stage], BaseException]:
    """Make the function that says why nobody can run.

    Args:
        own: Tells code under test from the rest.
    """

    def diagnose(stage: Stage) -> BaseException:
        return Deadlock(deadlock(stage, own))

    return diagnose


def deadlock(stage: Stage, own: Own) -> str:
    """Describe a state in which nobody can run."""
    found, owners = waits(stage, own), holders(stage)
    circle = cycle(found, owners)
    others = [wait for wait in found if wait not in circle and not (circle and _follows(wait))]
    frames = [frame for wait in (*found, wait_of(stage.workers[0], own)) for frame in wait.frames]
    words = _Words(names=titles(stage), frames=frames, owners=owners)
    main = circle or others
    rows = [[*words.left(wait), *words.rows(wait)] for wait in main]
    more = [words.rows(wait) for wait in others] if circle else []
    lines = [words.head(main, cyclic=bool(circle)), "", *_table(rows)]
    if more:
        too = "1 other waits too" if len(more) == 1 else f"{len(more)} others wait too"
        lines += ["", f"{too}:", "", *_table(more)]
    advice = dict.fromkeys(words.advice(found, circle))
    return "\n".join([*lines, "", *advice] if advice else lines)


def _follows(wait: Wait) -> bool:
    """Whether it only waits for others to end, and holds nothing that they may want."""
    return bool(wait.whom) and not wait.held


class _Row(NamedTuple):
    """One line about a worker."""

    who: str
    verb: str
    what: str
    is_taken: bool
    where: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What to call workers, locks and places."""

    names: dict[int, str]
    frames: list[FrameType]
    owners: dict[int, Worker]

    def head(self, main: list[Wait], *, cyclic: bool) -> str:
        """Say what it is in one line."""
        if cyclic and len(main) == 1:
            return f"Deadlock of {self._who(main[0].worker)} with itself:"
        many = f"{len(main)} worker{'' if len(main) == 1 else 's'}"
        if cyclic:
            return f"Deadlock among {many}:"
        return f"Deadlock: {many} wait{'s' if len(main) == 1 else ''} for ever:"

    def rows(self, wait: Wait) -> list[_Row]:
        """Tell what one worker holds, and what it waits for."""
        who = self._who(wait.worker)
        rows = [
            _Row(who, "holds", self._lock(lock, wait.frames), True, _taken(taken, wait.frames))
            for lock, taken in wait.held.items()
        ]
        at = f"{wait.at}  {wait.line}"
        if wants_lock(wait):
            return [
                *rows,
                _Row(who, "wants", self._lock(wait.worker.wants, wait.frames), False, wait.at),
            ]
        if wait.whom:
            ends = _listed([self._who(one) for one in wait.whom])
            return [*rows, _Row(who, "waits", f"for {ends} to end", False, at)]
        through = f"in {self._call(wait)}" if wait.method else ""
        return [*rows, _Row(who, "waits", through, False, at if wait.at else "")]

    def left(self, wait: Wait) -> list[_Row]:
        """Tell who has ended with what a worker waits for."""
        owner = self._owner(wait)
        if owner is None or not owner.ended:
            return []
        lock = wait.worker.wants
        taken = _taken(held_by(owner)[lock], [*wait.frames, *self.frames])
        what = self._lock(lock, wait.frames)
        return [_Row(self._who(owner), "holds", what, True, f"{taken}, and has ended")]

    def advice(self, found: list[Wait], circle: list[Wait]) -> Iterator[str]:
        """Say what would help."""
        if circle and not any(wait.whom for wait in circle):
            yield _order(len(circle))
            return
        keeps = [text for wait in circle or found for text in self._keeps(wait, found)]
        yield from keeps
        if keeps:
            return
        for wait in found:
            text = self._for_want_of(wait) if wants_lock(wait) else _nobody(wait)
            if text:
                yield text

    def _keeps(self, wait: Wait, found: list[Wait]) -> Iterator[str]:
        """Tell of a worker that holds what another needs while it waits for something else."""
        if wants_lock(wait):
            return
        need: dict[str, list[str]] = {}
        for other in found:
            if other is not wait and self._owner(other) is wait.worker:
                lock = self._lock(other.worker.wants, other.frames)
                need.setdefault(lock, []).append(self._who(other.worker))
        for lock, who in need.items():
            yield (
                f"{_capital(self._who(wait.worker))} keeps {lock} while it waits, and "
                f"{_listed(who)} need{'' if len(who) > 1 else 's'} it to go on. Release it first."
            )

    def _for_want_of(self, wait: Wait) -> str | None:
        owner = self._owner(wait)
        if owner is None:
            return "It was taken before the schedule began, or by a thread outside of it."
        if owner.ended:
            return "Release it on every way out: a with statement does."
        return None

    def _owner(self, wait: Wait) -> Worker | None:
        return self.owners.get(id(wait.worker.wants))

    def _who(self, worker: Worker) -> str:
        return worker_name(worker.number, self.names)

    def _lock(self, lock: Any, near: Sequence[FrameType]) -> str:
        return name_of(lock, [*near, *self.frames], far=True) or _made(lock)

    def _call(self, wait: Wait) -> str:
        if isinstance(wait.wanted, str):
            return f"{wait.method}()"
        known = name_of(wait.wanted, [*wait.frames, *self.frames], far=True)
        name = known or type(wait.wanted).__name__
        return f"{name}.{wait.method}()"


def _table(parts: Sequence[Sequence[_Row]]) -> list[str]:
    """Write lines in columns, naming each worker once."""
    rows = [row for part in parts for row in part]
    who = max(10, *(len(row.who) + 2 for row in rows))
    what = max(len(row.what) for row in rows)
    at = max(len(_at(row)) for row in rows)
    found, last = [], ""
    for row in rows:
        name, last = "" if row.who == last else row.who, row.who
        where = f"{_at(row):<{at}} {row.where}" if row.where else ""
        found.append(f"  {name:<{who}}{row.verb:<6} {row.what:<{what}}  {where}".rstrip())
    return found


def _at(row: _Row) -> str:
    return "taken at" if row.is_taken else "at"


def _taken(taken: tuple[FrameType, int], frames: Sequence[FrameType]) -> str:
    """Return where in the code under test a lock was taken."""
    frame, line = taken
    files = {own.f_code.co_filename for own in frames}
    at: FrameType | None = frame
    if frame.f_code.co_filename in files:
        return place(frame.f_code.co_filename, line)
    while at is not None and at.f_code.co_filename not in files:
        at = at.f_back
    if at is None:
        return place(frame.f_code.co_filename, line)
    return place(at.f_code.co_filename, at.f_lineno)


def _made(lock: Any) -> str:
    made = getattr(lock, "made", None)
    if made is None:
        return "a lock made before the schedule began"
    return f"a lock made at {place(made[0].co_filename, made[1])}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _order(many: int) -> str:
    if many == 1:
        return "The lock is taken twice by one worker: use an RLock, or take it once."
    both = "both" if many == 2 else "the"  # noqa: PLR2004
    return f"Taking {both} locks in one order removes it."


_MISSED = """\
Nobody is left to wake it: a notification came before the wait, or never. Wait in a loop that
checks the condition under the lock, and change the condition under the same lock."""
_NOBODY = {
    ("Condition", ""): _MISSED,
    ("Event", ""): "Nobody is left to set it: those who could wait too, or have ended.",
    ("Semaphore", ""): (
        "Nobody is left to release it: those who have a place wait too, or have ended and keep\n"
        "it. Release it on every way out: a with statement does."
    ),
    ("Queue", "get"): "Nobody is left to put anything more.",
    ("Queue", "put"): "It is full, and nobody is left to take anything out.",
    ("Queue", "join"): "Nobody is left to say task_done() for what was put in.",
    ("SimpleQueue", ""): "Nobody is left to put anything more.",
    ("Future", ""): "Nobody is left to complete it: its call waits too, or was never begun.",
}
_ROOMS = ("threading", "queue", "_queue", "concurrent.futures", "pytest_concurrency.explore")


def _nobody(wait: Wait) -> str | None:
    """Say who is missing, by what is waited for."""
    if wait.whom:
        return None
    wanted = wait.wanted
    kinds = [kind.__name__ for kind in type(wanted).__mro__ if kind.__module__.startswith(_ROOMS)]
    if "Barrier" in kinds:
        come = wanted.n_waiting
        return (
            f"The barrier opens when {wanted.parties} have come. {come} {_has(come)}, and "
            "nobody is left to come."
        )
    if isinstance(wanted, str) and wanted.startswith("concurrent.futures"):
        kinds = ["Future"]
    told = [_NOBODY.get((kind, wait.method)) or _NOBODY.get((kind, "")) for kind in kinds]
    return next((text for text in told if text), "Nobody is left who could let it go on.")


def _has(many: int) -> str:
    return "has" if many == 1 else "have"
