"""Named SLOs and their tiers, as a project writes them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.evidence import Source, evidence_of
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.judging import judge
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.verdicts import Errors, State, Verdict

__tracebackhide__ = is_on_purpose

_KEYS: Final = ("objectives", "tiers", "default_tier", "description", "alert", "window", "service")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSlo:
    """Objectives under a name, some in every tier, some in one.

    Attributes:
        name: What markers and options call it.
        objectives: What holds in every tier.
        tiers: What holds in each tier besides, in the order written.
        default_tier: The tier that is enforced if no other is asked for.
        description: What it promises, in a sentence.
        alert: What its Prometheus alert is called.
        window: The window of its error budget, such as ``30d``.
        service: Which service it speaks of.
        written_in: The file and table it was read from.
    """

    name: str
    objectives: tuple[Objective, ...] = ()
    tiers: Mapping[str, tuple[Objective, ...]] = field(default_factory=dict)
    default_tier: str = ""
    description: str = ""
    alert: str = ""
    window: str = "30d"
    service: str = ""
    written_in: str = ""

    def tier(self, asked: str = "") -> str:
        """Return the tier to enforce: the one asked for, else the default one.

        Raises:
            UsageError: There is no such tier.
        """
        if asked and asked not in self.tiers:
            known = ", ".join(self.tiers) or "none"
            meant = nearest(asked, self.tiers)
            advice = f"Write {meant!r}" if meant else "Leave the tier out"
            msg = f"SLO {self.name!r} has no tier {asked!r}. It has: {known}. {advice}."
            raise UsageError(msg)
        return asked or self.default_tier

    def objectives_of(self, tier: str = "") -> tuple[Objective, ...]:
        """Return what holds in a tier, what holds in every tier included."""
        return (*self.objectives, *self.tiers.get(self.tier(tier), ()))

    def judge(
        self, source: Source, *, tier: str = "", errors: Errors | None = None, by_wall: bool = False
    ) -> list[Verdict]:
        """Hold evidence against every objective of a tier; the verdicts carry name and tier."""
        chosen = self.tier(tier)
        decided: Mapping[Objective, Verdict] = getattr(source, "decided", {})
        evidence = evidence_of(source)
        return [
            replace(
                decided[each]
                if each in decided
                else judge(evidence, each, errors=errors, by_wall=by_wall),
                slo=self.name,
                tier=chosen,
            )
            for each in self.objectives_of(chosen)
        ]

    def held(self, source: Source, *, errors: Errors | None = None) -> dict[str, State]:
        """Return for every tier whether it held: met, missed or undecided as a whole.

        A tier that speaks of what was not measured is undecided.
        """
        return {tier: self._held(source, tier, errors) for tier in self.tiers}

    def _held(self, source: Source, tier: str, errors: Errors | None) -> State:
        try:
            return overall([each.state for each in self.judge(source, tier=tier, errors=errors)])
        except UsageError:
            return "undecided"


def overall(states: Sequence[State]) -> State:
    """Return missed if one is missed, else undecided if one is undecided, else met."""
    if "missed" in states:
        return "missed"
    return "undecided" if "undecided" in states else "met"


def held_text(held: Mapping[str, State]) -> str:
    """Return in a few words which tiers held.

    >>> held_text({"normal": "missed", "under load": "met", "critical": "met"})
    'tiers held: under load, critical; missed: normal'
    """
    parts = []
    for state, word in (("met", "held"), ("missed", "missed"), ("undecided", "undecided")):
        names = ", ".join(tier for tier, has in held.items() if has == state)
        if names or state == "met":
            parts.append(f"{word}: {names or 'none'}")
    return "tiers " + "; ".join(parts)


def find_slo(slos: Mapping[str, NamedSlo], name: str, *, where: str = "") -> NamedSlo:
    """Return the SLO of a name.

    Raises:
        UsageError: There is none; the text names the nearest.
    """
    if name in slos:
        return slos[name]
    prefix = f"{where}: " if where else ""
    meant = nearest(name, slos)
    if meant:
        msg = f"{prefix}there is no SLO {name!r}. Write {meant!r}."
    elif slos:
        msg = f"{prefix}there is no SLO {name!r}. Write one of {', '.join(sorted(slos))}."
    else:
        msg = (
            f"{prefix}there is no SLO {name!r}, and none is written down. "
            f"Write [tool.pytest_concurrency.slo.{name}] into pyproject.toml."
        )
    raise UsageError(msg)


def read_slo(name: str, table: object, *, where: str) -> NamedSlo:
    """Read one SLO from its table.

    Args:
        name: Its name.
        table: What TOML has under that name.
        where: The file and table, for errors.

    Raises:
        UsageError: The table has something that an SLO has not.
    """
    if not isinstance(table, Mapping):
        msg = f"{where}: it is not a table. Write objectives = ['p95 < 500ms'] into it."
        raise UsageError(msg)
    for key in table:
        if key not in _KEYS:
            meant = nearest(str(key), _KEYS) or "objectives"
            msg = f"{where}: {key!r} is not a key of an SLO. Write {meant!r}."
            raise UsageError(msg)
    read = _tiers(table, where)
    objectives = _objectives(table.get("objectives", []), f"{where}.objectives")
    if not objectives and not any(read.values()):
        msg = f"{where}: it has no objective. Write objectives = ['p95 < 500ms'] into it."
        raise UsageError(msg)
    default_tier = _text(table, "default_tier", where) or next(iter(read), "")
    if default_tier and default_tier not in read:
        advice = _written(default_tier, read)
        msg = f"{where}.default_tier: there is no tier {default_tier!r}. {advice}"
        raise UsageError(msg)
    return NamedSlo(
        name=name,
        objectives=objectives,
        tiers=read,
        default_tier=default_tier,
        description=_text(table, "description", where),
        alert=_text(table, "alert", where),
        window=_text(table, "window", where) or "30d",
        service=_text(table, "service", where),
        written_in=where,
    )


def _written(tier: str, tiers: Mapping[str, object]) -> str:
    if not tiers:
        return f"Write tiers.{tier} = ['p95 < 300ms']."
    return f"Write default_tier = {nearest(tier, tiers) or next(iter(tiers))!r}."


def _tiers(table: Mapping[str, Any], where: str) -> dict[str, tuple[Objective, ...]]:
    tiers = table.get("tiers", {})
    if not isinstance(tiers, Mapping):
        msg = f"{where}: tiers is not a table. Write tiers.strict = ['p95 < 300ms']."
        raise UsageError(msg)
    return {str(tier): _objectives(each, f"{where}.tiers.{tier}") for tier, each in tiers.items()}


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        msg = f"{where}.{key}: {value!r} is not text. Write {key} = '...'."
        raise UsageError(msg)
    return value


def _objectives(texts: object, where: str) -> tuple[Objective, ...]:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        msg = f"{where}: {texts!r} is not a list. Write ['p95 < 500ms']."
        raise UsageError(msg)
    return tuple(parse_objective(each, where=where) for each in texts)
