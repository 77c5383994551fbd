"""What leaves the event loop, and so cannot be put in an order of our choice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar, final

from pytest_concurrency.errors import BrokenPromise
from pytest_concurrency.explore.awaits import here
from pytest_concurrency.explore.scope import code_of

_T = TypeVar("_T")

DATABASE_LOCK = (
    "A worker was paused while it held a lock of the database, and the others gave up waiting for "
    "it:\n{error}\nLocks inside a database cannot be controlled here, so this accuses nobody.\n"
    "Give each worker a session, and say the order:\n  "
    'with separate_sessions("ann", "bob") as (ann, bob): ...'
)


def is_database_lock(error: BaseException | None) -> bool:
    """Say whether an error is a database's refusal to wait any longer for its own lock."""
    return (
        type(error).__name__ == "OperationalError"
        and type(error).__module__.partition(".")[0] in {"sqlite3", "sqlalchemy"}
        and "locked" in str(error)
    )


class Uncontrolled(BrokenPromise):
    """A worker waits for something outside: a socket, a process, another thread."""

    __module__ = "pytest_concurrency"

    @classmethod
    def by(cls, what: str, explores: Callable[[CodeType], bool]) -> Uncontrolled:
        """Say what is used where, and what to do."""
        at = here(explores)
        place = "explore" if at is None else at.place
        return cls(
            f"{place}: {what} is outside the event loop.\n"
            "Its order cannot be controlled: await points are explored in coroutines alone.\n"
            "Replace it by a coroutine of the test, or use concurrent_runner."
        )


@final
class Threads:
    """The threads that were started in a play and not joined since.

    One may go on only as long as its step: else it runs at the same time as other workers, in no
    order of ours. Daemons that a library starts may have nothing to do with anybody, though.

    Attributes:
        own: Those that may not outlive a step, and what to say of them.
        late: What they want to be called on the loop: at its end, so that they can end too.
    """

    def __init__(self) -> None:
        """Know of none."""
        self.own: dict[threading.Thread, Uncontrolled] = {}
        self._others: dict[threading.Thread, Uncontrolled] = {}
        self.late: deque[Callable[[], object]] = deque()

    def begin(self, thread: threading.Thread, explores: Callable[[CodeType], bool]) -> None:
        """Take note of one that is started."""
        code = code_of(getattr(thread, "_target", None) or type(thread).run)
        is_own = code is not None and explores(code)
        what = "a thread" if is_own else f"the thread {thread.name!r}"
        kept = self._others if thread.daemon and not is_own else self.own
        kept[thread] = Uncontrolled.by(what, explores)

    def end(self, thread: threading.Thread) -> None:
        """Take note of one that has ended while somebody waited for that."""
        self.own.pop(thread, None)
        self._others.pop(thread, None)

    def waited_for(self) -> Uncontrolled | None:
        """Return what to say when nobody can go on."""
        return next(iter((self.own or self._others).values()), None)

    def of(self, thread: threading.Thread) -> Uncontrolled | None:
        """Return what to say if one of them calls the loop; nothing if it is none of them."""
        return self.own.get(thread) or self._others.get(thread)


_OUTSIDE = (
    *("create_connection", "create_server", "create_unix_connection", "create_unix_server"),
    *("create_datagram_endpoint", "connect_accepted_socket", "sendfile", "start_tls"),
    *("connect_read_pipe", "connect_write_pipe", "subprocess_exec", "subprocess_shell"),
    *("sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_recvfrom"),
    *("sock_recvfrom_into", "sock_sendall", "sock_sendfile", "sock_sendto"),
    *("add_reader", "add_writer", "remove_reader", "remove_writer"),
    *("getaddrinfo", "getnameinfo", "add_signal_handler", "remove_signal_handler"),
)


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(self: Any, *_: Any, **__: Any) -> Any:
        self.refuse(f"loop.{name}")

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse ``{name}``: what it waits for cannot be controlled."
    return refuse


def confined(kind: type[_T]) -> type[_T]:
    """Refuse, in a class of loops, what would leave them."""
    for name in _OUTSIDE:
        setattr(kind, name, _refuse(name))
    return kind
