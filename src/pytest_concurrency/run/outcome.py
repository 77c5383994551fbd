"""The outcome of a run: every call, and what can be asked and claimed of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, NoReturn, TypeVar, final

from pytest_concurrency.run import claims
from pytest_concurrency.run.call import Call
from pytest_concurrency.run.overlap import Overlap, measure_overlap
from pytest_concurrency.run.place import without_our_frames
from pytest_concurrency.run.recording import Recording
from pytest_concurrency.run.story import failure_note, summary
from pytest_concurrency.run.tally import error_line
from pytest_concurrency.slo.evidence import Evidence, evidence_of_calls

T = TypeVar("T")
UNSEEN = (
    "\nThe test passed without looking at its failed calls. "
    "Write outcome.raise_errors();\nif failures are expected, read outcome.errors."
)


@final
class Outcome(Generic[T]):
    """What came of a run: every call with its worker, times, and value or error.

    Example:
        >>> from pytest_concurrency import concurrent_runner
        >>> outcome = concurrent_runner(lambda: "done", workers=3)
        >>> outcome.raise_errors().values
        ['done', 'done', 'done']
        >>> outcome.success_rate
        1.0
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_origins",
        "_overlap",
        "_recording",
        "_seen",
        "replay",
        "unfinished",
    )

    def __init__(self, recording: Recording, *, replay: str = "") -> None:
        """Take over what was recorded. Made by ``concurrent_runner``."""
        self._recording = recording
        self._calls = recording.calls()
        self._origins = {
            id(call.error): call.error.__traceback__
            for call in self._calls
            if call.error is not None
        }
        self._overlap: Overlap | None = None
        self._seen = False
        self.unfinished: int = recording.plan.calls - len(self._calls)
        """How many calls of the plan never ended."""
        self.replay: str = replay
        """What to add to the command line to draw the same random numbers, if any were drawn."""

    # what happened

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that ended, by worker and then by time."""
        self._seen = True
        return self._calls

    @property
    def values(self) -> list[T]:
        """What the successful calls returned, in the order of ``calls``."""
        return [call.value for call in self._calls if call.error is None]

    @property
    def errors(self) -> list[BaseException]:
        """What the failed calls raised, in the order of ``calls``."""
        self._seen = True
        return [call.error for call in self._calls if call.error is not None]

    @property
    def workers(self) -> int:
        """How many workers there were."""
        return self._recording.plan.workers

    @property
    def rounds(self) -> int:
        """How many rounds each of them was to make."""
        return self._recording.plan.rounds

    @property
    def success_rate(self) -> float:
        """The share of the planned calls that returned, from 0 to 1."""
        self._seen = True
        planned = len(self._calls) + self.unfinished
        return len(self.values) / planned if planned else 0.0

    def distinct(self, key: Callable[[T], Hashable] | None = None) -> int:
        """Count the different values, or the different ``key(value)``."""
        return len(self.tally(key))

    def tally(self, key: Callable[[T], Hashable] | None = None) -> Counter[Hashable]:
        """Count how often each value, or each ``key(value)``, was returned.

        Values that cannot be hashed are counted under the ``repr`` of the first that is equal.
        """
        return claims.counted(key(value) if key else value for value in self.values)

    def error_tally(self) -> Counter[str]:
        """Count how often each error was raised, by its type and first line."""
        return Counter(error_line(error, 200) for error in self.errors)

    # when it happened

    @property
    def durations(self) -> list[float]:
        """How long each call took, in seconds, in the order of ``calls``."""
        return [call.duration for call in self._calls]

    @property
    def wall_time(self) -> float:
        """Seconds from the first start to the last end of a call."""
        if not self._calls:
            return 0.0
        begun = min(call.started_ns for call in self._calls)
        return (max(call.ended_ns for call in self._calls) - begun) / 1e9

    @property
    def throughput(self) -> float:
        """Calls that ended, a second of ``wall_time``."""
        return len(self._calls) / self.wall_time if self.wall_time else 0.0

    @property
    def overlap(self) -> Overlap:
        """How much the calls really ran at the same time."""
        if self._overlap is None:
            self._overlap = measure_overlap(self._calls)
        return self._overlap

    def evidence(self) -> Evidence:
        """Return what objectives are held against: durations, failures, wall time."""
        return evidence_of_calls(self._calls, unfinished=self.unfinished)

    @property
    def failures(self) -> int:
        """How many calls raised."""
        return len(self.errors)

    @property
    def has_unseen_errors(self) -> bool:
        """Whether calls failed, nobody has asked about it yet, and none of them ended the run."""
        is_told = self._seen or self._recording.fatal is not None
        return not is_told and len(self.values) < len(self._calls)

    def forget_looks(self) -> None:
        """Take back that anybody has asked: those who only observe do not speak for the test."""
        self._seen = False

    # claims

    def raise_errors(self) -> Outcome[T]:
        """Raise what the first call to fail raised, with a tally of the others; else return self.

        The exception is the worker's own, with its traceback, so that the report shows the line
        that failed and a debugger lands in the worker's frame.
        """
        __tracebackhide__ = True
        self._seen = True
        failed = [call for call in self._calls if call.error is not None]
        if not failed:
            return self
        shown = min(failed, key=lambda call: call.ended_ns)
        error = shown.error
        if error is None:  # cannot be; tells the type checker
            return self
        note = failure_note(self, failed, shown)
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise without_our_frames(error.with_traceback(self._origins[id(error)]))

    def raise_unseen(self) -> None:
        """Raise what the first call to fail raised, and say that nobody looked at it."""
        __tracebackhide__ = True
        for error in {id(error): error for error in self.errors}.values():
            error.add_note(UNSEEN)
        self.raise_errors()

    def assert_one_succeeds(self) -> T:
        """Claim that exactly one call returned and all others raised; return its value."""
        __tracebackhide__ = True
        self._seen = True
        winners = [call for call in self._calls if call.error is None]
        if len(winners) != 1 or self.unfinished:
            claims.refuse_winners(self, winners)
        value: T = winners[0].value
        return value

    def assert_all_equal(self, key: Callable[[T], Any] | None = None) -> T:
        """Claim that no call failed and all values, or all ``key(value)``, are equal.

        Returns:
            The first value.
        """
        __tracebackhide__ = True
        self.raise_errors()
        claims.check_complete(self)
        claims.check_all_equal(self._calls, key)
        value: T = self._calls[0].value
        return value

    def assert_no_duplicates(self, key: Callable[[T], Any] | None = None) -> list[T]:
        """Claim that no call failed and no value, or no ``key(value)``, came twice.

        Returns:
            All values.
        """
        __tracebackhide__ = True
        self.raise_errors()
        claims.check_complete(self)
        claims.check_no_duplicates(self._calls, key)
        return self.values

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __bool__(self) -> NoReturn:
        msg = (
            "an Outcome is neither true nor false. "
            "Write outcome.raise_errors(), or assert outcome.success_rate == 1."
        )
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"<Outcome: {summary(self)}>"
