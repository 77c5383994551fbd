"""Where SLOs are written down: pyproject.toml, a TOML file, an OpenSLO file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_concurrency.errors import MissingExtra, UsageError, is_on_purpose
from pytest_concurrency.slo.named import NamedSlo, read_slo
from pytest_concurrency.slo.openslo import slos_of_openslo

__tracebackhide__ = is_on_purpose


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
    prefix = "tool.pytest_concurrency.slo" if path.name == "pyproject.toml" else "slo"
    tables: Any = content
    for key in prefix.split("."):
        tables = tables.get(key, {})
        if not isinstance(tables, Mapping):
            wrong = f"{prefix.partition(key)[0]}{key} is not a table"
            msg = f"{path}: {wrong}. Write [{prefix}.api] with objectives in it."
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
        said = " ".join(str(error).split())
        msg = f"{path}: it is not YAML: {said}. Correct it there."
        raise UsageError(msg) from error
