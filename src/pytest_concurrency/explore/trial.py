"""One object, asked by several workers, judged by what they were answered."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Self

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.explore import region
from pytest_concurrency.explore.case import Case, Step
from pytest_concurrency.explore.code import CodeProgram
from pytest_concurrency.explore.coroutines import TaskProgram
from pytest_concurrency.explore.held import Region
from pytest_concurrency.explore.history import Call, Recording
from pytest_concurrency.explore.limits import Limits
from pytest_concurrency.explore.linearizability import Refutation, linearize
from pytest_concurrency.explore.operations import Operation, Unmet, is_asynchronous
from pytest_concurrency.explore.picture import ALONE, refusal
from pytest_concurrency.explore.program import Ending, Guide, Trace
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.specification import (
    Sequential,
    answered,
    finished,
)

_WAITING = ("deadlock", "hang")


class NotLinearizable(BrokenPromise):
    """Workers were answered what no worker alone would have been, in any order of the calls."""

    __module__ = "pytest_concurrency"


class Trial:
    """A program for the explorer: the calls of a case, made of a fresh object in each play.

    A play fails if no order of its calls explains the answers, or if calls wait for ever that
    should not. Use it as a context manager.

    Attributes:
        case: What is played.
    """

    def __init__(
        self,
        factory: Callable[[], Any],
        named: Mapping[str, Operation],
        settings: Settings,
        *,
        name: str,
        limits: Limits,
        close: Callable[[Any], object] | None = None,
    ) -> None:
        """Prepare to play.

        Args:
            factory: Makes the object.
            named: The operations.
            settings: What is explored.
            name: What to call the object.
            limits: The model and the key, if there are.
            close: Gives back what an object holds.
        """
        self.case = Case()
        self._factory, self._close = factory, close
        self._name, self._key = name, limits.key
        self._operations = {each: one.function for each, one in named.items() if one.function}
        self._script: Callable[[Any], Coroutine[Any, Any, Any]] = self._perform
        self._recording = Recording()
        self._judged: dict[Hashable, Refutation | None] = {}
        self._settings, self._model = settings, limits.model
        on_loop = is_asynchronous(named, factory)
        self._program: Any = self._program_for(on_loop=on_loop)
        self.specification: Sequential = self._specified(on_loop=on_loop)

    def _program_for(self, *, on_loop: bool) -> Any:
        if on_loop:
            return TaskProgram(self._on_loop, self._settings, looks="never")
        return CodeProgram(self._on_threads, self._settings)

    def _specified(self, *, on_loop: bool) -> Sequential:
        return Sequential(
            self._model or self._factory,
            name=self._name if self._model is None else None,
            strict=self._model is None,
            operations=self._operations,
            alone=self._alone,
            keep=not on_loop,
            close=self._close,
        )

    def move_onto_a_loop(self) -> None:
        """Make the workers coroutines from now on: an operation turned out to return one."""
        self.__exit__()
        self._program = self._program_for(on_loop=True)
        self._program.__enter__()
        self.specification = self._specified(on_loop=True)
        self._judged.clear()

    def __enter__(self) -> Self:
        """Begin to watch the code."""
        self._program.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Give everything back."""
        self.specification.drop()
        self._program.__exit__(None, None, None)

    @property
    def together(self) -> Sequence[Region]:
        """Lines that nobody interrupts, for finding out what would remove a failure."""
        return getattr(self._program, "together", ())

    @together.setter
    def together(self, regions: Sequence[Region]) -> None:
        self._program.together = regions

    @property
    def plain(self) -> bool:
        """Whether values are shown without running code of theirs."""
        return getattr(self._program, "plain", False)

    @plain.setter
    def plain(self, yes: bool) -> None:
        self._program.plain = yes

    def set(self, case: Case) -> None:
        """Play this case from now on."""
        self.case = case
        self._judged.clear()

    def play(self, guide: Guide, *, record: bool = True, explain: bool = False) -> Trace:
        """Make the calls once, in the order that the guide chooses, and judge the answers."""
        trace: Trace = self._program.play(guide, record=record, explain=explain)
        if trace.ending.kind in {"passed", "deadlock"}:
            refuted = self._judge(stuck=trace.ending.kind == "deadlock")
            trace.ending = self._ending(refuted, trace.ending.error)
        return trace

    def _judge(self, *, stuck: bool) -> Refutation | None:
        told = (stuck, self._recording.key())
        if told not in self._judged:
            history = self._recording.history()
            found = linearize(history, self.specification, key=self._key, stuck=stuck)
            self._judged[told] = found if isinstance(found, Refutation) else None
        return self._judged[told]

    def _ending(self, refuted: Refutation | None, error: BaseException | None) -> Ending:
        if refuted is None:
            return Ending()
        failure = NotLinearizable(f"{self._name} is not linearizable. {refusal(refuted)}")
        if error is not None:
            failure.add_note(str(error))
        return Ending(kind="failed", error=failure)

    def possible(self, case: Case) -> Case | None:
        """Leave out calls that could be made when their precondition does not hold.

        Only a program whose preconditions hold in each order of its calls tells anything.
        """
        while all(case.workers):
            unmet = self._unmet(case)
            if unmet is None:
                return case
            case = case.without(*unmet)
        return None

    def _unmet(self, case: Case) -> tuple[int, int] | None:
        """Find a call whose precondition fails in some order: its part of the case and place."""
        parts = (case.before, *case.workers, case.after)
        last = len(parts) - 1
        ends = tuple(map(len, parts))
        todo = [((0,) * len(parts), self.specification.initial)]
        seen = set(todo)
        while todo:
            at, state = todo.pop()
            for part, place in enumerate(at):
                started = part == 0 or at[0] == ends[0]
                closing = part != last or all(at[n] == ends[n] for n in range(last))
                if place == ends[part] or not started or not closing:
                    continue
                name, *arguments = parts[part][place]
                call = Call(worker=0, operation=name, arguments=tuple(arguments), invoked=0)
                answer, after = self.specification.step(state, call)
                if isinstance(answer.error, Unmet):
                    return part, place
                then = ((*at[:part], place + 1, *at[part + 1 :]), after)
                if not answer.waits and then not in seen:
                    seen.add(then)
                    todo.append(then)
        return None

    # ---- what a play does ---------------------------------------------------------------------

    def _on_threads(self, run: Callable[..., Any]) -> None:
        finished(self._script(run))

    async def _on_loop(self, run: Callable[..., Any]) -> None:
        await self._script(run)

    async def _perform(self, run: Callable[..., Any]) -> None:
        target = self._factory()
        try:
            await self._ask(target, run)
        finally:
            if self._close is not None:
                self._close(target)

    async def _ask(self, target: Any, run: Callable[..., Any]) -> None:
        recording = self._recording = Recording()
        case = self.case

        def worker(number: int, calls: Sequence[Step]) -> Callable[[], Any]:
            async def calling() -> None:
                for name, *arguments in calls:
                    asked = recording.invoke(number, name, arguments)
                    call = Call(
                        worker=number, operation=name, arguments=tuple(arguments), invoked=0
                    )
                    answer = await answered(target, call, self._operations)
                    if _is_over():
                        return
                    recording.answer(asked, answer)

            return calling

        await worker(ALONE, case.before)()
        if _is_over():
            return
        ran = run(*(self._startable(worker(*each)) for each in enumerate(case.workers)))
        if inspect.isawaitable(ran):
            await ran
        await worker(ALONE, case.after)()

    def _startable(self, calling: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], Any]:
        if isinstance(self._program, TaskProgram):
            return calling
        return lambda: finished(calling())

    def _alone(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where waiting for ever is noticed."""
        found: list[Any] = []

        async def script(_: Any) -> None:
            found.append(await coroutine)

        before, self._script = self._script, script
        try:
            trace = self._program.play(Plan([]), record=False)
        finally:
            self._script = before
            coroutine.close()
        if trace.ending.kind in _WAITING:
            return None
        if trace.ending.error is not None:
            raise trace.ending.error
        return found[0]


def _is_over() -> bool:
    """Tell whether the play has ended and its workers are only being unwound."""
    stage = region.here()
    if stage is not None:
        return stage.aborting or stage.verdict is not None
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0
