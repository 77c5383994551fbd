"""Points by ``sys.monitoring``: local events, and none where nothing is shared."""

from __future__ import annotations

import _thread
import sys
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore import tools
from pytest_concurrency.explore.memory import EMPTY, Readers
from pytest_concurrency.explore.points import Decoder, Point
from pytest_concurrency.explore.real_locks import before_return, special
from pytest_concurrency.explore.scope import Scope
from pytest_concurrency.explore.special import Special

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage

_get_ident = _thread.get_ident
_get_frame = sys._getframe  # noqa: SLF001


@final
class Monitoring:
    """Calls the stage before each point of the code in scope."""

    def __init__(self, scope: Scope, decoder: Decoder) -> None:
        """Watch code of this scope.

        Args:
            scope: What is explored.
            decoder: Finds points.
        """
        self._scope = scope
        self._decoder = decoder
        self._points: dict[int, dict[int, Point]] = {}
        self._codes: list[CodeType] = []
        self._returning: set[CodeType] = set()
        self._readers = Readers()
        self._stage: Stage | None = None
        self._tool = -1
        self._beside: int | None = None

    def open(self) -> None:
        """Take a tool id and begin to watch."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        free = tools.free()
        if not free:
            msg = (
                "interleave: all tool ids of sys.monitoring are taken, by "
                f"{', '.join(str(monitoring.get_tool(tool)) for tool in tools.IDS)}."
                " Run without one of them."
            )
            raise UsageError(msg)
        self._tool = free[0]
        events = monitoring.events
        monitoring.use_tool_id(self._tool, tools.NAME)
        monitoring.register_callback(self._tool, events.PY_START, self._on_start)
        monitoring.register_callback(
            self._tool, events.INSTRUCTION, self._handler(monitoring.DISABLE)
        )
        monitoring.register_callback(self._tool, events.PY_RETURN, self._on_return)
        self._stand_beside(free[1] if len(free) > 1 else None)
        monitoring.restart_events()
        monitoring.set_events(self._tool, events.PY_START)

    def _stand_beside(self, tool: int | None) -> None:
        """Let a second tool watch the same functions start.

        Until a function has events of two tools, the interpreter does not keep which tool asked
        for an instruction, and forgets that we did when a debugger begins to trace.
        """
        self._beside = tool
        if tool is None:
            return
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        start, disable = monitoring.events.PY_START, monitoring.DISABLE
        monitoring.use_tool_id(tool, f"{tools.NAME} beside")
        monitoring.register_callback(tool, start, lambda _code, _offset: disable)
        monitoring.set_events(tool, start)

    def close(self) -> None:
        """Stop watching and give the tool id back."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events
        monitoring.set_events(self._tool, 0)
        for code in self._codes:
            monitoring.set_local_events(self._tool, code, 0)
        for event in (events.PY_START, events.INSTRUCTION, events.PY_RETURN):
            monitoring.register_callback(self._tool, event, None)
        monitoring.free_tool_id(self._tool)
        if self._beside is not None:
            monitoring.set_events(self._beside, 0)
            monitoring.register_callback(self._beside, events.PY_START, None)
            monitoring.free_tool_id(self._beside)
        self._codes.clear()
        self._points.clear()
        self._returning.clear()

    def files(self) -> set[str]:
        """Return the files whose code was explored."""
        return {code.co_filename for code in self._codes if self._scope.has(code)}

    def enter(self, stage: Stage) -> None:
        """Begin a play, on the thread of the body."""
        self._stage = stage

    def leave(self) -> None:
        """End a play."""
        self._stage = None

    def enter_worker(self) -> None:
        """Begin a worker, on its thread."""

    def leave_worker(self) -> None:
        """End a worker, on its thread."""

    def _on_start(self, code: CodeType, _offset: int) -> object:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        if self._scope.has(code) and id(code) not in self._points:
            self._points[id(code)] = self._decoder.points(code)
            self._codes.append(code)
            monitoring.set_local_events(self._tool, code, monitoring.events.INSTRUCTION)
        return monitoring.DISABLE

    def _special(self, stage: Stage, point: Point, touches: Special, frame: FrameType) -> None:
        if touches.opens:
            self._watch_return(touches.runs)
        special(stage, point, touches, frame)

    def _watch_return(self, code: CodeType | None) -> None:
        """Let there be a point before a function returns what its caller will keep."""
        if code is None or code in self._returning or not self._scope.has(code):
            return
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        self._on_start(code, 0)
        self._returning.add(code)
        events = monitoring.events
        monitoring.set_local_events(self._tool, code, events.INSTRUCTION | events.PY_RETURN)

    def _on_return(self, code: CodeType, offset: int, _value: object) -> None:
        stage = self._stage
        if stage is not None and stage.ident == _get_ident() and not stage.aborting:
            before_return(stage, (id(code), offset), _get_frame(1))

    def _handler(self, disable: object) -> Any:
        points, readers, get_ident, get_frame = self._points, self._readers, _get_ident, _get_frame

        def on_instruction(code: CodeType, offset: int) -> object:
            point = points[id(code)].get(offset)
            if point is None:
                return disable
            stage = self._stage
            if stage is None or stage.ident != get_ident() or stage.aborting:
                return None
            look = point.look if stage.started else point.early
            if look is None:
                return None
            frame = get_frame(1)
            opened = stage.current.open
            if opened is not None and opened[0] is frame:
                stage.current.open = opened[2]
            try:
                touched: Any = look(frame, readers[id(frame)])
            except ValueError as error:
                if str(error) != EMPTY:
                    raise
                return None
            if touched:
                if type(touched) is tuple:
                    stage.point(point, touched)
                else:
                    self._special(stage, point, touched, frame)
            return None

        return on_instruction
