"""Baselines: the samples of an earlier run, to be compared with by the same statistics."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.evidence import Evidence, noise_to_wire
from pytest_concurrency.slo.figures import format_count, format_duration
from pytest_concurrency.slo.intervals import Interval, quantile_interval
from pytest_concurrency.slo.noise import Noise, fastest_canary_ns
from pytest_concurrency.slo.samples import Samples

__tracebackhide__ = is_on_purpose

Direction = Literal["slower", "faster", "same", "undecided"]

_WIRE_VERSION: Final = 1
_QUANTILES: Final = (0.5, 0.95)
_ERROR: Final = 0.01
_MARGIN: Final = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine and Python that samples were taken on.

    Attributes:
        processor: The model of its processor.
        processors: How many there are.
        system: Its operating system.
        python: The implementation and version of Python.
    """

    processor: str
    processors: int
    system: str
    python: str

    @classmethod
    def this(cls) -> Machine:
        """Return the machine that this runs on."""
        release = ".".join(platform.python_version_tuple()[:2])
        return cls(
            processor=_processor(),
            processors=os.cpu_count() or 1,
            system=f"{platform.system()} {platform.machine()}",
            python=f"{platform.python_implementation()} {release}",
        )

    @property
    def key(self) -> str:
        """A short name for it, equal only for equal machines."""
        text = f"{self.processor}|{self.processors}|{self.system}|{self.python}"
        return sha256(text.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        """Say which one it is."""
        return f"{self.processors} x {self.processor}, {self.system}, {self.python}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The samples of one test on one machine.

    Attributes:
        samples: What was measured.
        reference_ns: How long the canary took there at its best; the unit for other machines.
        machine: Where it was measured.
        noise: What the machine did meanwhile.
    """

    samples: Samples
    reference_ns: int
    machine: Machine = field(default_factory=Machine.this)
    noise: Noise | None = None

    @classmethod
    def of(cls, evidence: Evidence) -> Measurement:
        """Return what evidence says of this machine, measuring its reference if need be."""
        noise = evidence.noise
        reference_ns = noise.canary_ns if noise and noise.canary_ns else fastest_canary_ns()
        return cls(samples=evidence.latency, reference_ns=reference_ns, noise=noise)

    def to_wire(self) -> dict[str, Any]:
        """Return it as text and numbers."""
        machine = {name: getattr(self.machine, name) for name in Machine.__slots__}
        return {
            "samples": self.samples.to_wire(),
            "reference_ns": self.reference_ns,
            "machine": machine,
            "noise": noise_to_wire(self.noise),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Measurement:
        """Return what :meth:`to_wire` wrote."""
        return cls(
            samples=Samples.from_wire(wire["samples"]),
            reference_ns=wire["reference_ns"],
            machine=Machine(**wire["machine"]),
            noise=Noise(**wire["noise"]) if wire["noise"] else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one figure of a test compares with its baseline.

    Attributes:
        test: The test.
        figure: ``p50`` or ``p95``.
        direction: Slower or faster by more than the margin, the same, or undecided.
        ratio: The figure now over that of the baseline, with bounds.
        before_ns: The figure of the baseline.
        now_ns: The figure now.
        calls: How many calls it rests on now.
        other_machine: The machine of the baseline, if it is another one.
    """

    test: str
    figure: str
    direction: Direction
    ratio: Interval
    before_ns: float
    now_ns: float
    calls: int
    other_machine: str = ""

    def __str__(self) -> str:
        """Say what changed, in a line or two."""
        bounds = f"99 % bounds {self.ratio.low:.2f} to {self.ratio.high:.2f}"
        text = (
            f"{self.test}: {self.figure} {self.direction}: {format_duration(self.before_ns)} -> "
            f"{format_duration(self.now_ns)}, {self.ratio.value:.2f} times ({bounds}), "
            f"{format_count(self.calls)} calls"
        )
        if self.other_machine:
            text += (
                f"\n  The baseline is from another machine ({self.other_machine}); "
                "the ratio is in units of a reference workload."
            )
        return text


class Baselines:
    """The measurements of a file, by test and machine."""

    def __init__(self, entries: Mapping[str, Mapping[str, Measurement]] | None = None) -> None:
        """Hold measurements by test and by the key of their machine."""
        self.entries: dict[str, dict[str, Measurement]] = {
            test: dict(known) for test, known in (entries or {}).items()
        }

    @classmethod
    def load(cls, path: Path) -> Baselines:
        """Read a file; one that does not exist is empty.

        Raises:
            UsageError: It is not a file of baselines.
        """
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["v"] != _WIRE_VERSION:
                msg = f"{path}: its version is {content['v']!r}, not 1. Delete it, and run once."
                raise UsageError(msg)
            return cls(
                {
                    test: {key: Measurement.from_wire(wire) for key, wire in known.items()}
                    for test, known in content["tests"].items()
                }
            )
        except OSError as error:
            msg = f"{path}: it cannot be read: {error.strerror}. Write --slo-baseline=NEW-FILE."
            raise UsageError(msg) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if isinstance(error, UsageError):
                raise
            msg = f"{path}: it is not a file of baselines. Write --slo-baseline=NEW-FILE."
            raise UsageError(msg) from error

    def save(self, path: Path) -> None:
        """Write the file in one step, so that a reader sees the old one or the new one."""
        tests = {
            test: {key: each.to_wire() for key, each in sorted(known.items())}
            for test, known in sorted(self.entries.items())
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_text(json.dumps({"v": _WIRE_VERSION, "tests": tests}, indent=1) + "\n")
        beside.replace(path)

    def record(self, test: str, measurement: Measurement) -> None:
        """Keep a measurement in place of the last one of this test and machine."""
        self.entries.setdefault(test, {})[measurement.machine.key] = measurement

    def compare(
        self, test: str, now: Measurement, *, margin: float = _MARGIN, error: float = _ERROR
    ) -> list[Change]:
        """Compare a measurement with the baseline of its test, if there is one.

        Args:
            test: The test.
            now: What was measured now.
            margin: Changes smaller than this share are no news.
            error: How often a change may be called one that is none.
        """
        known = self.entries.get(test, {})
        before = known.get(now.machine.key) or next(iter(known.values()), None)
        if before is None:
            return []
        return [_change(test, (before, now), each, margin, error) for each in _QUANTILES]


def _change(
    test: str, pair: tuple[Measurement, Measurement], quantile: float, margin: float, error: float
) -> Change:
    before, now = pair
    is_other = before.machine.key != now.machine.key
    unit = now.reference_ns / before.reference_ns if is_other else 1.0
    old, new = (_interval(each, quantile, error / 2) for each in (before, now))
    ratio = Interval(
        value=new.value / old.value / unit,
        low=new.low / old.high / unit,
        high=inf if old.low <= 0 else new.high / old.low / unit,
        effective=min(old.effective, new.effective),
        method=new.method,
    )
    return Change(
        test=test,
        figure=f"p{quantile * 100:g}",
        direction=_direction(ratio, margin, now.noise),
        ratio=ratio,
        before_ns=old.value,
        now_ns=new.value,
        calls=len(now.samples),
        other_machine=str(before.machine) if is_other else "",
    )


def _interval(measurement: Measurement, quantile: float, error: float) -> Interval:
    noise = measurement.noise or Noise()
    durations = measurement.samples.without_waits(noise.excused)
    return quantile_interval(durations, quantile, error, folded=measurement.samples.folded)


def _direction(ratio: Interval, margin: float, noise: Noise | None) -> Direction:
    factor = noise.factor if noise else 1.0
    if ratio.low / factor > 1 + margin:
        return "slower"
    if ratio.high < 1 / (1 + margin):
        return "faster"
    return "same" if ratio.high <= 1 + margin else "undecided"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
