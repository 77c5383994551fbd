"""Directives that write the reference from the plugin itself, so that it cannot drift.

``{public-names}``, ``{plugin-options}``, ``{plugin-markers}``, ``{plugin-fixtures}``,
``{plugin-hooks}`` and ``{unreleased}``.
"""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import pytest_concurrency

ROOT = Path(__file__).parents[1]
FIXTURE = re.compile(r"^(\w+)((?: \[\w+ scope\])?) -- .*\n((?:    .*\n|\n)*)", re.MULTILINE)
MARKER = re.compile(r"^@pytest\.mark\.(.+?): (.+)$", re.MULTILINE)


class Generated(SphinxDirective):
    """A directive whose content is written by ``lines`` and parsed as if it stood on the page."""

    def run(self) -> list[nodes.Node]:
        content = StringList(list(self.lines()), source=type(self).__name__)
        holder = nodes.Element()
        self.state.nested_parse(content, self.content_offset, holder)
        return holder.children

    def lines(self) -> Iterator[str]:
        """Write the content, in Markdown."""
        raise LookupError(type(self).__name__)

    def described(self, name: str, text: str) -> Iterator[str]:
        """Write one entry: a name and its docstring."""
        docstring = GoogleDocstring(inspect.cleandoc(text), self.config)
        yield from ("```{eval-rst}", f".. describe:: {name}", "")
        yield from (f"   {line}" for line in str(docstring).splitlines())
        yield from ("```", "")


class PublicNames(Generated):
    """Every public name, in one section for each room."""

    def run(self) -> list[nodes.Node]:
        modules = pytest_concurrency._ROOMS  # noqa: SLF001
        rooms: dict[str, list[str]] = {}
        for name in sorted(modules):
            rooms.setdefault(modules[name].split(".")[0], []).append(name)
        return [self.section(room, rooms[room]) for room in sorted(rooms, key=reading_order)]

    def section(self, room: str, names: list[str]) -> nodes.section:
        says = inspect.getdoc(import_module(f"pytest_concurrency.{room}")) or room
        title = says.splitlines()[0].removesuffix(".")
        section = nodes.section("", nodes.title("", title), ids=[room], names=[room])
        lines = [line for name in names for line in self.entry(name)]
        self.state.nested_parse(StringList(lines, source=room), self.content_offset, section)
        return section

    def entry(self, name: str) -> Iterator[str]:
        thing = getattr(pytest_concurrency, name)
        kind = "class" if inspect.isclass(thing) else "function" if callable(thing) else "data"
        yield from ("```{eval-rst}", f".. auto{kind}:: pytest_concurrency.{name}")
        if kind == "class":
            yield "   :members:"
        yield from ("```", "")


def reading_order(room: str) -> int:
    """Tell where a room stands on the page: what is used first, first; what goes wrong, last."""
    return ["run", "explore", "db", "slo", "faults", "load", "report", "errors"].index(room)


class PluginOptions(Generated):
    """Every command-line option and setting, as a table."""

    def lines(self) -> Iterator[str]:
        yield "| option | setting | default | what it does |"
        yield "| --- | --- | --- | --- |"
        for option in import_module("pytest_concurrency.plugin.options").OPTIONS:
            flag = f"{option.flag}={option.metavar}" if option.metavar else option.flag
            typed = [f"`{cell}`" if cell else "" for cell in (flag, option.ini, option.default)]
            cells = [*typed, " ".join(option.help.split())]
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


class PluginMarkers(Generated):
    """Every marker, as ``pytest --markers`` lists it."""

    def lines(self) -> Iterator[str]:
        others = asked("--markers", plugin=False)
        for marker, text in MARKER.findall(asked("--markers")):
            if f"@pytest.mark.{marker}:" not in others:
                yield from self.described(f"@pytest.mark.{marker}", text)


class PluginFixtures(Generated):
    """Every fixture, as ``pytest --fixtures`` lists it."""

    def lines(self) -> Iterator[str]:
        others = {name for name, _, _ in FIXTURE.findall(asked("--fixtures", plugin=False))}
        for name, scope, text in FIXTURE.findall(asked("--fixtures")):
            if name not in others:
                yield from self.described(f"{name}{scope}", text)


class PluginHooks(Generated):
    """Every hook that a conftest or another plugin can implement."""

    def lines(self) -> Iterator[str]:
        module = import_module("pytest_concurrency.plugin.hookspecs")
        for name, thing in vars(module).items():
            if name.startswith("pytest_") and inspect.isfunction(thing):
                directive = f".. autofunction:: {module.__name__}.{name}"
                yield from ("```{eval-rst}", directive, "```", "")


class Unreleased(Generated):
    """What the fragments in ``changelog.d`` say about the next release."""

    def lines(self) -> Iterator[str]:
        command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next"]
        drafted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        lines = drafted.stdout.splitlines()
        start = next((at for at, line in enumerate(lines) if line.startswith("## ")), len(lines))
        for line in lines[start + 1 :]:
            yield f"**{line.lstrip('# ')}**" if line.startswith("#") else line


def asked(question: str, *, plugin: bool = True) -> str:
    """Return pytest's answer, with this plugin and no other, or with none."""
    chosen = ["-p", "concurrency-slo"] if plugin else []
    command = [sys.executable, "-m", "pytest", "--disable-plugin-autoload", *chosen, question]
    settings = ["--rootdir=/", "-c", "/dev/null"]
    ran = subprocess.run(
        [*command, *settings], cwd=ROOT / "docs", capture_output=True, text=True, check=False
    )
    return ran.stdout


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("public-names", PublicNames)
    app.add_directive("plugin-options", PluginOptions)
    app.add_directive("plugin-markers", PluginMarkers)
    app.add_directive("plugin-fixtures", PluginFixtures)
    app.add_directive("plugin-hooks", PluginHooks)
    app.add_directive("unreleased", Unreleased)
    return {"parallel_read_safe": True}
