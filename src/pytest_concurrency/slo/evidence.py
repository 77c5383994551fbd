"""Evidence: what objectives are held against, whatever it was measured by."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Protocol, runtime_checkable

from pytest_concurrency.errors import UsageError, is_on_purpose
from pytest_concurrency.slo.noise import Noise
from pytest_concurrency.slo.objectives import Objective
from pytest_concurrency.slo.quantities import duration_ns
from pytest_concurrency.slo.samples import Samples, merge_samples

__tracebackhide__ = is_on_purpose

Tags = tuple[tuple[str, str], ...]

_WIRE_VERSION: Final = 1


@runtime_checkable
class CallLike(Protocol):
    """One call, as an outcome of the runner keeps it."""

    @property
    def started_ns(self) -> int:
        """When it started."""
        ...

    @property
    def ended_ns(self) -> int:
        """When it ended."""
        ...

    @property
    def error(self) -> BaseException | None:
        """What it raised."""
        ...


@runtime_checkable
class HasEvidence(Protocol):
    """Anything that can say what objectives are held against: a timer, a load report."""

    def evidence(self) -> Evidence:
        """Return what was measured."""
        ...


@runtime_checkable
class HasCalls(Protocol):
    """An outcome: every call with its times and its error."""

    @property
    def calls(self) -> Sequence[CallLike]:
        """Every call that ended."""
        ...


@runtime_checkable
class HasDurations(Protocol):
    """Anything with durations in seconds; ``errors`` and ``wall_time`` are used if it has them."""

    @property
    def durations(self) -> Sequence[float]:
        """The duration of each call."""
        ...


@runtime_checkable
class PoolUse(Protocol):
    """A connection pool that was watched, or that is asked now."""

    @property
    def in_use(self) -> int:
        """The most connections that were out at once."""
        ...

    @property
    def capacity(self) -> int:
        """How many may be out at once."""
        ...


Source = HasEvidence | HasCalls | HasDurations | PoolUse | Samples | Sequence[float]
"""What :func:`evidence_of` understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was measured, in the terms of objectives.

    Attributes:
        latency: The durations of the calls, and which of them failed.
        calls: How many calls there were, if more than have a duration.
        errors: How many of them failed.
        seconds: From the first start to the last end.
        memory_bytes: The peak above the start.
        pool_use: The largest share of a pool that was out.
        checks: How many checks passed, of how many.
        series: Other durations by name, such as ``lock wait``.
        tagged: The evidence of the calls with some tags.
        noise: What the machine did meanwhile.
        where_time_went: What is known about single calls, by position.
        warm_up_ns: The slowest of the calls that were set aside as warm-up.
    """

    latency: Samples = field(default_factory=Samples)
    calls: int = 0
    errors: int = 0
    seconds: float | None = None
    memory_bytes: int | None = None
    pool_use: float | None = None
    checks: tuple[int, int] | None = None
    series: Mapping[str, Samples] = field(default_factory=dict)
    tagged: Mapping[Tags, Evidence] = field(default_factory=dict)
    noise: Noise | None = None
    where_time_went: Mapping[int, str] = field(default_factory=dict)
    warm_up_ns: int | None = None

    def evidence(self) -> Evidence:
        """Return itself."""
        return self

    def select(self, tags: Tags) -> Evidence | None:
        """Return the evidence of the calls that have all of these tags, if there are any."""
        if not tags:
            return self
        wanted = set(tags)
        parts = [part for has, part in self.tagged.items() if wanted <= set(has)]
        return merge_evidence(parts) if parts else None

    def samples_for(self, objective: Objective) -> Samples:
        """Return the durations that an objective speaks of."""
        return self.series.get(objective.series, Samples()) if objective.series else self.latency

    def to_wire(self) -> dict[str, Any]:
        """Return the evidence as text and numbers, for a report that crosses processes."""
        return {
            "v": _WIRE_VERSION,
            "latency": self.latency.to_wire(),
            "calls": self.calls,
            "errors": self.errors,
            "seconds": self.seconds,
            "memory_bytes": self.memory_bytes,
            "pool_use": self.pool_use,
            "checks": list(self.checks) if self.checks else None,
            "series": {name: samples.to_wire() for name, samples in self.series.items()},
            "tagged": [[[list(t) for t in has], p.to_wire()] for has, p in self.tagged.items()],
            "noise": noise_to_wire(self.noise),
            "where_time_went": [[at, text] for at, text in self.where_time_went.items()],
            "warm_up_ns": self.warm_up_ns,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Evidence:
        """Return the evidence that :meth:`to_wire` wrote."""
        return cls(
            latency=Samples.from_wire(wire["latency"]),
            calls=wire["calls"],
            errors=wire["errors"],
            seconds=wire["seconds"],
            memory_bytes=wire["memory_bytes"],
            pool_use=wire["pool_use"],
            checks=(wire["checks"][0], wire["checks"][1]) if wire["checks"] else None,
            series={name: Samples.from_wire(each) for name, each in wire["series"].items()},
            tagged={
                tuple((name, value) for name, value in has): cls.from_wire(part)
                for has, part in wire["tagged"]
            },
            noise=Noise(**wire["noise"]) if wire["noise"] else None,
            where_time_went=dict(wire["where_time_went"]),
            warm_up_ns=wire["warm_up_ns"],
        )


def noise_to_wire(noise: Noise | None) -> dict[str, Any] | None:
    """Return noise as text and numbers."""
    if noise is None:
        return None
    return {each.name: getattr(noise, each.name) for each in fields(noise)}


def merge_evidence(parts: Sequence[Evidence]) -> Evidence:
    """Return the evidence of several sources as one."""
    if len(parts) == 1:
        return parts[0]
    names = {name for part in parts for name in part.series}
    tags = {has for part in parts for has in part.tagged}
    checks = [part.checks for part in parts if part.checks]
    return Evidence(
        latency=merge_samples([part.latency for part in parts]),
        calls=sum(part.calls for part in parts),
        errors=sum(part.errors for part in parts),
        seconds=max((p.seconds for p in parts if p.seconds is not None), default=None),
        memory_bytes=max(
            (p.memory_bytes for p in parts if p.memory_bytes is not None), default=None
        ),
        pool_use=max((p.pool_use for p in parts if p.pool_use is not None), default=None),
        checks=(sum(c[0] for c in checks), sum(c[1] for c in checks)) if checks else None,
        series={
            name: merge_samples([p.series[name] for p in parts if name in p.series])
            for name in sorted(names)
        },
        tagged={
            has: merge_evidence([p.tagged[has] for p in parts if has in p.tagged])
            for has in sorted(tags)
        },
        noise=next((part.noise for part in parts if part.noise), None),
        warm_up_ns=max((p.warm_up_ns for p in parts if p.warm_up_ns is not None), default=None),
    )


def evidence_of(source: Source) -> Evidence:
    """Return what objectives can be held against, from anything that was measured.

    Args:
        source: Evidence, anything with ``evidence()``, an outcome, a pool, samples, or durations
            in seconds.

    Raises:
        UsageError: The source has no durations.
    """
    if isinstance(source, HasEvidence):
        return source.evidence()
    for known, read in _READERS:
        if isinstance(source, known):
            return read(source)
    if isinstance(source, Iterable) and not isinstance(source, str | bytes):
        return _of_seconds(source)
    msg = (
        f"assert_slo: {type(source).__name__!r} has no durations. "
        "Give an outcome, a perf_timer, a pool, or durations in seconds."
    )
    raise UsageError(msg)


def evidence_of_calls(calls: Iterable[CallLike], *, unfinished: int = 0) -> Evidence:
    """Return the evidence of calls with their times and errors.

    Args:
        calls: Every call that ended.
        unfinished: How many more never did; they count as errors.
    """
    ordered = sorted(calls, key=lambda call: call.started_ns)
    failed = [position for position, call in enumerate(ordered) if call.error is not None]
    samples = Samples.of((call.ended_ns - call.started_ns for call in ordered), failed=failed)
    ended_ns = max((call.ended_ns for call in ordered), default=0)
    return Evidence(
        latency=samples,
        calls=len(ordered) + unfinished,
        errors=len(failed) + unfinished,
        seconds=(ended_ns - ordered[0].started_ns) / 1e9 if ordered else None,
        where_time_went={at: _who(c) for at, c in enumerate(ordered) if hasattr(c, "worker")},
    )


def _of_samples(samples: Samples) -> Evidence:
    return Evidence(latency=samples, calls=len(samples), errors=samples.errors)


def _of_outcome(source: HasCalls) -> Evidence:
    return evidence_of_calls(source.calls, unfinished=int(getattr(source, "unfinished", 0)))


def _of_pool(source: PoolUse) -> Evidence:
    return Evidence(pool_use=source.in_use / source.capacity)


def _who(call: CallLike) -> str:
    worker, turn = getattr(call, "worker", "?"), getattr(call, "round", 0)
    return f"worker {worker}, round {turn}" if turn else f"worker {worker}"


def _of_durations(source: HasDurations) -> Evidence:
    evidence = _of_seconds(source.durations)
    errors = getattr(source, "errors", 0)
    failed = len(errors) if isinstance(errors, Sized) else int(errors)
    seconds = getattr(source, "wall_time", None)
    return replace(evidence, errors=failed, seconds=None if seconds is None else float(seconds))


def _of_seconds(durations: Iterable[float]) -> Evidence:
    return _of_samples(
        Samples(ns=array("q", [duration_ns(each, where="assert_slo") for each in durations]))
    )


_READERS: Final[tuple[tuple[Any, Callable[[Any], Evidence]], ...]] = (
    (Samples, _of_samples),
    (HasCalls, _of_outcome),
    (HasDurations, _of_durations),
    (PoolUse, _of_pool),
)
