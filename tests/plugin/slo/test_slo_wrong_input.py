"""What is wrong with an option or a marker about objectives is said before any test runs."""

from __future__ import annotations

import pytest

SLOS = """
[tool.pytest_concurrency.slo.api]
objectives = ["errors < 1%"]
tiers.normal = ["p95 < 500ms"]
tiers.strict = ["p95 < 100ms"]

[tool.pytest_concurrency.slo.plain]
objectives = ["errors < 1%"]
"""
AT = "ERROR: test_x.py::test_x: "


@pytest.fixture
def refused(pytester):
    """Return the one line that a run ends with."""
    pytester.makepyprojecttoml(SLOS)

    def run(marker, *options):
        text = f"import pytest\n\n@pytest.mark.{marker}\ndef test_x(): pass\n"
        pytester.makepyfile(test_x=text)
        result = pytester.runpytest("-q", "-p", "no:randomly", *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        return next(line for line in result.stderr.lines if line.startswith("ERROR: "))

    return run


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "slo",
            "@pytest.mark.slo(): there is no objective. Write @pytest.mark.slo('p95 < 50ms').",
        ),
        ("slo(50)", "@pytest.mark.slo(50): 50 is not an objective. Write 'p95 < 50ms'."),
        (
            "slo('p95 < 50ms', teir='strict')",
            ("@pytest.mark.slo('p95 < 50ms', teir='strict'): there is no 'teir'. Write tier=."),
        ),
        (
            "slo('p95 < 50ms', undecided='fial')",
            (
                "@pytest.mark.slo('p95 < 50ms', undecided='fial'): undecided is 'fial'. "
                "It is fail, warn or pass. Write undecided='fail'."
            ),
        ),
        (
            "slo('p95 < 50ms', undecided=False)",
            (
                "@pytest.mark.slo('p95 < 50ms', undecided=False): undecided is False. "
                "It is fail, warn or pass. Write undecided='pass'."
            ),
        ),
        (
            "slo('p95 < 50ms', undecidd='pass')",
            (
                "@pytest.mark.slo('p95 < 50ms', undecidd='pass'): there is no 'undecidd'. "
                "Write undecided=."
            ),
        ),
        (
            "slo('api', undecided=1)",
            (
                "@pytest.mark.slo('api', undecided=1): undecided is 1. "
                "It is fail, warn or pass. Write undecided='pass'."
            ),
        ),
        (
            "slo('api', tier=1)",
            "@pytest.mark.slo('api', tier=1): 1 is no tier. Write tier='strict'.",
        ),
        (
            "slo('p95 < 50ms', tier='strict')",
            (
                "@pytest.mark.slo('p95 < 50ms', tier='strict'): only named SLOs have tiers. "
                "Name one, or leave tier= out."
            ),
        ),
        (
            "slo('api', tier='strikt')",
            "slo: SLO 'api' has no tier 'strikt'. It has: normal, strict. Write 'strict'.",
        ),
        (
            "slo('plain', tier='gold')",
            "slo: SLO 'plain' has no tier 'gold'. It has: none. Leave the tier out.",
        ),
        ("slo('apo')", "slo: there is no SLO 'apo'. Write 'api'."),
        ("slo('checkout')", "slo: there is no SLO 'checkout'. Write one of api, plain."),
        (
            "slo('p95 < 50')",
            "slo('p95 < 50'): the threshold has no unit. Write 'p95 < 50ms' or 'p95 < 50s'.",
        ),
        (
            "slo('p95 < 50 lightyears')",
            (
                "slo('p95 < 50 lightyears'): 'lightyears' is not a unit. "
                "Write one of ns, us, ms, s, min, h, d."
            ),
        ),
    ],
)
def test_marker_is_refused(refused, marker, message):
    """Each slip names the test, what is wrong, and what to type."""
    assert refused(marker) == AT + message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--slo=of", "--slo=of: there is no 'of'. Write --slo=off."),
        ("--slo=42", "--slo=42: use one of off, warn, enforce. Write --slo=enforce."),
        (
            "--slo-undecided=fial",
            "--slo-undecided=fial: there is no 'fial'. Write --slo-undecided=fail.",
        ),
        ("--slo-clock=wal", "--slo-clock=wal: there is no 'wal'. Write --slo-clock=wall."),
        (
            "--slo-tier=strikt",
            "--slo-tier=strikt: no SLO has that tier. Write --slo-tier=strict.",
        ),
        (
            "--slo-tier=gold",
            "--slo-tier=gold: no SLO has that tier. There is: normal, strict.",
        ),
        ("--slo-margin=10", "--slo-margin=10: '10' has no unit. Write '10%'."),
        (
            "--slo-margin=-5%",
            "--slo-margin=-5%: use a share of zero or more. Write --slo-margin=10%.",
        ),
        (
            "--slo-baseline-update",
            "--slo-baseline-update: no baseline is named. Write --slo-baseline=FILE too.",
        ),
    ],
)
def test_option_is_refused(refused, option, message):
    """A slip on the command line ends the run before it starts."""
    assert refused("slo('api')", option) == f"ERROR: {message}"


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        (
            "--slo-file",
            b"\xff",
            "it is not UTF-8 text: invalid start byte. Save it in that encoding.",
        ),
        (
            "--slo-file",
            b"x = = 3",
            "it is not TOML: Invalid value (at line 1, column 5). Correct it there.",
        ),
        (
            "--slo-baseline",
            b"\xff",
            "it is not a file of baselines. Write --slo-baseline=NEW-FILE.",
        ),
        (
            "--slo-baseline",
            b'{"v": 1, "tests": {"test_x": 3}}',
            "it is not a file of baselines. Write --slo-baseline=NEW-FILE.",
        ),
        (
            "--slo-baseline",
            None,
            "it cannot be read: Is a directory. Write --slo-baseline=NEW-FILE.",
        ),
    ],
)
def test_file_that_is_something_else_is_refused(refused, pytester, option, content, message):
    """Another encoding, another format, another version, a directory."""
    path = pytester.path / "file.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    assert refused("slo('p95 < 5ms')", f"{option}=file.toml") == f"ERROR: {path}: {message}"


def test_file_that_is_missing_is_refused(refused, pytester):
    """The path is shown as it was looked for."""
    path = pytester.path / "slos.toml"
    line = refused("slo('api')", "--slo-file=slos.toml")
    assert line == (
        f"ERROR: {path}: it cannot be read: No such file or directory. "
        "Write the path of a TOML or YAML file."
    )


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("slos.toml", "[slos.api]\nobjectives = ['p95 < 1s']\n", "[slo.api] with objectives"),
        ("slos.toml", "", "[slo.api] with objectives"),
    ],
)
def test_file_without_an_slo_is_refused(refused, pytester, name, content, remedy):
    """A table that is misspelt is not a file that promises nothing."""
    path = pytester.path / name
    path.write_text(content)
    assert refused("slo('p95 < 5ms')", f"--slo-file={name}") == (
        f"ERROR: {path}: it has no SLO. Write {remedy} into it."
    )


def test_openslo_without_an_slo_is_refused(refused, pytester):
    """Nor is a YAML file of other things."""
    pytest.importorskip("yaml")
    path = pytester.path / "slos.yaml"
    path.write_text("kind: Service\n")
    assert refused("slo('p95 < 5ms')", "--slo-file=slos.yaml") == (
        f"ERROR: {path}: it has no SLO. Write a document with kind: SLO into it."
    )


def test_baseline_in_a_directory_that_is_missing_is_refused(refused, pytester):
    """It is said before a long run, not after it."""
    path = pytester.path / "nowhere"
    assert refused("slo('p95 < 5ms')", "--slo-baseline=nowhere/base.json") == (
        f"ERROR: --slo-baseline=nowhere/base.json: there is no directory {str(path)!r}. "
        "Write one that exists."
    )
