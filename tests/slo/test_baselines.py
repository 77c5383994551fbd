"""A baseline tells slower from faster from the same, and knows its machine."""

import random
import re
from dataclasses import replace

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.baselines import Baselines, Machine, Measurement
from pytest_concurrency.slo.evidence import Evidence
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.samples import Samples


def measurement(factor=1.0, *, n=600, machine=None, reference_ns=14_000, noise=None, seed=1):
    """Return samples around a millisecond, times a factor."""
    draw = random.Random(f"{seed} {factor}")
    samples = Samples.of(int(factor * draw.lognormvariate(0, 0.05) * 1e6) for _ in range(n))
    return Measurement(
        samples=samples,
        reference_ns=reference_ns,
        machine=machine or Machine.this(),
        noise=noise,
    )


@pytest.fixture
def baselines():
    """Return the baseline of one test."""
    known = Baselines()
    known.record("t.py::t", measurement())
    return known


@pytest.mark.parametrize(
    ("factor", "directions"),
    [
        (1.0, ["same", "same"]),
        (1.05, ["same", "same"]),
        (1.3, ["slower", "slower"]),
        (0.7, ["faster", "faster"]),
    ],
)
def test_a_change_beyond_the_margin_is_named(baselines, factor, directions):
    """Only what is surely beyond the margin is called a change."""
    changes = baselines.compare("t.py::t", measurement(factor, seed=2))

    assert [each.figure for each in changes] == ["p50", "p95"]
    assert [each.direction for each in changes] == directions


def test_a_change_says_by_how_much(baselines):
    """Test, figure, both values and the ratio with its bounds are in the text."""
    change = baselines.compare("t.py::t", measurement(1.3, seed=2))[0]

    assert re.fullmatch(
        r"t\.py::t: p50 slower: (1\.0 ms|99\d \Ss) -> 1\.3 ms, 1\.\d\d times "
        r"\(99 % bounds 1\.\d\d to 1\.\d\d\), 600 calls",
        str(change),
    )


def test_few_calls_are_undecided(baselines):
    """Ten calls do not prove that a p95 is the same."""
    assert baselines.compare("t.py::t", measurement(n=10))[1].direction == "undecided"


def test_a_slower_machine_is_no_regression(baselines):
    """A slow-down that the canary shared is not the code's."""
    now = measurement(1.3, seed=2, noise=Noise(slowdown=1.4))

    assert [each.direction for each in baselines.compare("t.py::t", now)] == ["undecided"] * 2


def test_another_machine_is_compared_by_ratio(baselines):
    """A machine half as fast is no regression, and is said to be another one."""
    other = replace(Machine.this(), processor="Z80", processors=1)
    now = measurement(2.0, machine=other, reference_ns=28_000)
    change = baselines.compare("t.py::t", now)[0]

    assert change.direction == "same"
    assert str(change).endswith(
        f"\n  The baseline is from another machine ({Machine.this()}); "
        "the ratio is in units of a reference workload."
    )


def test_evidence_brings_its_own_unit():
    """The canary of the run is the unit; without one, it is run now."""
    timed = Evidence(latency=Samples.of([5]), calls=1, noise=Noise(canary_ns=77))

    assert Measurement.of(timed).reference_ns == 77
    assert Measurement.of(Evidence(latency=Samples.of([5]))).reference_ns > 100


def test_an_unknown_test_has_no_baseline(baselines):
    """There is nothing to compare a new test with."""
    assert baselines.compare("t.py::new", measurement()) == []


def test_baselines_are_kept_in_a_file(tmp_path, baselines):
    """What is written is read back, by test and machine; a missing file is empty."""
    path = tmp_path / "deep" / "baseline.json"
    other = replace(Machine.this(), processor="Z80")
    baselines.record("t.py::t", measurement(machine=other, noise=Noise(stolen=0.1)))
    baselines.save(path)

    assert Baselines.load(path).entries == baselines.entries
    assert list(path.parent.iterdir()) == [path]
    assert Baselines.load(tmp_path / "none.json").entries == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is not a file of baselines. Write --slo-baseline=NEW-FILE."),
        ("[]", "it is not a file of baselines. Write --slo-baseline=NEW-FILE."),
        ('{"v": 9, "tests": {}}', "its version is 9, not 1. Delete it, and run once."),
    ],
)
def test_another_file_is_refused(tmp_path, text, message):
    """A file that holds something else is never overwritten by mistake."""
    path = tmp_path / "baseline.json"
    path.write_text(text)

    with pytest.raises(UsageError) as refused:
        Baselines.load(path)

    assert str(refused.value) == f"{path}: {message}"


def test_machines_differ_by_processor_and_python():
    """The key tells machines apart, and is the same for the same one."""
    this = Machine.this()

    assert this.key == Machine.this().key
    assert this.key != replace(this, python="CPython 2.7").key
    assert str(this).startswith(f"{this.processors} x ")
