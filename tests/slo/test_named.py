"""Named SLOs are read from where projects write them, tiers and all."""

import sys
from pathlib import Path

import pytest

from pytest_concurrency.errors import MissingExtra, UsageError
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.files import load_slos
from pytest_concurrency.slo.named import find_slo, held_text, read_slo
from pytest_concurrency.slo.samples import Samples

API = {
    "objectives": ["errors < 1%"],
    "tiers": {"normal": ["p95 < 500ms"], "under load": ["p95 < 2s"], "critical": ["p95 < 5s"]},
    "alert": "LoadTestLatencyDegradation",
}


def calls(seconds, errors=0):
    """Return 400 calls of one duration."""
    samples = Samples.of([round(seconds * 1e9)] * 400, failed=range(errors))
    return Evidence(latency=samples, calls=400, errors=errors)


def test_a_tier_adds_to_what_always_holds():
    """The objectives of a tier come after those of every tier; the first tier is the default."""
    slo = read_slo("api", API, where="pyproject.toml: api")

    assert [str(each) for each in slo.objectives_of()] == ["errors < 1%", "p95 < 500ms"]
    assert [str(each) for each in slo.objectives_of("critical")] == ["errors < 1%", "p95 < 5s"]
    assert (slo.default_tier, slo.alert, slo.window) == (
        "normal",
        "LoadTestLatencyDegradation",
        "30d",
    )


def test_verdicts_carry_name_and_tier():
    """What the report shows knows which SLO and tier it belongs to."""
    slo = read_slo("api", API, where="x")
    verdicts = slo.judge(calls(1.0), tier="under load")

    assert [(each.slo, each.tier, each.state) for each in verdicts] == [
        ("api", "under load", "met"),
        ("api", "under load", "met"),
    ]


def test_tier_that_speaks_of_what_was_not_measured_is_undecided():
    """One tier without evidence does not keep the others from being told."""
    tiers = {"fast": ["p95 < 5s"], "small": ["memory < 5MB"]}

    assert read_slo("api", {"tiers": tiers}, where="x").held(calls(1.0)) == {
        "fast": "met",
        "small": "undecided",
    }


def test_the_report_says_which_tiers_held():
    """Each tier is met, missed or undecided as a whole."""
    slo = read_slo("api", API, where="x")

    assert slo.held(calls(1.0)) == {"normal": "missed", "under load": "met", "critical": "met"}
    assert held_text(slo.held(calls(1.0, errors=3))) == (
        "tiers held: none; missed: normal; undecided: under load, critical"
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("p95 < 1s", "f: api: it is not a table. Write objectives = ['p95 < 500ms'] into it."),
        ({}, "f: api: it has no objective. Write objectives = ['p95 < 500ms'] into it."),
        ({"objectivs": []}, "f: api: 'objectivs' is not a key of an SLO. Write 'objectives'."),
        (
            {"objectives": "p95 < 1s"},
            "f: api.objectives: 'p95 < 1s' is not a list. Write ['p95 < 500ms'].",
        ),
        (
            {"tiers": ["p95 < 1s"]},
            "f: api: tiers is not a table. Write tiers.strict = ['p95 < 300ms'].",
        ),
        (
            {"tiers": {"strict": ["p95 < 50"]}},
            (
                "f: api.tiers.strict('p95 < 50'): the threshold has no unit. "
                "Write 'p95 < 50ms' or 'p95 < 50s'."
            ),
        ),
        (
            {"objectives": ["p95 < 1s"], "alert": 5},
            "f: api.alert: 5 is not text. Write alert = '...'.",
        ),
        (
            {"tiers": {"strict": ["p95 < 1s"]}, "default_tier": "strikt"},
            "f: api.default_tier: there is no tier 'strikt'. Write default_tier = 'strict'.",
        ),
        (
            {"objectives": ["p95 < 1s"], "default_tier": "x"},
            "f: api.default_tier: there is no tier 'x'. Write tiers.x = ['p95 < 300ms'].",
        ),
    ],
    ids=range(9),
)
def test_a_wrong_table_is_answered(table, message):
    """File, table and key are named, with what to write."""
    with pytest.raises(UsageError) as refused:
        read_slo("api", table, where="f: api")

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("slos", "message"),
    [
        ({"api": 1}, "t.py::t: there is no SLO 'apy'. Write 'api'."),
        ({"books": 1, "swaps": 1}, "t.py::t: there is no SLO 'apy'. Write one of books, swaps."),
        (
            {},
            (
                "t.py::t: there is no SLO 'apy', and none is written down. "
                "Write [tool.pytest_concurrency.slo.apy] into pyproject.toml."
            ),
        ),
    ],
    ids=["near", "far", "none"],
)
def test_a_name_that_does_not_exist_is_answered(slos, message):
    """The nearest name is suggested, else all, else where to write one."""
    with pytest.raises(UsageError) as refused:
        find_slo(slos, "apy", where="t.py::t")

    assert str(refused.value) == message


def test_files_are_read_by_their_name(tmp_path):
    """The project file and a file of SLOs hold the same tables under their own names."""
    text = 'objectives = ["p95 < 1s"]\n'
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest_concurrency.slo.api]\n{text}")
    (tmp_path / "slo.toml").write_text(f"[slo.api]\n{text}")
    (tmp_path / "other.toml").write_text("[project]\nname = 'x'\n")

    for name in ("pyproject.toml", "slo.toml"):
        assert [str(each) for each in load_slos(tmp_path / name)["api"].objectives] == ["p95 < 1s"]
    assert load_slos(tmp_path / "other.toml") == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "none.toml",
            None,
            "it cannot be read: No such file or directory. Write the path of a TOML or YAML file.",
        ),
        ("a.toml", "x = ", "it is not TOML: Invalid value (at end of document). Correct it there."),
        ("a.toml", "slo = 5", "slo is not a table. Write [slo.api] with objectives in it."),
    ],
    ids=["missing", "broken", "shape"],
)
def test_a_wrong_file_is_answered(tmp_path, name, text, message):
    """The file is named, with what is wrong in it."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_slos(path)

    assert str(refused.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tool = 1\n", "tool"),
        ("[tool]\npytest_concurrency = 1\n", "tool.pytest_concurrency"),
        ("[tool.pytest_concurrency]\nslo = 1\n", "tool.pytest_concurrency.slo"),
    ],
)
def test_project_file_of_another_shape_is_answered(tmp_path, text, wrong):
    """The key that should be a table is named."""
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_slos(path)

    assert str(refused.value) == (
        f"{path}: {wrong} is not a table. "
        "Write [tool.pytest_concurrency.slo.api] with objectives in it."
    )


def test_yaml_needs_its_extra(tmp_path, monkeypatch):
    """Without a YAML reader, the extra is named."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "slo.yaml"
    path.write_text("kind: SLO\n")

    with pytest.raises(MissingExtra) as missing:
        load_slos(path)

    assert str(missing.value) == (
        "slo.yaml is YAML; reading OpenSLO needs the extra 'openslo'. "
        "Run: pip install 'pytest-concurrency-slo[openslo]'"
    )


def test_yaml_is_read(tmp_path):
    """With a YAML reader, documents are read and broken ones answered."""
    pytest.importorskip("yaml")
    path = tmp_path / "slo.yaml"
    path.write_text(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\n"
        "spec: {objectives: [{target: 0.9}]}\n"
    )

    assert [str(each) for each in load_slos(path)["a"].objectives] == ["success >= 90%"]

    path.write_text("a: [")
    with pytest.raises(UsageError, match="it is not YAML: "):
        load_slos(path)


def test_the_example_file_is_read():
    """The residency example holds every metric of its table, and the levels of its load tests."""
    path = Path(__file__).parents[2] / "docs" / "examples" / "residency-slo.toml"
    slos = load_slos(path)

    assert list(slos["api"].tiers) == ["normal", "under load", "critical"]
    assert list(slos["load"].tiers) == ["strict", "default", "relaxed"]
    assert slos["load"].default_tier == "default"
    assert {slo.alert for slo in slos.values()} >= {
        "LoadTestLatencyDegradation",
        "ScheduleGenerationSLOBreach",
        "ACGMEValidationCritical",
        "LoadTestErrorRateCritical",
        "LoadTestAvailabilitySLOBreach",
        "ConnectionPoolSaturation",
    }
