"""What the fixture ``separate_sessions`` gives: a function, not yet sessions."""

from __future__ import annotations

from typing import Any, NoReturn, final

from pytest_concurrency.errors import UsageError


@final
class Opener:
    """Opens sessions on the engine of a test."""

    def __init__(self, engine: Any, watch: Any) -> None:
        """Open on an engine.

        Args:
            engine: The test's engine.
            watch: The watch of that engine.
        """
        self._usual = {"engine": engine, "watch": watch}

    def __call__(self, *names: str | int, **options: Any) -> Any:
        """Return sessions of these names, or so many, to be opened by ``with``."""
        __tracebackhide__ = True
        from pytest_concurrency.db.sessions import separate_sessions

        return separate_sessions(*names, **{**self._usual, **options})

    def __repr__(self) -> str:
        """Name the fixture and where its sessions are."""
        return f"<separate_sessions on {self._usual['engine'].url.get_backend_name()}>"

    def __getitem__(self, key: object) -> NoReturn:
        """Refuse to be taken for open sessions."""
        __tracebackhide__ = True
        msg = (
            f"separate_sessions[{key!r}]: the fixture is a function that opens sessions. Write "
            "`with separate_sessions(2) as sessions:`, and sessions[0] or sessions.own() within."
        )
        raise UsageError(msg)

    def __iter__(self) -> NoReturn:
        """Refuse to be taken for open sessions."""
        __tracebackhide__ = True
        self._refuse("ann, bob = separate_sessions")

    def __enter__(self) -> NoReturn:
        """Refuse to be taken for open sessions."""
        __tracebackhide__ = True
        self._refuse("with separate_sessions")

    def __exit__(self, *raised: object) -> None:
        """Do nothing: it was not entered."""

    def _refuse(self, written: str) -> NoReturn:
        __tracebackhide__ = True
        msg = (
            f"`{written}`: the fixture is a function that opens sessions. Write "
            "`with separate_sessions('ann', 'bob') as (ann, bob):`."
        )
        raise UsageError(msg)
