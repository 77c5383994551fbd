"""Every option and its ini key, in one table: parsing, help and documentation come from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@final
class Option:
    """One setting, given on the command line or in the configuration file."""

    __slots__ = ("choices", "default", "flag", "help", "ini", "kind", "metavar")

    def __init__(
        self,
        flag: str,
        *,
        kind: str,
        default: str,
        metavar: str,
        help: str,  # noqa: A002 - what argparse calls it
        choices: tuple[str, ...] = (),
    ) -> None:
        """Describe a setting.

        Args:
            flag: As typed on the command line; the ini key is derived from it.
            kind: What its values are: ``workers``, ``count``, ``bound``, ``duration``,
                ``integer``, ``backends``, ``choice``, ``database``, ``flag``, ``share``, ``text``,
                ``packages``, ``token``.
            default: What holds where nobody says, as it would be typed.
            metavar: What its value is called in the help.
            help: One sentence.
            choices: The words it takes, for a ``choice``.
        """
        self.flag: str = flag
        self.ini: str = flag.removeprefix("--").replace("-", "_")
        self.kind: str = kind
        self.default: str = default
        self.metavar: str = metavar
        self.help: str = help
        self.choices: tuple[str, ...] = choices


OPTIONS = (
    Option(
        "--concurrency-workers",
        kind="workers",
        default="8",
        metavar="N|auto",
        help="How many workers run where a call or a marker does not say; auto: one for each "
        "processor this process may use.",
    ),
    Option(
        "--concurrency-timeout",
        kind="duration",
        default="30s",
        metavar="TIME",
        help="How long a concurrent run may take before it ends with the stack of every worker "
        "that has not, such as 500ms or 2min.",
    ),
    Option(
        "--concurrency-seed",
        kind="integer",
        default="",
        metavar="N",
        help="Seed of the workers' random generators; a new one for each session if not given, "
        "or that of pytest-randomly.",
    ),
    Option(
        "--concurrency-unseen",
        kind="choice",
        default="fail",
        metavar="fail|warn|ignore",
        choices=("fail", "warn", "ignore"),
        help="What to do with a test that passes though calls, or steps of sessions, failed and it "
        "never looked at them.",
    ),
    Option(
        "--concurrency-replay",
        kind="token",
        default="",
        metavar="TOKEN",
        help="Run just this schedule in every test that explores; the token stands in the failure.",
    ),
    Option(
        "--concurrency-preemptions",
        kind="bound",
        default="2",
        metavar="N",
        help="Explore every order with at most this many preemptions before sampling others.",
    ),
    Option(
        "--concurrency-schedules",
        kind="count",
        default="5000",
        metavar="N",
        help="Stop an exploration after this many schedules.",
    ),
    Option(
        "--concurrency-seconds",
        kind="duration",
        default="10s",
        metavar="TIME",
        help="Stop an exploration after this time.",
    ),
    Option(
        "--concurrency-packages",
        kind="packages",
        default="",
        metavar="NAME,NAME",
        help="Installed packages to explore besides the project's own files.",
    ),
    Option(
        "--concurrency-db",
        kind="database",
        default="sqlite",
        metavar="NAME|URL",
        help="Where tests have their databases: sqlite, memory (SQLite in memory), postgres "
        "(started for the session, no server needed), or an SQLAlchemy URL.",
    ),
    Option(
        "--concurrency-backends",
        kind="backends",
        default="",
        metavar="NAME,NAME",
        help="Run every test that asks for a database once on each of these, unless its marker "
        "names others.",
    ),
    Option(
        "--concurrency-sqlite-begin",
        kind="choice",
        default="immediate",
        metavar="immediate|deferred|driver",
        choices=("immediate", "deferred", "driver"),
        help="How SQLite's transactions begin: as production's do, or races hide.",
    ),
    Option(
        "--concurrency-leaks",
        kind="choice",
        default="fail",
        metavar="fail|warn|ignore",
        choices=("fail", "warn", "ignore"),
        help="What to do with a test that leaves transactions, connections or locks open.",
    ),
    Option(
        "--concurrency-keep-db",
        kind="flag",
        default="",
        metavar="",
        help="Keep the database of a test that fails, and print the command to connect to it.",
    ),
    Option(
        "--slo",
        kind="choice",
        default="enforce",
        metavar="off|warn|enforce",
        choices=("off", "warn", "enforce"),
        help="What a missed objective does to its test: nothing, a warning, or a failure.",
    ),
    Option(
        "--slo-undecided",
        kind="choice",
        default="warn",
        metavar="fail|warn|pass",
        choices=("fail", "warn", "pass"),
        help="What an objective does that the samples cannot decide.",
    ),
    Option(
        "--slo-objectives",
        kind="text",
        default="",
        metavar="TEXT,TEXT",
        help="What every test marked performance is held against that has no marker slo: "
        "objectives such as 'p95 < 50ms', and names of SLOs.",
    ),
    Option(
        "--slo-tier",
        kind="text",
        default="",
        metavar="NAME",
        help="The tier of named SLOs to enforce, instead of each one's default.",
    ),
    Option(
        "--slo-file",
        kind="text",
        default="",
        metavar="PATH",
        help="A TOML or OpenSLO file with named SLOs, besides those in pyproject.toml.",
    ),
    Option(
        "--slo-baseline",
        kind="text",
        default="",
        metavar="FILE",
        help="Keep each test's samples in this file, compare with those it has, and fail a test "
        "that has become slower.",
    ),
    Option(
        "--slo-baseline-update",
        kind="flag",
        default="",
        metavar="",
        help="Take what is measured now for the baseline, instead of comparing.",
    ),
    Option(
        "--slo-against",
        kind="text",
        default="",
        metavar="REF",
        help="Run every until_decided() loop against another git revision, the calls of both "
        "taking turns, and fail a test that is slower than there.",
    ),
    Option(
        "--slo-margin",
        kind="share",
        default="10%",
        metavar="SHARE",
        help="How much slower than a baseline or another revision is no news, such as 5%.",
    ),
    Option(
        "--slo-clock",
        kind="choice",
        default="own",
        metavar="own|wall",
        choices=("own", "wall"),
        help="Judge latency by the time a call had the processor or waited for its own work, or "
        "by the wall clock, which counts what other processes took away too.",
    ),
    Option(
        "--slo-quick",
        kind="flag",
        default="",
        metavar="",
        help="Answer fast rather than surely, for a development loop.",
    ),
)


UNSET: tuple[object, ...] = (None, "", [])
"""What pytest returns for an ini key that is not in the file, by version."""


def add_options(parser: pytest.Parser) -> None:
    """Register every option and ini key."""
    group = parser.getgroup("concurrency", "concurrency and service-level objectives")
    for option in OPTIONS:
        text = option.help.replace("%", "%%")
        more = {"metavar": option.metavar} if option.metavar else {"action": "store_true"}
        group.addoption(option.flag, dest=option.ini, default=None, help=text, **more)
        parser.addini(option.ini, option.help, default=None)


def is_any_given(config: pytest.Config) -> bool:
    """Say whether anybody set anything, on the command line or in the configuration file."""
    return any(
        config.getoption(option.ini) is not None or written(config, option.ini) not in UNSET
        for option in OPTIONS
    )


def written(config: pytest.Config, ini: str) -> object:
    """Return what the configuration file has for a key, or one of ``UNSET``.

    A list is the same as its words one after the other. In its own tables of TOML, pytest gives out
    nothing but text for a key that may be text, so that the rest is read here.
    """
    try:
        value = config.getini(ini)
    except (TypeError, pytest.UsageError):
        value = _in_toml(config.inipath).get(ini)
        if value is None:
            raise
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _in_toml(path: Path | None) -> dict[str, Any]:
    import tomllib

    content = tomllib.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    tables = content.get("tool", content).get("pytest", {})
    return {**tables.get("ini_options", {}), **tables}
