"""Where SLOs are written down: pyproject.toml, a TOML file, an OpenSLO file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pytest_concurrency.errors import MissingExtra, UsageError, is_on_purpose
from pytest_concurrency.slo.grammar import parse_objective
from pytest_concurrency.slo.named import NamedSlo, read_slo
from pytest_concurrency.slo.objectives import Objective

__tracebackhide__ = is_on_purpose

_SIGNS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def load_slos(path: Path) -> dict[str, NamedSlo]:
    """Read every SLO of a file; its ending says which format it has.

    ``pyproject.toml`` has them under ``[tool.pytest_concurrency.slo.NAME]``, another TOML file
    under ``[slo.NAME]``, and a YAML file is read as OpenSLO.

    Raises:
        UsageError: The file cannot be read, or what it says is not an SLO.
        MissingExtra: It is YAML, and the extra that reads it is not installed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path}: it cannot be read: {error.strerror}. Write the path of a TOML or YAML file."
        raise UsageError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: it is not UTF-8 text: {error.reason}. Save it in that encoding."
        raise UsageError(msg) from error
    if path.suffix in (".yaml", ".yml"):
        return slos_of_openslo(_yaml_documents(path, text), where=str(path))
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: it is not TOML: {error}. Correct it there."
        raise UsageError(msg) from error
    if path.name == "pyproject.toml":
        tables = content.get("tool", {}).get("pytest_concurrency", {}).get("slo", {})
        prefix = "tool.pytest_concurrency.slo"
    else:
        tables, prefix = content.get("slo", {}), "slo"
    if not isinstance(tables, Mapping):
        msg = f"{path}: {prefix} is not a table. Write [{prefix}.api] with objectives in it."
        raise UsageError(msg)
    return {
        name: read_slo(name, table, where=f"{path}: {prefix}.{name}")
        for name, table in tables.items()
    }


def _yaml_documents(path: Path, text: str) -> list[Any]:
    try:
        from importlib import import_module

        yaml = import_module("yaml")
    except ImportError as error:
        what = f"{path.name} is YAML; reading OpenSLO"
        raise MissingExtra(what, "openslo") from error
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        msg = f"{path}: it is not YAML: {error}."
        raise UsageError(msg) from error


def slos_of_openslo(documents: Iterable[Any], *, where: str) -> dict[str, NamedSlo]:
    """Return the SLOs among OpenSLO documents of version 1; other kinds are passed over.

    A ratio with a target is an objective on ``success``; a threshold with a target is a quantile
    with the threshold, in seconds, as its limit. An objective's display name becomes its tier.

    Raises:
        UsageError: An SLO of these documents cannot be expressed as objectives.
    """
    slos = {}
    for document in documents:
        if not isinstance(document, Mapping) or document.get("kind") != "SLO":
            continue
        metadata, spec = document.get("metadata", {}), document.get("spec", {})
        name = str(metadata.get("name", ""))
        here = f"{where}: SLO {name!r}"
        if document.get("apiVersion") != "openslo/v1":
            msg = (
                f"{here}: apiVersion {document.get('apiVersion')!r} is not read. Write openslo/v1."
            )
            raise UsageError(msg)
        slos[name] = _of_spec(name, spec, here)
    return slos


def _of_spec(name: str, spec: Mapping[str, Any], where: str) -> NamedSlo:
    everywhere: list[Objective] = []
    tiers: dict[str, tuple[Objective, ...]] = {}
    for each in spec.get("objectives", []):
        objective = parse_objective(_objective_text(each, where), where=where)
        tier = str(each.get("displayName", ""))
        if tier:
            tiers[tier] = (*tiers.get(tier, ()), objective)
        else:
            everywhere.append(objective)
    if not everywhere and not tiers:
        msg = f"{where}: it has no objective. Write objectives: [{{target: 0.99}}]."
        raise UsageError(msg)
    window: Mapping[str, Any] = next(iter(spec.get("timeWindow", [])), {})
    return NamedSlo(
        name=name,
        objectives=tuple(everywhere),
        tiers=tiers,
        default_tier=next(iter(tiers), ""),
        description=str(spec.get("description", "")),
        window=str(window.get("duration", "30d")),
        service=str(spec.get("service", "")),
        written_in=where,
    )


def _objective_text(objective: Mapping[str, Any], where: str) -> str:
    target = objective.get("target")
    if target is None and objective.get("targetPercent") is not None:
        target = float(objective["targetPercent"]) / 100
    if not isinstance(target, int | float) or not 0 < target < 1:
        msg = f"{where}: target {target!r} is not between 0 and 1. Write target: 0.99."
        raise UsageError(msg)
    if "value" not in objective:
        return f"success >= {target * 100:.10g}%"
    sign = _SIGNS.get(str(objective.get("op", "lte")), "<=")
    if sign.startswith(">"):
        msg = f"{where}: op {objective['op']!r} is not a latency's. Write op: lte."
        raise UsageError(msg)
    return f"p{target * 100:.10g} {sign} {objective['value']}s"
