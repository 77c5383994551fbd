"""Code as a program: a body whose workers are real threads, paused at points."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import FrameType, FunctionType, TracebackType
from typing import Any, Self, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore import region
from pytest_concurrency.explore.deadlock import diagnoser
from pytest_concurrency.explore.emptiness import alone, unseen
from pytest_concurrency.explore.explanation import Explanation
from pytest_concurrency.explore.garbage import tidy
from pytest_concurrency.explore.held import Region
from pytest_concurrency.explore.locals import ThreadLocals
from pytest_concurrency.explore.points import Decoder
from pytest_concurrency.explore.program import EndKind, Guide, Trace
from pytest_concurrency.explore.record import close
from pytest_concurrency.explore.rescue import abort
from pytest_concurrency.explore.schedule import Plan
from pytest_concurrency.explore.scope import Scope, ours
from pytest_concurrency.explore.settings import Settings
from pytest_concurrency.explore.stage import Stage
from pytest_concurrency.explore.standins import StandIns
from pytest_concurrency.explore.starts import Starts
from pytest_concurrency.explore.titles import titles
from pytest_concurrency.explore.tracer import tracer
from pytest_concurrency.explore.workers import Abandoned, Pool
from pytest_concurrency.run.place import without_our_frames

_LONGEST = 40
Body = Callable[[Callable[..., list[Any]]], object]


def run(*calls: Callable[[], Any], cancel: int | None = None, **unknown: Any) -> list[Any]:
    """Run calls at once, each by a worker of its own, and return their results.

    Args:
        calls: What to run; each is called without arguments.
        cancel: For coroutines only: the one to cancel. No function can be cancelled.
        unknown: Refused, with what to write instead.

    Raises:
        BaseException: What the first worker that failed raised.
    """
    __tracebackhide__ = True
    stage = region.here()
    if stage is None:
        msg = "run: no schedule is being explored. Call it inside the body that interleave runs."
        raise UsageError(msg)
    _refuse(calls, cancel, unknown)
    if stage.trace.before is None:
        stage.trace.before = stage.started
    workers = [stage.start(call, arrives=False) for call in calls]
    touched = tuple((("worker", worker.number), False) for worker in workers)
    stage.operate(("run",), touched, lambda: all(worker.ended for worker in workers), wants=workers)
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    results = [worker.value for worker in workers]
    if any(result is not None for result in results):
        from pytest_concurrency.explore.coroutines import refuse_coroutines

        refuse_coroutines(results)
    return results


def _refuse(
    calls: tuple[Callable[[], Any], ...], cancel: int | None, unknown: Mapping[str, Any]
) -> None:
    """Refuse what is no function to run; let a loop be made for coroutines."""
    for name in unknown:
        msg = f"run: there is no argument {name!r}. Give each worker a call of its own: run(f, f)."
        raise UsageError(msg)
    if not all(map(_is_plain, calls)):
        from pytest_concurrency.explore.coroutines import refuse_coroutines

        refuse_coroutines(calls)
    if cancel is not None:
        msg = (
            f"run: cancel={cancel!r} is for coroutines, and these workers are functions."
            " Write async def, or leave cancel out."
        )
        raise UsageError(msg)
    for call in calls:
        if not callable(call):
            raise UsageError(_no_call(call))


def _no_call(given: object) -> str:
    """Say what to write for what was given in place of a call."""
    if isinstance(given, (list, tuple)):
        kind = type(given).__name__
        return f"run: a {kind} of {len(given)} cannot be called. Unpack it: run(*calls)."
    if given is None:
        what = "run: None cannot be called: it is what a call returned."
        return f"{what} Pass the function itself: run(f, g)."
    text = repr(given)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"run: {text} cannot be called. Pass a function: run(f, lambda: g(1))."


def _is_plain(call: object) -> bool:
    """Whether a call is certainly no coroutine function, without asking `inspect`."""
    return (
        type(call) is FunctionType
        and not call.__code__.co_flags & inspect.CO_COROUTINE
        and not call.__dict__
    )


@final
class CodeProgram:
    """A body, played again and again on pooled threads.

    Use it as a context manager: nothing is watched or kept outside of it.
    """

    def __init__(self, body: Body, settings: Settings) -> None:
        """Make a program of a body.

        Args:
            body: Called with `run`, once per schedule.
            settings: What to explore, and when a schedule hangs.
        """
        self._body = body
        self._settings = settings
        self._scope = Scope(settings.packages)
        self._decoder = Decoder(self._scope)
        self._pool = Pool()
        self._stand_ins = StandIns(self._scope)
        self._tracer = tracer(self._scope, self._decoder)
        self.most_workers = 0
        self._threads = False
        self._starts = Starts()
        self._thread_locals: ThreadLocals | None = None
        self._profile: Any = None
        self.together: Sequence[Region] = ()
        self.plain = False

    def __enter__(self) -> Self:
        """Begin to watch the code."""
        if region.here() is not None:
            msg = (
                "interleave: called inside a schedule that is being explored."
                " Call it outside of the body."
            )
            raise UsageError(msg)
        region.claim.acquire()
        self._thread_locals = ThreadLocals((_source(self._body), self._settings.command))
        try:
            self._tracer.open()
        except BaseException:
            region.claim.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give back threads and tracing."""
        try:
            self._tracer.close()
            self._pool.close()
        finally:
            region.claim.release()

    def play(self, guide: Guide, *, record: bool = True, explain: bool = False) -> Trace:
        """Run the body once, in the order that the guide chooses."""
        _ = record
        self._pool.clear()
        tidy()
        self._decoder.holders.clear()
        stage = Stage(guide, self._pool, hang=self._settings.hang)
        stage.diagnose = diagnoser(self._scope.has)
        stage.own = self._scope.has
        stage.together = self.together
        stage.starts, stage.eager = self._starts, explain
        explanation = None
        if explain:
            explanation = Explanation(stage.trace, self._scope.has, plain=self.plain)
            stage.watch = explanation.watch
        stage.enter, stage.leave = self._enter_worker, self._leave_worker
        try:
            self._stand_ins.enter()
            region.enter(stage)
            self._tracer.enter(stage)
            error = self._perform(stage)
        finally:
            try:
                self._leave()
            except BaseException:  # a signal's exception, which comes anywhere
                self._leave()
                raise
        if explanation is not None:
            explanation.finish()
        self.most_workers = max(self.most_workers, stage.started + 1)
        stage.trace.names = titles(stage)
        self._threads = self._threads or any(worker.thread is not None for worker in stage.workers)
        return _closed(stage, error)

    def _leave(self) -> None:
        """Give back what a play takes; this can be done twice."""
        self._tracer.leave()
        region.leave()
        self._stand_ins.leave()

    def emptiness(self) -> str:
        """Say why nothing was explored, after one more play that counts calls."""
        if self.most_workers - (not self._threads) < 2:  # noqa: PLR2004
            return alone()
        calls: Counter[str] = Counter()

        def count(frame: FrameType, event: str, _argument: object) -> None:
            if event == "call" and not self._scope.has(frame.f_code) and not ours(frame.f_code):
                calls[frame.f_code.co_filename] += 1

        self._profile = count
        try:
            self.play(Plan([]))
        finally:
            self._profile = None
        return unseen(self.most_workers - (not self._threads), self._tracer.files(), calls)

    def _enter_worker(self) -> None:
        if self._thread_locals is not None:
            self._thread_locals.forget()
        self._tracer.enter_worker()
        if self._profile is not None:
            sys.setprofile(self._profile)

    def _leave_worker(self) -> None:
        if self._profile is not None:
            sys.setprofile(None)
        self._tracer.leave_worker()

    def _perform(self, stage: Stage) -> BaseException | None:
        error: BaseException | None = None
        try:
            self._body(run)
            stage.finish()
        except Abandoned:
            pass
        except BaseException as raised:  # noqa: BLE001 - judged by the search
            error = raised
        try:
            abort(stage)
        except BaseException:  # a signal's too: whoever it kept from being unwound is now
            abort(stage)
            raise
        if isinstance(error, KeyboardInterrupt):  # no finding, for the search or whoever plays
            raise without_our_frames(error)
        return error or _lost(stage)


def _source(body: Body) -> Hashable:
    """Return what tells bodies apart that are not made by the same lines."""
    body = inspect.unwrap(body)
    code: Hashable = getattr(body, "__code__", None)
    return code or id(type(body))


def _closed(stage: Stage, error: BaseException | None) -> Trace:
    kind: EndKind = "passed" if error is None else "failed"
    if stage.verdict is not None:
        from pytest_concurrency.explore.failures import Deadlock

        kind = "deadlock" if isinstance(stage.verdict, Deadlock) else "hang"
        return close(stage.trace, stage.workers, kind, stage.verdict)
    return close(stage.trace, stage.workers, kind, error)


def _lost(stage: Stage) -> BaseException | None:
    """Return what a thread of the code under test raised, and nobody saw."""
    for worker in stage.workers:
        if worker.thread is not None and isinstance(worker.error, Exception):
            return worker.error
    return None
