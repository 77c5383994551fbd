"""Points by ``sys.settrace``, for Python 3.11, chained to whoever traced before."""

from __future__ import annotations

import _thread
import dis
import sys
import threading
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, final

from pytest_concurrency.explore.debuggers import Debuggers, settrace
from pytest_concurrency.explore.memory import EMPTY, Readers
from pytest_concurrency.explore.points import Decoder, Point
from pytest_concurrency.explore.real_locks import before_return, special
from pytest_concurrency.explore.scope import Scope

if TYPE_CHECKING:
    from pytest_concurrency.explore.stage import Stage

_get_ident = _thread.get_ident
_RETURN = dis.opmap["RETURN_VALUE"]


@final
class Opcodes:
    """Calls the stage before each point of the code in scope."""

    def __init__(self, scope: Scope, decoder: Decoder) -> None:
        """Watch code of this scope.

        Args:
            scope: What is explored.
            decoder: Finds points.
        """
        self._scope = scope
        self._decoder = decoder
        self._points: dict[int, dict[int, Point] | None] = {}
        self._codes: list[CodeType] = []
        self._returning: set[CodeType] = set()
        self._readers = Readers()
        self._local_of: dict[int, Any] = {}
        self._stage: Stage | None = None
        self._debuggers = Debuggers(self._of, self._shared, self._tracer)
        self._before: Any = None

    def open(self) -> None:
        """Do nothing: tracing is switched on for each play."""

    def close(self) -> None:
        """Forget the points."""
        self._points.clear()
        self._local_of.clear()
        self._codes.clear()
        self._returning.clear()

    def files(self) -> set[str]:
        """Return the files whose code was explored."""
        return {code.co_filename for code in self._codes if self._scope.has(code)}

    def enter(self, stage: Stage) -> None:
        """Begin a play, on the thread of the body."""
        self._stage = stage
        self._before = sys.gettrace()
        settrace(self._tracer(self._before))
        self._debuggers.enter()

    def leave(self) -> None:
        """End a play, unless none has begun, or this one is over."""
        if self._stage is None:
            return
        self._debuggers.leave()
        settrace(self._before)
        self._before = self._stage = None

    def enter_worker(self) -> None:
        """Begin a worker, on its thread."""
        settrace(self._tracer(threading.gettrace()))

    def leave_worker(self) -> None:
        """End a worker, on its thread."""
        settrace(None)

    def _of(self, code: CodeType) -> dict[int, Point] | None:
        known = self._points.get(id(code), self)
        if known is self:
            known = self._decoder.points(code) if self._scope.has(code) else None
            self._points[id(code)] = known
            self._codes.append(code)
        return known  # type: ignore[return-value]

    def _tracer(self, before: Any) -> Any:
        if before is None:
            return self._plain()
        return self._chained(before)

    def _plain(self) -> Any:
        known, find = self._local_of, self._find

        def on_call(frame: FrameType, _event: str, _argument: Any) -> Any:
            code = frame.f_code
            local = known.get(id(code), known)
            if local is known:
                local = find(code)
            if local is not None:
                frame.f_trace_opcodes = True
                frame.f_trace_lines = False
            return local

        return on_call

    def _find(self, code: CodeType) -> Any:
        points = self._of(code)
        local = self._local_of[id(code)] = None if points is None else self._local(points)
        return local

    def _chained(self, before: Any) -> Any:
        """Trace for another tracer too, which may install itself anew when it is called."""
        find, local = self._of, self._shared

        def on_call(frame: FrameType, event: str, argument: Any) -> Any:
            theirs = before(frame, event, argument)
            settrace(on_call)
            points = find(frame.f_code)
            if points is None:
                return theirs
            frame.f_trace_opcodes = True
            return local(points, theirs)

        return on_call

    def _local(self, points: dict[int, Point]) -> Any:
        visit, at = self._visit, points.get

        def on_event(frame: FrameType, event: str, _argument: Any) -> Any:
            point = at(frame.f_lasti)
            if point is not None and event == "opcode":
                visit(frame, point)
            return on_event

        return on_event

    def _watch_return(self, code: CodeType | None) -> None:
        """Let there be a point before a function returns what its caller will keep."""
        points = self._of(code) if code is not None else None
        if code is None or points is None or code in self._returning:
            return
        self._returning.add(code)
        visit, at, leave = self._visit, points.get, self._leave

        def on_event(frame: FrameType, event: str, _argument: Any) -> Any:
            point = at(frame.f_lasti)
            if point is not None and event == "opcode":
                visit(frame, point)
            elif event == "return":
                leave(frame)
            return on_event

        self._local_of[id(code)] = on_event

    def _leave(self, frame: FrameType) -> None:
        """Come to the end of a frame: before its return, unless an error ends it."""
        stage, code = self._stage, frame.f_code
        if stage is None or stage.ident != _get_ident() or stage.aborting:
            return
        if code in self._returning and code.co_code[frame.f_lasti] == _RETURN:
            before_return(stage, (id(code), frame.f_lasti), frame)

    def _shared(self, points: dict[int, Point], theirs: Any) -> Any:
        visit, leave = self._visit, self._leave

        def on_event(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal theirs
            if event != "opcode":
                if theirs is not None:
                    theirs = theirs(frame, event, argument)
                    self._debuggers.mend(frame)
                if event == "return":
                    leave(frame)
                return on_event
            point = points.get(frame.f_lasti)
            if point is not None:
                visit(frame, point)
            return on_event

        return on_event

    def _visit(self, frame: FrameType, point: Point) -> None:
        """Come to a point."""
        stage = self._stage
        if stage is None or stage.ident != _get_ident() or stage.aborting:
            return
        look = point.look if stage.started else point.early
        if look is None:
            return
        opened = stage.current.open
        if opened is not None and opened[0] is frame:
            stage.current.open = opened[2]
        try:
            touched: Any = look(frame, self._readers[id(frame)])
        except ValueError as error:
            if str(error) != EMPTY:
                raise
            return
        if touched:
            if type(touched) is tuple:
                stage.point(point, touched)
            else:
                if touched.opens:
                    self._watch_return(touched.runs)
                special(stage, point, touched, frame)
