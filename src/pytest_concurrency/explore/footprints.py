"""What the step of a coroutine touches, from one await to the next.

The code under test is looked into, instruction by instruction. Of asyncio's own code it is known
which object it touches; all other code touches everything.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Hashable
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any, Final, final

from pytest_concurrency.explore import tools
from pytest_concurrency.explore.callables import ALL, EVERYTHING
from pytest_concurrency.explore.constants import Constants
from pytest_concurrency.explore.effects import NEVER, Effect, effects
from pytest_concurrency.explore.identities import Identities
from pytest_concurrency.explore.memory import OBJECTS, TO_FRAME, VISIBLE, slot
from pytest_concurrency.explore.points import Decoder
from pytest_concurrency.explore.program import Touch
from pytest_concurrency.explore.scope import Scope, code_of, ours
from pytest_concurrency.explore.special import ITEMS

NOTHING_ELSE: Final[Touch] = ("*", False)
"""What each step touches that does not touch everything: it comes before or after those that do."""

_BIRTHS: Final = ("births",)
_ENDS: Final = ("ends",)


@final
class Footprints:
    """Writes down what is touched, while a step runs that is to be recorded.

    Each step touches everything until it is opened; and where nothing can be seen: before Python
    3.12, or when others have all of ``sys.monitoring``.

    Attributes:
        is_open: Whether steps are looked into.
        touched: What the step that runs has touched; ``None`` while none is recorded.
    """

    def __init__(self, scope: Scope) -> None:
        """Look into code of this scope."""
        self._scope = scope
        self._decoder = Decoder(scope)
        self._constants = Constants()
        self._effects: dict[CodeType, dict[int, Effect]] = {}
        self._kinds: dict[CodeType, str | None] = {}
        self._is_blind = False
        self._identities = Identities()
        self._tool: int | None = None
        self._ident = threading.get_ident()
        self.is_open = False
        self.touched: dict[Hashable, bool] | None = None

    def open(self) -> None:
        """Begin to watch."""
        self._ident = threading.get_ident()
        if sys.version_info < (3, 12) or not VISIBLE:
            return
        free = tools.free()
        if not free:
            return
        monitoring = sys.monitoring
        tool, events = free[0], monitoring.events
        self._tool, self.is_open = tool, True
        monitoring.use_tool_id(tool, tools.NAME)
        monitoring.register_callback(tool, events.PY_START, self._on_start)
        monitoring.register_callback(tool, events.PY_RESUME, self._on_start)
        monitoring.register_callback(tool, events.PY_THROW, self._on_throw)
        monitoring.register_callback(tool, events.INSTRUCTION, self._on_instruction)
        monitoring.restart_events()
        monitoring.set_events(tool, events.PY_START | events.PY_RESUME | events.PY_THROW)

    def close(self) -> None:
        """Stop watching."""
        self.touched, self.is_open = None, False
        if sys.version_info < (3, 12) or self._tool is None:
            return
        monitoring, tool = sys.monitoring, self._tool
        events = monitoring.events
        monitoring.set_events(tool, 0)
        for code in self._effects:
            monitoring.set_local_events(tool, code, 0)
        for event in (events.PY_START, events.PY_RESUME, events.PY_THROW, events.INSTRUCTION):
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
        self._tool = None
        self._effects.clear()
        self._kinds.clear()

    def begin(self) -> None:
        """Begin to write down a step."""
        self.touched = {}

    def end(self) -> tuple[Touch, ...]:
        """Return what the step touched since it began."""
        touched, self.touched = self.touched, None
        if touched is None or self._is_blind or touched.get("*"):
            return (EVERYTHING,)
        name = self._identities.name
        return (*[(name(what), write) for what, write in touched.items()], NOTHING_ELSE)

    def occupy(self) -> None:
        """Take note that a worker has ended, and with it what only that had."""
        self._identities.occupy()

    def forget(self) -> None:
        """Begin a play: its objects are new ones."""
        self._is_blind = False
        self._identities = Identities()

    def touch(self, resource: Hashable, *, write: bool) -> None:
        """Write down that the step that runs touches something, if one is recorded."""
        touched = self.touched
        if touched is not None and (write or resource not in touched):
            touched[resource] = write

    def touch_everything(self) -> None:
        """Write down that it cannot be told what the step that runs touches."""
        self.touch("*", write=True)

    def bear(self) -> None:
        """Write down that the step that runs starts a worker, or makes one that starts later."""
        self.touch(_BIRTHS, write=True)

    def _on_instruction(self, code: CodeType, offset: int) -> object:
        of_code = self._effects.get(code)
        effect = of_code.get(offset) if of_code is not None else None
        if effect is None:
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]
        touched = self.touched
        if touched is None or "*" in touched or threading.get_ident() != self._ident:
            return None
        frame = sys._getframe(1)  # noqa: SLF001
        try:
            found = effect(frame, OBJECTS(id(frame) + TO_FRAME))
        except ValueError:  # an empty place where an object should be
            found = ALL
        if found is NEVER:
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]
        for resource, write in found:
            if resource not in touched:
                known = _known(resource)
                touched[known] = write
                if known[0].__class__ is int:
                    self._identities.see(known[0])
            elif write:
                touched[resource] = True
        return None

    def _on_start(self, code: CodeType, _offset: int) -> object:
        kind = self._kinds.get(code)
        if kind is None:
            kind = self._kinds[code] = self._kind(code)
            if kind in {"in scope", "generator"}:
                self._look_into(code)
        if kind in {"in scope", "nothing"}:
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]
        touched = self.touched
        if touched is not None and "*" not in touched and threading.get_ident() == self._ident:
            resource, write = self._touch(kind, code, sys._getframe(1))  # noqa: SLF001
            self.touch(resource, write=write)
        return None

    def _on_throw(self, _code: CodeType, _offset: int, _error: BaseException) -> None:
        if threading.get_ident() == self._ident:
            self.touch_everything()

    def _look_into(self, code: CodeType) -> None:
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        if self._constants.learn(code):  # what was not looked at since is not known of this play
            self._is_blind = True
            monitoring.restart_events()
        self._effects[code] = effects(code, self._scope, self._decoder, self._constants)
        monitoring.set_local_events(self._tool, code, monitoring.events.INSTRUCTION)

    def _kind(self, code: CodeType) -> str:
        if self._scope.has(code):
            if code.co_flags & inspect.CO_ASYNC_GENERATOR:
                return "everything"
            return "generator" if code.co_flags & inspect.CO_GENERATOR else "in scope"
        return "nothing" if ours(code) else _kind_of_foreign(code)

    def _touch(self, kind: str, code: CodeType, frame: FrameType) -> Touch:
        """Return what a call of a function of this kind touches."""
        if kind == "self":
            return (id(_first(frame)), ITEMS), True
        if kind in {"ends", "generator"}:
            return (_ENDS if kind == "ends" else (id(code), "next")), True
        if kind == "new" and not _has_future(code, frame):
            return NOTHING_ELSE
        if kind == "cancels" and not self._is_in_scope(getattr(_first(frame), "_callback", None)):
            return NOTHING_ELSE
        return EVERYTHING

    def _is_in_scope(self, callback: object) -> bool:
        code = code_of(callback)
        return code is not None and self._scope.has(code)


def _known(resource: Any) -> Any:
    """Return the resource, or everything where it stands for what could not be seen."""
    if isinstance(resource, tuple) and (resource[0] == "?" or resource[-1] == "*"):
        return "*"
    return resource


_first = slot(0)


_GIVEN: Final = {
    "gather": "coros_or_futures",
    "wait_for": "fut",
    "shield": "arg",
    "as_completed": "fs",
}


def _has_future(code: CodeType, frame: FrameType) -> bool:
    """Whether a function was given what began before it, and not a coroutine."""
    given = frame.f_locals.get(_GIVEN[code.co_name])
    many = given if isinstance(given, (tuple, list, set, frozenset)) else (given,)
    return not all(map(inspect.iscoroutine, many))


def _kind_of_foreign(code: CodeType) -> str:
    path = PurePath(code.co_filename)
    name = code.co_qualname  # type: ignore[attr-defined,unused-ignore]
    if path.name == "<string>":
        return "nothing" if code.co_name == "__init__" else "everything"
    own = path.stem in {"locks", "queues", "timeouts", "taskgroups"}
    if path.name in {"contextlib.py", "_weakrefset.py"} or (own and path.parent.name == "asyncio"):
        if code.co_name in {"_abort", "_on_timeout"} or "self" in code.co_cellvars:
            return "everything"
        return "self" if code.co_varnames[:1] == ("self",) else "nothing"
    if path.parent.name != "asyncio":
        return "everything"
    return _ASYNCIO.get(path.stem, {}).get(name, "everything")


def _all(kind: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, kind)


_AS_COMPLETED: Final = (
    *("__init__", "__iter__", "__next__", "__aiter__", "__anext__"),
    *("_handle_completion", "_wait_for_one", "_on_completion"),
)
"""Parts of ``as_completed``: what they share goes through a queue."""

_ASYNCIO: Final[dict[str, dict[str, str]]] = {
    "tasks": {
        **_all("nothing", "sleep", "__sleep0", "create_task", "ensure_future", "_ensure_future"),
        **_all("nothing", "_GatheringFuture.__init__"),
        **_all("new", "wait_for", "gather", "shield", "as_completed"),
        **_all("self", *(f"_AsCompletedIterator.{name}" for name in _AS_COMPLETED)),
        **_all("nothing", *(f"as_completed.<locals>.{name}" for name in _AS_COMPLETED)),
        **_all("ends", "gather.<locals>._done_callback"),
        **_all("ends", "shield.<locals>._inner_done_callback"),
        **_all("ends", "shield.<locals>._outer_done_callback"),
        **_all("ends", "_wait.<locals>._on_completion"),
    },
    "base_events": {
        **_all("nothing", "BaseEventLoop.create_future", "BaseEventLoop.create_task"),
        **_all("nothing", "BaseEventLoop.call_later", "BaseEventLoop.call_at"),
        **_all("nothing", "BaseEventLoop.get_debug", "BaseEventLoop._check_closed"),
        **_all("nothing", "BaseEventLoop._timer_handle_cancelled", "BaseEventLoop.is_closed"),
    },
    "events": {
        **_all("nothing", "Handle.__init__", "Handle._run", "Handle.cancelled"),
        **_all("nothing", "TimerHandle.__init__", "TimerHandle.__lt__", "TimerHandle.__hash__"),
        **_all("nothing", "TimerHandle.when"),
        **_all("cancels", "Handle.cancel", "TimerHandle.cancel"),
    },
    "mixins": _all("nothing", "_LoopBoundMixin._get_loop"),
    "futures": _all("nothing", "_set_result_unless_cancelled", "isfuture", "_get_loop"),
    "coroutines": _all("nothing", "iscoroutine", "iscoroutinefunction"),
    "threads": _all("nothing", "to_thread"),
}
