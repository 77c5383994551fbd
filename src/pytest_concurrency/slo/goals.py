"""What a marker or a call asks to be held: objectives, and SLOs by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import Final

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.evidence import Source, evidence_of
from pytest_concurrency.slo.grammar import is_figure, parse_objective
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.named import NamedSlo, find_slo
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.verdicts import Errors, Verdict

__tracebackhide__ = is_on_purpose

_BETWEEN: Final = re.compile(r"[,;\n](?![^{]*\})")
_SIGNS: Final = frozenset("<>=\u2264\u2265")
_NOT_OF_CALLS: Final = frozenset({"memory", "pool", "checks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """An objective, and the SLO and tier that it came from, if it has one.

    Attributes:
        objective: What must hold.
        slo: The name of its SLO.
        tier: Its tier.
    """

    objective: Objective
    slo: str = ""
    tier: str = ""

    @property
    def is_decided_by_calls(self) -> bool:
        """Whether more calls decide it; memory and the like are known when a test has ended."""
        return self.objective.metric not in _NOT_OF_CALLS and not self.objective.series


def read_goals(
    texts: Iterable[str | Objective],
    slos: Mapping[str, NamedSlo] | None = None,
    *,
    tier: str = "",
    run_tier: str = "",
    where: str = "",
) -> list[Goal]:
    """Read objectives and names of SLOs, in any mixture.

    >>> [str(goal.objective) for goal in read_goals(["p95 < 50ms", "errors < 1%"])]
    ['p95 < 50ms', 'errors < 1%']

    Args:
        texts: The arguments of a marker or a call.
        slos: The SLOs that are written down.
        tier: The tier that the marker or the call asks for; every SLO named must have it.
        run_tier: The tier of the whole run; SLOs without it keep their default one.
        where: What to name at the start of an error.

    Raises:
        UsageError: A text is neither an objective nor the name of an SLO.
    """
    slos = slos or {}
    goals = []
    for text in texts:
        if isinstance(text, Objective):
            goals.append(Goal(objective=text))
            continue
        if not _is_name(text, slos):
            goals.append(Goal(objective=parse_objective(text, where=where)))
            continue
        slo = find_slo(slos, text, where=where)
        chosen = slo.tier(tier or (run_tier if run_tier in slo.tiers else ""))
        goals += [Goal(objective=o, slo=text, tier=chosen) for o in slo.objectives_of(chosen)]
    return goals


def split_texts(line: str) -> list[str]:
    """Return the objectives and names in one line of an option, whose tags may hold commas.

    >>> split_texts("p95{a=b, c=d} < 2s, errors < 1%; api")
    ['p95{a=b, c=d} < 2s', 'errors < 1%', 'api']
    """
    return [part.strip() for part in _BETWEEN.split(line) if part.strip()]


def check_run_tier(slos: Mapping[str, NamedSlo], tier: str, *, where: str = "--slo-tier") -> None:
    """Refuse a tier of the whole run that no SLO has.

    Raises:
        UsageError: No SLO has it; the text names the nearest.
    """
    known = {name for slo in slos.values() for name in slo.tiers}
    if tier and tier not in known:
        meant = nearest(tier, known)
        advice = f"Write {where}={quote(meant)}." if meant else f"There is: {_listed(known)}."
        msg = f"{where}={tier}: no SLO has that tier. {advice}"
        raise UsageError(msg)


def judge_goals(
    source: Source, goals: Sequence[Goal], *, errors: Errors | None = None, by_wall: bool = False
) -> list[Verdict]:
    """Return a verdict for each goal; what ``until_decided`` has decided stays decided."""
    decided: Mapping[Objective, Verdict] = getattr(source, "decided", {})
    evidence = evidence_of(source)
    verdicts = []
    for goal in goals:
        verdict = decided.get(goal.objective)
        if verdict is None:
            verdict = judge(evidence, goal.objective, errors=errors, by_wall=by_wall)
        verdicts.append(replace(verdict, slo=goal.slo, tier=goal.tier))
    return verdicts


def _is_name(text: object, slos: Mapping[str, NamedSlo]) -> bool:
    """Tell the name of an SLO, misspelt perhaps, from an objective without a comparison."""
    if not isinstance(text, str) or _SIGNS & set(text):
        return False
    if text in slos or nearest(text, slos):
        return True
    return text.isidentifier() and not is_figure(text)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
