"""The timer of performance tests: every sample kept, at a cost that does not show."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from time import perf_counter_ns
from typing import ParamSpec, Self, TypeVar

from pytest_concurrency.errors import is_on_purpose
from pytest_concurrency.slo.assertions import Policy
from pytest_concurrency.slo.cells import Beside, Cell, timed
from pytest_concurrency.slo.deciding import Decision, decide
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.facts import Facts
from pytest_concurrency.slo.noise import Noise, NoiseWatch
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.parts import Parts
from pytest_concurrency.slo.samples import Samples, merge_samples
from pytest_concurrency.slo.turns import Turns
from pytest_concurrency.slo.verdicts import Verdict
from pytest_concurrency.slo.waits import Waits, open_reader

__tracebackhide__ = is_on_purpose

P = ParamSpec("P")
T = TypeVar("T")


class PerfTimer:
    """Times calls: as a context, as a decorator, or by making the call; sync and async.

    >>> perf_timer = PerfTimer()
    >>> for _ in range(100):
    ...     with perf_timer:
    ...         _ = sum(range(100))
    >>> len(perf_timer)
    100

    Blocks of other threads and tasks, and blocks inside blocks, are kept apart.
    """

    def __init__(
        self,
        name: str = "perf_timer",
        *,
        objectives: Sequence[str | Objective] = (),
        policy: Policy | None = None,
        takes_out_waits: bool | None = None,
        turns: Turns | None = None,
    ) -> None:
        """Make a timer for the calling worker.

        Args:
            name: What is timed.
            objectives: What ``until_decided`` decides about if it is given nothing else.
            policy: How verdicts are reached.
            takes_out_waits: Read from the kernel how long each call waited for a processor; by
                default where the kernel tells and the policy does not judge by wall.
            turns: What happens before and after each block, such as a call of a rival.
        """
        self.name = name
        self.policy: Policy = policy or Policy()
        goals = self.policy.goals(objectives)
        self.objectives: tuple[Objective, ...] = tuple(goal.objective for goal in goals)
        if takes_out_waits is None:
            takes_out_waits = not self.policy.by_wall
        self._reader = open_reader() if takes_out_waits else None
        self.takes_out_waits: bool = self._reader is not None
        self._turns = turns
        self._owner = get_ident()
        self.reset()

    def reset(self) -> None:
        """Forget every sample."""
        self._is_short_way_held = False
        self._free = 0  # the first block goes the long way, which notes when it began
        self._started_ns = self._first_ns = self._ended_ns = 0
        self._cell = cell = Cell()
        self._cells = [cell]
        self._append = cell.ns.append
        self._waits = Waits(self._reader, cell.waits_ns) if self._reader else None
        self._beside = Beside(self._cells, takes_out_waits=self.takes_out_waits, turns=self._turns)
        self._open = self._beside.open
        self._busy: Sized = self._open if self._waits is None else (self._waits,)
        self._decision: Decision | None = None
        self._watch: NoiseWatch | None = None
        self.warm_up = Samples()
        self.noise: Noise | None = None
        self.facts: Facts = Facts()
        self._parts: Parts[PerfTimer] = Parts()

    def __enter__(self) -> Self:
        """Begin a call."""
        if self._free != get_ident():
            return self._enter_long_way()
        self._free = 0
        self._started_ns = perf_counter_ns() if self._waits is None else self._waits.begin()
        return self

    def _enter_long_way(self) -> Self:
        if self._first_ns or self._turns is not None or self._owner != get_ident():
            return self._enter_beside()
        self._begin()
        self._free = self._owner
        return self.__enter__()

    def _begin(self) -> None:
        if self._watch is None and self._decision is None and self.takes_out_waits:
            self._watch = NoiseWatch(times_collections=False)
        self._first_ns = perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: object = None, traceback: object = None, /
    ) -> None:
        """End the call; what it raised goes on, and makes it a failed one."""
        ended_ns = perf_counter_ns()
        if kind is None and not self._busy:
            self._append(ended_ns - self._started_ns)
            self._free = self._owner
            return
        self._exit_long_way(ended_ns, failed=kind is not None)

    def _exit_long_way(self, ended_ns: int, *, failed: bool) -> None:
        if self._open and self._exit_beside(ended_ns, failed=failed):
            return
        self._append(ended_ns - self._started_ns)
        if self._waits is not None:
            self._waits.end(ended_ns, self._started_ns)
        if failed:
            self._cell.failed.append(len(self._cell.ns) - 1)
        if self._open:
            self._is_short_way_held = True
        else:
            self._free = self._owner

    async def __aenter__(self) -> Self:
        """Begin a call of a task."""
        return self._enter_beside()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the call of a task."""
        self._exit_beside(perf_counter_ns(), failed=kind is not None)

    def _enter_beside(self) -> Self:
        if not self._first_ns:
            self._begin()
            self._is_short_way_held = self._turns is None
        if self._free:  # a task begun inside this block must not take the short way out of it
            self._free, self._is_short_way_held = 0, True
        self._beside.enter()
        return self

    def _exit_beside(self, ended_ns: int, *, failed: bool) -> bool:
        if not self._beside.exit(ended_ns, failed=failed):
            return False
        if self._is_short_way_held and not self._open:
            self._free, self._is_short_way_held = self._owner, False
        self._ended_ns = ended_ns
        return True

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Time every call of a function, or of a coroutine function, from now on."""
        return timed(self, function)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make one call, time it, and return what it returns; a coroutine is timed when awaited.

        >>> PerfTimer().call(max, 1, 2)
        2
        """
        return self(function)(*args, **kwargs)

    def tagged(self, **tags: str) -> PerfTimer:
        """Return the timer of calls with these tags, for ``p95{a=b}``; they count here too."""
        make = partial(
            PerfTimer,
            self.name,
            policy=self.policy,
            takes_out_waits=self.takes_out_waits,
            turns=self._turns,
        )
        return self._parts.of_tags(tags, make)

    def waiting(self, series: str) -> PerfTimer:
        """Return the timer of a wait, ``lock wait`` or ``pool wait``, which objectives may name.

        >>> perf_timer = PerfTimer()
        >>> with perf_timer.waiting("lock wait"):
        ...     pass
        >>> len(perf_timer), len(perf_timer.waiting("lock wait"))
        (0, 1)

        Raises:
            UsageError: No objective knows such a wait.
        """
        make = partial(PerfTimer, series, policy=self.policy, takes_out_waits=False)
        return self._parts.of_wait(series, make)

    def until_decided(
        self,
        *objectives: str | Objective,
        max_calls: int | None = None,
        seconds: float | str | None = None,
    ) -> Iterator[int]:
        """Yield until every objective is met or missed with confidence, or a budget is spent.

        The first round warms up and is set aside. However often verdicts are looked for, they
        are wrong no more often than the policy allows.

        Args:
            objectives: What to decide about, or names of SLOs; the timer's own if left out.
            max_calls: The most calls to make, that of the warm-up included.
            seconds: The longest to go on, as a number or text with a unit.

        Raises:
            UsageError: There is no objective, or the body of the loop timed nothing.
        """
        goals = self.policy.goals(objectives)
        chosen = [goal.objective for goal in goals if goal.is_decided_by_calls or not goal.slo]
        decision = Decision(objectives=tuple(chosen) or self.objectives, policy=self.policy)
        self._decision = decision
        if self.policy.collect is not None:
            self._beside.turns = None  # it takes turns by itself
        return decide(self, decision, max_calls=max_calls, seconds=seconds)

    @property
    def decided(self) -> dict[Objective, Verdict]:
        """The verdicts that ``until_decided`` has reached."""
        return self._decision.verdicts if self._decision else {}

    @property
    def samples(self) -> Samples:
        """Every sample of every worker, in turn."""
        return merge_samples([*(cell.samples for cell in self._cells), *self._parts.samples])

    @property
    def durations(self) -> tuple[float, ...]:
        """The seconds of each call."""
        return tuple(each / 1e9 for each in self.samples.ns)

    def __len__(self) -> int:
        """Return how many calls were timed."""
        return sum(len(cell.samples) for cell in self._cells) + len(self._parts)

    def __bool__(self) -> bool:
        """Return True: a timer without samples is a timer."""
        return True

    def set_aside(self) -> None:
        """Take the samples so far for warm-up: kept, shown, and not judged."""
        self.warm_up = merge_samples([self.warm_up, self.samples])
        self.clear()

    def clear(self) -> None:
        """Drop the samples, those of tagged calls too."""
        self._first_ns = self._ended_ns = self._free = 0
        self.facts.pauses_ns.clear()
        self._parts.clear()
        for cell in self._cells:
            cell.clear()

    @property
    def span_ns(self) -> tuple[int, int]:
        """When the first call began and the last one ended; zeros if there was none."""
        own_ns = self._cell.ns[-1:]
        ended_ns = max(self._ended_ns, *(self._started_ns + last_ns for last_ns in own_ns), 0)
        return self._parts.span_ns(self._first_ns, ended_ns)

    def fold(self) -> None:
        """Move samples beyond a million into bins."""
        for cell in self._cells:
            cell.samples.fold()

    def note_pause(self, took_ns: int) -> None:
        """Note a garbage collection for the call during which it ran."""
        if self._first_ns and not self._free and not self._open and self._owner == get_ident():
            self.facts.note_pause(len(self._cell.ns), took_ns)

    def evidence(self) -> Evidence:
        """Return what was measured, for objectives to be held against."""
        samples = self.samples
        first_ns, ended_ns = self.span_ns
        workers = sum(1 for cell in self._cells if cell.ns) or 1
        return Evidence(
            latency=samples,
            calls=len(samples),
            errors=samples.errors,
            seconds=(ended_ns - first_ns) / 1e9 if ended_ns else None,
            tagged=self._parts.evidence(),
            noise=self.noise or (self._watch.read(workers=workers) if self._watch else None),
            warm_up_ns=max(self.warm_up.ns, default=None),
            **self.facts.for_evidence(
                samples, self._parts.series, is_in_order=len(samples) == len(self._cell.ns)
            ),
        )
