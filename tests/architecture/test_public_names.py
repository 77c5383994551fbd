"""What users import: complete, documented, typed."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import pytest_concurrency

PUBLIC = sorted(pytest_concurrency.__all__)


def members(name):
    """Return a public name's own functions and, for a class, its public methods."""
    thing = getattr(pytest_concurrency, name)
    if not inspect.isclass(thing):
        return [(name, thing)] if callable(thing) else []
    found = [(name, thing)]
    for attribute, value in vars(thing).items():
        plain = getattr(value, "__func__", getattr(value, "fget", value))
        wanted = attribute == "__init__" or not attribute.startswith("_")
        if wanted and inspect.isfunction(plain):
            found.append((f"{name}.{attribute}", plain))
    return found


def test_the_names_are_listed_once_and_in_order():
    """The three lists of public names cannot drift apart."""
    tree = ast.parse(Path(pytest_concurrency.__file__).read_text(encoding="utf-8"))
    for_checkers = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pytest_concurrency")
        for alias in node.names
    ]

    assert sorted(for_checkers) == PUBLIC
    assert list(pytest_concurrency.__all__) == PUBLIC
    assert dir(pytest_concurrency) == sorted([*PUBLIC, "__version__"])


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves_and_says_what_it_is(name):
    """Every public name, and every public method of a class, has a docstring of sentences."""
    documented = {
        path: inspect.getdoc(thing)
        for path, thing in members(name)
        if not path.endswith(".__init__")
    }

    assert [path for path, text in documented.items() if not text] == []
    assert [path for path, text in documented.items() if "." not in str(text)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_typed(name):
    """Every parameter and every return value of the public names is annotated."""
    untyped = []
    for path, thing in members(name):
        if inspect.isclass(thing):
            continue
        signature = inspect.signature(thing)
        untyped += [
            f"{path}({parameter.name})"
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name not in {"self", "cls"}
        ]
        if signature.return_annotation is signature.empty:
            untyped.append(f"{path} -> ?")

    assert untyped == []


def _is_error(path):
    """Whether a path names the constructor of an exception, which only this package calls."""
    thing = getattr(pytest_concurrency, path.split(".")[0])
    return path.endswith(".__init__") and issubclass(thing, BaseException)


SUBJECTS = {"claim", "key", "name", "setting"}
"""What a call is about reads well without its name: ``measure_time("import")``."""


@pytest.mark.parametrize("name", PUBLIC)
def test_what_has_a_default_is_given_by_keyword(name):
    """A value nobody has to give is never a bare one, but for the subject of the call."""
    positional = [
        f"{path}({parameter.name})"
        for path, thing in members(name)
        if inspect.isfunction(thing) and not _is_error(path)
        for parameter in inspect.signature(thing).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and parameter.default is not parameter.empty
        and parameter.name not in SUBJECTS
    ]

    assert positional == []


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt import fails as any module's would."""
    with pytest.raises(
        AttributeError, match=r"^module 'pytest_concurrency' has no attribute 'concurrent_runer'"
    ):
        pytest_concurrency.concurrent_runer  # noqa: B018


def test_the_version_is_the_installed_one():
    """The version is read from the metadata, so it cannot be wrong."""
    assert pytest_concurrency.__version__ == importlib.metadata.version("pytest-concurrency-slo")
