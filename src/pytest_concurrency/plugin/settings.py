"""The session's settings: command line before configuration file before default."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pytest_concurrency.plugin.options import OPTIONS, UNSET, Option, written
from pytest_concurrency.run.plan import MOST_WORKERS

if TYPE_CHECKING:
    from pytest_concurrency.run.settings import Settings


class Given(NamedTuple):
    """A setting as it was given."""

    text: str
    source: str
    """Who gave it, as it would be typed: ``--concurrency-timeout=3s``."""
    remedy: str = ""
    """How to give another value: ``--concurrency-timeout=`` or ``concurrency_timeout = ``."""


def given(config: pytest.Config, option: Option) -> Given:
    """Return what holds for an option, and who said so."""
    typed = config.getoption(option.ini)
    if typed is not None:
        return Given(str(typed), f"{option.flag}={typed}", f"{option.flag}=")
    value = written(config, option.ini)
    if value not in UNSET:
        name = config.inipath.name if config.inipath else "the configuration file"
        return Given(str(value), f"{option.ini} = {value} in {name}", f"{option.ini} = ")
    return Given(option.default, "the default")


def check_settings(config: pytest.Config) -> None:
    """Read every setting that somebody gave, so that a slip ends the run before it starts."""
    for option in OPTIONS:
        found = given(config, option)
        if found.source != "the default":
            read(config, option.ini)
    from pytest_concurrency.plugin.arguments import check_slo_options

    check_slo_options(config)


def read(config: pytest.Config, ini: str) -> object:
    """Return the value of a setting, in the type of its kind.

    Raises:
        pytest.UsageError: It cannot be read.
    """
    option = next(option for option in OPTIONS if option.ini == ini)
    found = given(config, option)
    value = _READERS[option.kind](option, found)
    if value is _WRONG:
        choices = ", ".join(option.choices)
        expected = _EXPECTED[option.kind].format(choices=choices, most=MOST_WORKERS)
        example = option.default or _EXAMPLES.get(option.kind, "")
        msg = f"{found.source}: {expected}. Write {found.remedy}{example}."
        raise pytest.UsageError(msg)
    return value


_WRONG = object()


def _read_workers(option: Option, found: Given) -> object:
    if found.text == "auto":
        from pytest_concurrency.run.capacity import processors

        return processors()
    value = _read_count(option, found)
    return value if isinstance(value, int) and value <= MOST_WORKERS else _WRONG


def _read_count(_: Option, found: Given) -> object:
    return int(found.text) if found.text.isdecimal() and int(found.text) >= 1 else _WRONG


def _read_bound(_: Option, found: Given) -> object:
    return int(found.text) if found.text.isdecimal() else _WRONG


def _read_integer(_: Option, found: Given) -> object:
    if not found.text:
        return None
    return int(found.text) if found.text.removeprefix("-").isdecimal() else _WRONG


def _read_duration(_: Option, found: Given) -> object:
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.quantities import seconds

    try:
        value = seconds(found.text, where=found.source)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return value if value > 0 else _WRONG


def _read_choice(option: Option, found: Given) -> object:
    if found.text in option.choices:
        return found.text
    from pytest_concurrency.errors import nearest

    meant = nearest(found.text, option.choices)
    if meant is None:
        return _WRONG
    msg = f"{found.source}: there is no {found.text!r}. Write {found.remedy}{meant}."
    raise pytest.UsageError(msg)


def _read_packages(_: Option, found: Given) -> object:
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.explore.scope import check_packages

    words = tuple(found.text.replace(",", " ").split())
    try:
        check_packages(words, where=found.source)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return words


def _read_token(_: Option, found: Given) -> object:
    if not found.text.strip():
        return None
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.explore.schedule import parse

    try:
        parse(found.text, where=found.source)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return found.text


def _read_flag(_: Option, found: Given) -> object:
    words = {"true": True, "1": True, "yes": True, "": False, "false": False, "0": False}
    return words.get(found.text.lower(), _WRONG)


def _read_share(_: Option, found: Given) -> object:
    from pytest_concurrency.errors import UsageError
    from pytest_concurrency.slo.quantities import parse_quantity

    try:
        share = parse_quantity(found.text, where=found.source, kind="ratio").value
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return share if share >= 0 else _WRONG


def _read_database(option: Option, found: Given) -> object:
    from pytest_concurrency.db.servers import check_setting
    from pytest_concurrency.errors import UsageError

    try:
        check_setting(found.text, where=found.remedy.rstrip(" =") or option.flag)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return found.text


def _read_backends(option: Option, found: Given) -> object:
    names = found.text.replace(",", " ").split()
    for name in names:
        _read_database(option, found._replace(text=name))
    return tuple(names)


def _read_text(_: Option, found: Given) -> object:
    return found.text


_READERS = {
    "workers": _read_workers,
    "count": _read_count,
    "bound": _read_bound,
    "integer": _read_integer,
    "duration": _read_duration,
    "choice": _read_choice,
    "share": _read_share,
    "database": _read_database,
    "backends": _read_backends,
    "text": _read_text,
    "packages": _read_packages,
    "token": _read_token,
    "flag": _read_flag,
}
_EXPECTED = {
    "workers": "use an integer from 1 to {most:,}, or auto",
    "count": "use an integer >= 1",
    "bound": "use an integer >= 0",
    "integer": "use an integer",
    "duration": "use a time longer than zero",
    "choice": "use one of {choices}",
    "share": "use a share of zero or more",
    "flag": "use true or false",
}
_EXAMPLES = {"integer": "1", "flag": "true"}


session_seed_key: pytest.StashKey[int] = pytest.StashKey[int]()
"""The seed of the session: the same in every xdist worker."""


def session_seed(config: pytest.Config) -> int:
    """Return the seed given, else that of pytest-randomly, else one drawn for this session."""
    if session_seed_key not in config.stash:
        config.stash[session_seed_key] = _find_seed(config)
    return config.stash[session_seed_key]


def _find_seed(config: pytest.Config) -> int:
    seed = read(config, "concurrency_seed")
    if seed is None:
        seed = getattr(config, "workerinput", {}).get("concurrency_seed")
    if seed is None:
        seed = config.getoption("randomly_seed", None)
    if not isinstance(seed, int):
        from random import SystemRandom

        seed = SystemRandom().getrandbits(32)
    return seed


def settings_for(item: pytest.Item, room: str) -> object:
    """Return what a room should take as its defaults while a test runs."""
    return _ROOMS[room](item) if room in _ROOMS else None


def run_settings(item: pytest.Item) -> Settings:
    """Return the settings of runs that a test starts."""
    from pytest_concurrency.plugin.journal import observer_of, room_of
    from pytest_concurrency.run.settings import Settings

    config = item.config
    option = next(option for option in OPTIONS if option.ini == "concurrency_timeout")
    return Settings(
        workers=read(config, "concurrency_workers"),  # type: ignore[arg-type]
        timeout=read(config, "concurrency_timeout"),  # type: ignore[arg-type]
        timeout_source=given(config, option).source,
        seed=session_seed(config),
        room=room_of(item),
        title=item.nodeid,
        observe=observer_of(item),
    )


def _explore_settings(item: pytest.Item) -> object:
    from pytest_concurrency.plugin.exploring import explore_settings

    return explore_settings(item)


def _slo_policy(item: pytest.Item) -> object:
    from pytest_concurrency.plugin.objectives import slo_policy

    return slo_policy(item)


def _waits(item: pytest.Item) -> object:
    from pytest_concurrency.plugin.leftovers import waits_of

    return partial(waits_of, item)


_ROOMS: dict[str, Callable[[pytest.Item], object]] = {
    "run": run_settings,
    "explore": _explore_settings,
    "slo": _slo_policy,
    "waits": _waits,
}
