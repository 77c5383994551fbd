"""Asserting objectives: the one call that tests make."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pytest_concurrency.errors import BrokenPromise, UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.evidence import Source
from pytest_concurrency.slo.goals import Goal, judge_goals, read_goals
from pytest_concurrency.slo.named import NamedSlo
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.verdicts import ERROR, Errors, State, Verdict
from pytest_concurrency.slo.wording import missed_text, undecided_text
from pytest_concurrency.surroundings import SURROUNDINGS

__tracebackhide__ = is_on_purpose

WhenUndecided = Literal["fail", "warn", "pass"]

_CHOICES: Final = ("fail", "warn", "pass")
_COIN: Final = 0.5
ABOUT_ERRORS: Final = ("errors", "success", "availability")


class MissedObjective(BrokenPromise):
    """An objective was missed; ``verdicts`` holds every one that was judged with it."""

    __module__ = "pytest_concurrency"

    def __init__(self, text: str, verdicts: Sequence[Verdict] = ()) -> None:
        """Keep the verdicts beside the text."""
        super().__init__(text)
        self.verdicts: tuple[Verdict, ...] = tuple(verdicts)


class UndecidedObjective(BrokenPromise):
    """The evidence does not suffice, and undecided was to fail."""

    __module__ = "pytest_concurrency"

    def __init__(self, text: str, verdicts: Sequence[Verdict] = ()) -> None:
        """Keep the verdicts beside the text."""
        super().__init__(text)
        self.verdicts: tuple[Verdict, ...] = tuple(verdicts)


class MissedWarning(UserWarning):
    """An objective was missed, and that was only to be said."""

    __module__ = "pytest_concurrency"


class UndecidedWarning(UserWarning):
    """The evidence does not suffice for an objective. Collect more, or ask for less."""

    __module__ = "pytest_concurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How verdicts are reached and what follows from them.

    Attributes:
        undecided: What an undecided objective does.
        missed: What a missed one does.
        error: How often a verdict of met, and one of missed, may be wrong.
        by_wall: Judge latency by the wall clock, waits for a processor included.
        again: The command that runs the test alone, for the text.
        is_quick: Answer fast rather than surely, for a development loop.
        reference_ns: How long the canary takes on this machine at its best, if it is known.
        observe: Called with every verdict before anything is raised.
        tell: Called with the row of every comparison, growth and leak before anything is raised.
        collect: What ``until_decided`` does instead with a timer, such as racing a rival.
        on_canary: Called with the fastest run of the canary, to be the next reference.
        slos: The SLOs that objectives may name, such as those of :func:`load_slos`.
        tier: The tier of those to enforce, where one has it; else its default.
        warn: Called with every warning, instead of giving it for the line that asked.
        on_goals: Called with what is held against objectives, and with those, before verdicts.
    """

    undecided: WhenUndecided = "warn"
    missed: WhenUndecided = "fail"
    error: float = ERROR
    by_wall: bool = False
    again: str = ""
    is_quick: bool = False
    reference_ns: int | None = None
    observe: Callable[[Verdict], None] | None = field(default=None, compare=False)
    tell: Callable[[tuple[str, ...]], None] | None = field(default=None, compare=False)
    collect: Callable[[Any], Iterator[int]] | None = field(default=None, compare=False)
    on_canary: Callable[[int], None] | None = field(default=None, compare=False)
    slos: Mapping[str, NamedSlo] = field(default_factory=dict, compare=False)
    tier: str = ""
    warn: Callable[[Warning], None] | None = field(default=None, compare=False)
    on_goals: Callable[[Source, Sequence[Goal]], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        if self.undecided not in _CHOICES:
            meant = nearest(str(self.undecided), _CHOICES) or "warn"
            msg = (
                f"undecided={self.undecided!r} is not a choice. "
                f"It is fail, warn or pass. Write undecided={meant!r}."
            )
            raise UsageError(msg)
        if not 0 < self.error < _COIN:
            msg = f"error={self.error!r} is not a chance of being wrong. Write error=0.05."
            raise UsageError(msg)

    def goals(self, texts: Sequence[str | Objective], *, tier: str = "") -> list[Goal]:
        """Read objectives and names of SLOs, in any mixture.

        Raises:
            UsageError: A text is neither, or an SLO has no such tier.
        """
        goals = read_goals(texts, self.slos, tier=tier, run_tier=self.tier)
        if tier and not any(goal.slo for goal in goals):
            msg = f"tier={tier!r}: only named SLOs have tiers. Name one, or leave tier= out."
            raise UsageError(msg)
        return goals


def assert_slo(
    source: Source,
    *objectives: str | Objective,
    tier: str = "",
    undecided: WhenUndecided | None = None,
    policy: Policy | None = None,
) -> list[Verdict]:
    """Assert that every objective is met by what was measured.

    >>> [verdict.state for verdict in assert_slo([0.010] * 100, "p95 < 50ms", "errors < 5%")]
    ['met', 'met']

    Args:
        source: An outcome, a ``perf_timer``, a pool, samples, or durations in seconds.
        objectives: What must hold, such as ``"p95 < 50ms"``, or the names of SLOs.
        tier: The tier of the SLOs named; the run's, or else each one's default, if left out.
        undecided: What to do when the evidence does not suffice; the policy's if left out.
        policy: All settings at once; those of the test session if left out.

    Returns:
        A verdict for each objective.

    Raises:
        MissedObjective: At least one is missed.
        UndecidedObjective: At least one is undecided, and that was to fail.
        UsageError: An objective cannot be read, or nothing was measured for it.
    """
    __tracebackhide__ = True
    policy = policy or current_policy()
    if undecided is not None:
        policy = replace(policy, undecided=undecided)
    if policy.collect is not None and hasattr(source, "until_decided"):
        return []  # its calls took turns with another revision, and are judged by that alone
    if not objectives:
        msg = "assert_slo: there is no objective. Write assert_slo(outcome, 'p95 < 50ms')."
        raise UsageError(msg)
    goals = policy.goals(objectives, tier=tier)
    if any(goal.objective.metric in ABOUT_ERRORS for goal in goals):
        getattr(source, "errors", None)  # an outcome wants its errors to be looked at
    return assert_goals(source, goals, policy)


def assert_goals(source: Source, goals: Sequence[Goal], policy: Policy) -> list[Verdict]:
    """Assert that every goal is met, as :func:`assert_slo` does for what is written.

    Raises:
        MissedObjective: At least one is missed.
        UndecidedObjective: At least one is undecided, and that was to fail.
    """
    __tracebackhide__ = True
    errors = Errors(met=policy.error, missed=policy.error)
    verdicts = judge_goals(source, goals, errors=errors, by_wall=policy.by_wall)
    if policy.on_goals is not None:
        policy.on_goals(source, goals)
    enforce(verdicts, policy)
    return verdicts


def current_policy() -> Policy:
    """Return the policy in force here, or the default one."""
    return SURROUNDINGS.settings_for("slo") or Policy()


def enforce(verdicts: Sequence[Verdict], policy: Policy) -> None:
    """Raise or warn as the verdicts and the policy ask for.

    Raises:
        MissedObjective: At least one is missed.
        UndecidedObjective: At least one is undecided, and that was to fail.
    """
    __tracebackhide__ = True
    if policy.observe is not None:
        for verdict in verdicts:
            policy.observe(verdict)
    missed = [verdict for verdict in verdicts if verdict.state == "missed"]
    undecided = [verdict for verdict in verdicts if verdict.state == "undecided"]
    if missed:
        texts = [missed_text(verdict) for verdict in missed]
        if policy.again:
            texts.append(f"Run it alone: {policy.again}")
        text = "\n".join(texts)
        if policy.missed == "fail":
            raise MissedObjective(text, verdicts)
        if policy.missed == "warn":
            _warn(MissedWarning(text), policy)
    if undecided and policy.undecided == "fail":
        text = "\n".join(undecided_text(verdict) for verdict in undecided)
        raise UndecidedObjective(text, verdicts)
    if policy.undecided == "warn":
        for verdict in undecided:
            _warn(UndecidedWarning(undecided_text(verdict)), policy)


def conclude(state: State, text: str, policy: Policy, *, row: tuple[str, ...]) -> None:
    """Raise or warn for a verdict that is not about an objective, such as a comparison.

    Raises:
        MissedObjective: It is missed, and that was to fail.
        UndecidedObjective: It is undecided, and that was to fail.
    """
    __tracebackhide__ = True
    if policy.tell is not None:
        policy.tell(row)
    if state == "missed" and policy.missed == "fail":
        raise MissedObjective(text)
    if state == "missed" and policy.missed == "warn":
        _warn(MissedWarning(text), policy)
    if state == "undecided" and policy.undecided == "fail":
        raise UndecidedObjective(text)
    if state == "undecided" and policy.undecided == "warn":
        _warn(UndecidedWarning(text), policy)


def _warn(warning: UserWarning, policy: Policy) -> None:
    """Warn at the first line up the stack that is not of this package."""
    if policy.warn is not None:
        policy.warn(warning)
        return
    package, level, frame = __name__.partition(".")[0], 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(f"{package}."):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)
