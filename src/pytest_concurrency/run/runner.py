"""The concurrent runner: many callers at once, every outcome kept."""

from __future__ import annotations

import shutil
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any, Literal, TypeVar, final, overload

from pytest_concurrency.errors import BrokenPromise, UsageError, nearest
from pytest_concurrency.run.executors import run_executor
from pytest_concurrency.run.hang import HangError, hang_text, left_text
from pytest_concurrency.run.outcome import Outcome
from pytest_concurrency.run.place import caller_place, without_our_frames
from pytest_concurrency.run.plan import Plan, make_plan
from pytest_concurrency.run.recording import Ending, Recording
from pytest_concurrency.run.settings import Settings, current_settings
from pytest_concurrency.run.tasks import OwnLoop, pick_library
from pytest_concurrency.run.threads import ThreadCrew
from pytest_concurrency.run.worker import Worker
from pytest_concurrency.slo.quantities import seconds as parse_seconds

T = TypeVar("T")
Kind = Literal["threads", "tasks", "processes"]
_KINDS = ("threads", "tasks", "processes")


@overload
def concurrent_runner(
    call: Callable[..., Coroutine[Any, Any, Any]],
    /,
    *calls: Callable[..., Coroutine[Any, Any, Any]],
    workers: int | None = None,
    rounds: int = 1,
    items: Iterable[Any] | None = None,
    on: Kind | Executor | None = None,
    timeout: float | str | None = None,
    seed: int | None = None,
) -> Any: ...


@overload
def concurrent_runner(
    call: Callable[..., T],
    /,
    *calls: Callable[..., T],
    workers: int | None = None,
    rounds: int = 1,
    items: Iterable[Any] | None = None,
    on: Kind | Executor | None = None,
    timeout: float | str | None = None,
    seed: int | None = None,
) -> Outcome[T]: ...


def concurrent_runner(
    call: Callable[..., Any],
    /,
    *calls: Callable[..., Any],
    workers: int | None = None,
    rounds: int = 1,
    items: Iterable[Any] | None = None,
    on: Kind | Executor | None = None,
    timeout: float | str | None = None,
    seed: int | None = None,
) -> Any:
    """Run calls from many workers, released together, and keep everything that comes of them.

    Args:
        call: What every worker calls; a parameter named ``worker`` gets its :class:`Worker`.
        calls: More callables, to run different ones together.
        workers: How many; by default 8, or one for each callable or item.
        rounds: How often each worker makes its calls, all released together each time.
        items: Call once for each item, which becomes the first argument.
        on: ``"threads"``, ``"tasks"`` (for coroutine functions), ``"processes"``, or an executor.
        timeout: Seconds, or ``"10s"``, after which the run ends with the stack of every worker.
        seed: For the workers' random generators.

    Returns:
        The :class:`Outcome`; for coroutine functions where a loop runs, an awaitable of it.
    """
    __tracebackhide__ = True
    try:
        plan = make_plan((call, *calls), workers=workers, rounds=rounds, items=items)
        run = Run(plan, on=on, timeout=timeout, seed=seed)
    except UsageError as error:
        raise error.with_traceback(None) from None
    library = pick_library() if plan.is_async else None
    return run.here() if library is None else run.awaited(library)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a run has to be over, and who said so."""

    seconds: float | None
    source: str


def _make_deadline(timeout: float | str | None, settings: Settings) -> Deadline:
    if timeout is None:
        return Deadline(seconds=settings.timeout, source=settings.timeout_source)
    limit = parse_seconds(timeout, where=f"concurrent_runner(timeout={timeout!r})")
    if limit <= 0:
        msg = f"concurrent_runner(timeout={timeout!r}): a run needs time. Write timeout='10s'."
        raise UsageError(msg)
    return Deadline(seconds=limit, source=f"timeout={_quoted(timeout)} at {caller_place()}")


def _quoted(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _check_seed(seed: object, settings: Settings) -> int:
    if seed is None:
        seed = settings.seed if settings.seed is not None else SystemRandom().getrandbits(32)
    if isinstance(seed, bool) or not isinstance(seed, int):
        msg = f"concurrent_runner(seed={seed!r}): use an integer, such as seed=1."
        raise UsageError(msg)
    return seed


def _check_kind(on: object, plan: Plan) -> Kind | Executor:
    if on is None:
        return "tasks" if plan.is_async else "threads"
    if isinstance(on, str) and on in _KINDS:
        if (on == "tasks") is not plan.is_async:
            msg = (
                "concurrent_runner(on='tasks'): a plain function never awaits, so tasks would run "
                "it one after the other. Pass a coroutine function, or use on='threads'."
                if on == "tasks"
                else f"concurrent_runner(on={on!r}): coroutine functions run as tasks. "
                f"Leave out on={on!r}, or pass lambda: asyncio.run(...)."
            )
            raise UsageError(msg)
        return on  # type: ignore[return-value]
    if isinstance(on, Executor):
        if plan.is_async:
            msg = (
                "concurrent_runner(on=<executor>): coroutine functions run as tasks. "
                "Leave out on=, or pass lambda: asyncio.run(...)."
            )
            raise UsageError(msg)
        return on
    meant = nearest(on, _KINDS) if isinstance(on, str) else None
    remedy = f"Write on={meant!r}." if meant else f"Use one of {', '.join(map(repr, _KINDS))}."
    msg = (
        f"concurrent_runner(on={on!r}): workers are threads, tasks, processes, or the jobs of a "
        f"concurrent.futures executor. {remedy}"
    )
    raise UsageError(msg)


@final
class Run:
    """One run from its plan to its outcome."""

    def __init__(
        self,
        plan: Plan,
        *,
        on: Kind | Executor | None,
        timeout: float | str | None,
        seed: int | None,
    ) -> None:
        """Check the arguments and take the rest from the surroundings; nobody runs yet."""
        settings = current_settings()
        self._kind = _check_kind(on, plan)
        self._deadline = _make_deadline(timeout, settings)
        self._settings = settings
        self._seed = _check_seed(seed, settings)
        self._guard = threading.Lock()
        self._room: Path | None = None
        self._litter: Path | None = None
        workers = [
            Worker(index=index, seed=self._seed, title=settings.title, room=self._make_room)
            for index in range(plan.workers)
        ]
        self.recording: Recording = Recording(plan, workers)

    def _make_room(self) -> Path:
        """Make the place for the workers' directories, once."""
        with self._guard:
            if self._room is None and self._settings.room is not None:
                self._room = self._settings.room()
            elif self._room is None:
                from tempfile import mkdtemp

                self._room = self._litter = Path(mkdtemp(prefix="workers-"))
            return self._room

    def here(self) -> Outcome[Any]:
        """Run to the end, in the caller's thread or from it."""
        __tracebackhide__ = True
        try:
            with self._closing():
                ending = self._run_here()
        except UsageError as error:
            raise error.with_traceback(None) from None
        except BrokenPromise as error:  # a worker's process has died
            error.outcome = self._told()  # type: ignore[attr-defined]
            raise error.with_traceback(None) from None
        return self._finish(ending)

    async def awaited(
        self, library: Callable[[Recording, float | None], Awaitable[Ending]]
    ) -> Outcome[Any]:
        """Run to the end in the event loop of the caller."""
        __tracebackhide__ = True
        with self._closing():
            ending = await library(self.recording, self._deadline.seconds)
        return self._finish(ending)

    def _run_here(self) -> Ending:
        limit, title = self._deadline.seconds, self._settings.title
        if isinstance(self._kind, Executor):
            return run_executor(self.recording, self._kind, limit)
        if self._kind == "threads":
            return ThreadCrew(self.recording, title=title).run(limit)
        if self._kind == "tasks":
            return OwnLoop(self.recording, title=title).run(limit)
        from pytest_concurrency.run.processes import ProcessCrew

        return ProcessCrew(self.recording).run(limit)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._litter is not None:
                shutil.rmtree(self._litter, ignore_errors=True)
            raise
        finally:
            self.recording.close()

    def _told(self) -> Outcome[Any]:
        """Return the outcome, after whoever observes has seen it."""
        drawn = any(worker.has_drawn for worker in self.recording.workers)
        outcome: Outcome[Any] = Outcome(
            self.recording, replay=f"--concurrency-seed={self._seed}" if drawn else ""
        )
        if self._settings.observe is not None:
            self._settings.observe(outcome)
            outcome.forget_looks()
        return outcome

    def _finish(self, ending: Ending) -> Outcome[Any]:
        __tracebackhide__ = True
        outcome = self._told()
        if self._litter is not None:
            weakref.finalize(outcome, shutil.rmtree, self._litter, ignore_errors=True)
        if self.recording.fatal is not None:
            if self._litter is not None:  # nobody gets the outcome
                shutil.rmtree(self._litter, ignore_errors=True)
            fatal = without_our_frames(self.recording.fatal)
            if ending.left_running:
                fatal.add_note(f"\n{left_text(ending.left_running)}")
            raise fatal
        if ending.hanging:
            text = hang_text(
                outcome,
                ending.hanging,
                seconds=self._deadline.seconds or 0.0,
                source=self._deadline.source,
                left_running=ending.left_running,
            )
            raise HangError(text, outcome=outcome, left_running=ending.left_running)
        return outcome
