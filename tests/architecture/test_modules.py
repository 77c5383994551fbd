"""The size and shape of modules and functions."""

from __future__ import annotations

import ast
import re

LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
NAMES_THAT_SAY_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|base|managers?|misc)(_|$)")


def nodes(modules, *kinds):
    """Every syntax node of some kinds, with its module."""
    return [
        (module, node)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, kinds)
    ]


def test_a_module_fits_in_the_head(modules):
    """A module that outgrows the limit holds two nouns: split it."""
    lengths = {str(module.path): len(module.text.splitlines()) for module in modules}

    assert {path: n for path, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_a_function_fits_on_a_screen(modules):
    """A function that outgrows the limit does two things: split it."""
    too_long = {
        f"{module.at(node)} {node.name}": node.end_lineno - node.lineno + 1
        for module, node in nodes(modules, ast.FunctionDef, ast.AsyncFunctionDef)
        if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }

    assert too_long == {}


def test_a_module_is_the_noun_it_owns(modules):
    """No module is named for being useful."""
    offenders = [
        str(module.path)
        for module in modules
        if any(NAMES_THAT_SAY_NOTHING.search(part) for part in module.name.split("."))
    ]

    assert offenders == []


def test_nothing_is_asserted_by_statement(modules):
    """A bare assert loses its text where pytest does not rewrite it, and vanishes under -O."""
    assert [module.at(node) for module, node in nodes(modules, ast.Assert)] == []


def test_nothing_is_left_to_do(modules):
    """What is not built is not announced in the code."""
    unfinished = [
        module.at(node)
        for module, node in nodes(modules, ast.Name)
        if node.id == "NotImplementedError"
    ]
    notes = [
        f"{module.path}:{number}"
        for module in modules
        for number, line in enumerate(module.text.splitlines(), start=1)
        if re.search(r"\b(TODO|FIXME|XXX)\b", line)
    ]

    assert unfinished + notes == []


def test_every_module_says_what_it_holds(modules):
    """A module begins with one sentence."""
    offenders = [str(module.path) for module in modules if not ast.get_docstring(module.tree)]

    assert offenders == []


def test_nothing_runs_at_import(modules):
    """A module defines; it does not call loops, prints or patches while it is imported."""
    offenders = [
        module.at(node)
        for module in modules
        for node in module.tree.body
        if isinstance(node, (ast.For, ast.While, ast.With, ast.Delete))
    ]

    assert offenders == []
