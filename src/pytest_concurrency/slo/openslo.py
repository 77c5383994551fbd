"""SLOs written as OpenSLO documents, version 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, TypeGuard

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.named import NamedSlo
from pytest_concurrency.slo.objectives import Objective

__tracebackhide__ = is_on_purpose

_SIGNS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_VERSION: Final = "openslo/v1"


def slos_of_openslo(documents: Iterable[Any], *, where: str) -> dict[str, NamedSlo]:
    """Return the SLOs among OpenSLO documents of version 1; other kinds are passed over.

    A ratio with a target is an objective on ``success``; a threshold with a target is a quantile
    with the threshold, in seconds, as its limit. An objective's display name becomes its tier.

    Raises:
        UsageError: An SLO of these documents cannot be expressed as objectives.
    """
    slos: dict[str, NamedSlo] = {}
    for document in documents:
        if not isinstance(document, Mapping) or document.get("kind") != "SLO":
            continue
        name = _name(document, where)
        here = f"{where}: SLO {name!r}"
        if name in slos:
            _refuse(here, "it is written twice", "Give one of them another metadata.name")
        version = document.get("apiVersion")
        if version != _VERSION:
            _refuse(here, f"apiVersion {version!r} is not read", f"Write {_VERSION}")
        slos[name] = _of_spec(name, document.get("spec"), here)
    return slos


def _name(document: Mapping[str, Any], where: str) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name:
        _refuse(where, "an SLO has no name", "Write metadata: {name: api}")
    return name


def _of_spec(name: str, spec: object, where: str) -> NamedSlo:
    if not isinstance(spec, Mapping):
        _refuse(
            where, f"spec {spec!r} is not a table", "Write spec: {objectives: [{target: 0.99}]}"
        )
    everywhere: list[Objective] = []
    tiers: dict[str, tuple[Objective, ...]] = {}
    for each in _tables(spec, "objectives", "{target: 0.99}", where):
        objective = parse_objective(_objective_text(each, where), where=where)
        tier = str(each.get("displayName", ""))
        if tier:
            tiers[tier] = (*tiers.get(tier, ()), objective)
        else:
            everywhere.append(objective)
    if not everywhere and not tiers:
        _refuse(where, "it has no objective", "Write objectives: [{target: 0.99}]")
    windows = _tables(spec, "timeWindow", "{duration: 30d}", where)
    return NamedSlo(
        name=name,
        objectives=tuple(everywhere),
        tiers=tiers,
        default_tier=next(iter(tiers), ""),
        description=str(spec.get("description", "")),
        window=str(windows[0].get("duration", "30d")) if windows else "30d",
        service=str(spec.get("service", "")),
        written_in=where,
    )


def _tables(spec: Mapping[str, Any], key: str, example: str, where: str) -> list[Mapping[str, Any]]:
    """Return the tables of a list, none if it is left out."""
    found = spec.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        _refuse(where, f"{key} {found!r} is not a list of tables", f"Write {key}: [{example}]")
    return found


def _objective_text(objective: Mapping[str, Any], where: str) -> str:
    target = _target(objective, where)
    if "value" not in objective:
        return f"success >= {target * 100:.10g}%"
    op, value = objective.get("op", "lte"), objective["value"]
    if not isinstance(op, str) or op not in _SIGNS:
        meant = nearest(str(op), _SIGNS) or "lte"
        _refuse(where, f"op {op!r} is not a comparison", f"Write op: {meant}")
    sign = _SIGNS[op]
    if sign.startswith(">"):
        _refuse(where, f"op {op!r} is not a latency's", "Write op: lte")
    if not _is_number(value) or value <= 0:
        _refuse(where, f"value {value!r} is not a time in seconds", "Write value: 0.5")
    return f"p{target * 100:.10g} {sign} {value}s"


def _target(objective: Mapping[str, Any], where: str) -> float:
    target, percent = objective.get("target"), objective.get("targetPercent")
    if target is None and percent is not None:
        if not _is_number(percent) or not 0 < percent < 100:  # noqa: PLR2004 - percent
            wrong = f"targetPercent {percent!r} is not between 0 and 100"
            _refuse(where, wrong, "Write targetPercent: 99")
        return float(percent) / 100
    if not _is_number(target) or not 0 < target < 1:
        _refuse(where, f"target {target!r} is not between 0 and 1", "Write target: 0.99")
    return float(target)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(where: str, wrong: str, advice: str) -> NoReturn:
    msg = f"{where}: {wrong}. {advice}."
    raise UsageError(msg)
