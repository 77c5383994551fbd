"""What can be asked of an exploration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

from pytest_concurrency.errors import UsageError
from pytest_concurrency.explore.exploration import Exploration
from pytest_concurrency.explore.schedule import parse
from pytest_concurrency.explore.scope import check_packages
from pytest_concurrency.surroundings import SURROUNDINGS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How far to explore, and what to try first.

    Args:
        preemptions: Explore every schedule with at most this many preemptions before sampling
        others.
        schedules: Stop after this many schedules.
        seconds: Stop after this many seconds.
        packages: Names of installed packages to explore besides the project's own files.
        seed: Seed of the schedules that are sampled past the bound.
        replay: A token: run just this schedule.
        saved: A token that failed before: it is tried first.
        command: How to replay, with ``{token}`` where the token goes.
        hang: Seconds without progress after which a schedule counts as hung.
        begin: Called when an exploration begins.
        record: Called with the token of a schedule that fails, before it is raised.
        observe: Called with what was explored, when nothing failed.
    """

    preemptions: int = 2
    schedules: int = 5_000
    seconds: float = 10.0
    packages: Sequence[str] = ()
    seed: int = 0
    replay: str | None = None
    saved: str | None = None
    command: str = "interleave(replay={token!r})"
    hang: float = 10.0
    begin: Callable[[], object] | None = None
    record: Callable[[str], object] | None = None
    observe: Callable[[Exploration], object] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        _at_least("preemptions", self.preemptions, 0)
        _at_least("schedules", self.schedules, 1)
        _positive("seconds", self.seconds)
        _positive("hang", self.hang)
        _integer("seed", self.seed)
        _packages(self.packages)
        _token(self.replay)


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        msg = (
            f"interleave: {name}={value!r} is not a whole number of at least {least}."
            f" Write {name}={max(least, 2)}."
        )
        raise UsageError(msg)


def _positive(name: str, value: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        msg = f"interleave: {name}={value!r} is not a number of seconds above 0. Write {name}=10."
        raise UsageError(msg)


def _integer(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"interleave: {name}={value!r} is not a whole number. Write {name}=1."
        raise UsageError(msg)


def _packages(packages: object) -> None:
    if isinstance(packages, str):
        msg = f"interleave: packages={packages!r} is one text. Write packages=[{packages!r}]."
        raise UsageError(msg)
    if not isinstance(packages, Iterable) or not all(isinstance(name, str) for name in packages):
        msg = (
            f"interleave: packages={packages!r} is not a list of import names."
            " Write packages=['thelib']."
        )
        raise UsageError(msg)
    if packages:
        check_packages(packages, where=f"interleave: packages={[*packages]!r}")


def _token(replay: object) -> None:
    if replay is None:
        return
    if not isinstance(replay, str):
        msg = (
            f"interleave: replay={replay!r} is not a token."
            " Write one as a failure shows it: replay='T0x5 T1x*'."
        )
        raise UsageError(msg)
    parse(replay, where=f"interleave: replay={replay!r}")


def current_settings() -> Settings:
    """Return the settings in force here, or the defaults."""
    return SURROUNDINGS.settings_for("explore") or Settings()
