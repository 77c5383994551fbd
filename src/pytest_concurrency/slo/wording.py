"""Verdicts in words: the text of a miss, of an undecided one, and a row of the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from pytest_concurrency.slo.figures import (
    format_count,
    format_duration,
    format_interval,
    format_quantity,
    format_ratio,
)
from pytest_concurrency.slo.intervals import Interval
from pytest_concurrency.slo.objectives import METRICS, Objective
from pytest_concurrency.slo.verdicts import Verdict

_WORTH_SAYING = 0.9
_MUCH_SLOWER = 2


def missed_text(verdict: Verdict, *, again: str = "") -> str:
    """Return what to say of a missed objective.

    Args:
        verdict: The verdict.
        again: The command that runs the test alone, if there is one.
    """
    objective = verdict.objective
    lines = [f"Missed: {_name(verdict)}"]
    facts = [
        (objective.figure, _value(verdict), _evidence(verdict)),
        *_slowest(verdict),
        *_wall(verdict),
        *_warm_up(verdict),
        *_machine(verdict),
    ]
    label = max(9, *(len(fact[0]) for fact in facts))
    value = max(len(fact[1]) for fact in facts)
    written = [f"  {a:<{label}}  {b:<{value}}  {c}".rstrip() for a, b, c in facts]
    written.insert(1, f"  {'margin':<{label}}  {_margin(verdict)}")
    lines += written
    if again:
        lines.append(f"Run it alone: {again}")
    return "\n".join(lines)


def undecided_text(verdict: Verdict) -> str:
    """Return what to say of an undecided objective: why, and what would decide it."""
    objective = verdict.objective
    return f"undecided: {_name(verdict)}: {_reason(verdict)}\n  {_remedy(verdict, objective)}"


def verdict_text(verdict: Verdict) -> str:
    """Return what to say of a verdict of any kind."""
    if verdict.state == "missed":
        return missed_text(verdict)
    if verdict.state == "undecided":
        return undecided_text(verdict)
    return f"met: {_name(verdict)}: {_value(verdict)}, {_evidence(verdict)}"


def row(verdict: Verdict) -> tuple[str, str, str, str, str]:
    """Return the objective, value, bounds, number of calls and verdict for a table."""
    objective, interval = verdict.objective, verdict.interval
    bounds = (
        "" if interval.method == "counted" else f"({_interval(objective, interval, bare=True)})"
    )
    state = f"{verdict.state} ({verdict.tier})" if verdict.tier else verdict.state
    name = f"{verdict.slo}: {objective}" if verdict.slo else str(objective)
    return name, _value(verdict), bounds, _calls(verdict.calls) if verdict.calls else "", state


def table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return rows as lines with aligned columns.

    >>> table([("a", "10 ms", "met"), ("bcd", "9 ms", "missed")])
    ['a    10 ms  met', 'bcd  9 ms   missed']
    """
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip()
        for each in listed
    ]


def command(nodeid: str) -> str:
    """Return the command that runs one test alone."""
    from shlex import quote

    return f"pytest {quote(nodeid)}"


def _name(verdict: Verdict) -> str:
    if not verdict.slo:
        return str(verdict.objective)
    tier = f", tier {verdict.tier}" if verdict.tier else ""
    return f"{verdict.objective} (SLO {verdict.slo!r}{tier})"


def _calls(calls: int) -> str:
    return f"{format_count(calls)} call{'' if calls == 1 else 's'}"


def _value(verdict: Verdict) -> str:
    return format_quantity(verdict.objective.kind, verdict.interval.value)


def _interval(objective: Objective, interval: Interval, *, bare: bool = False) -> str:
    kind = objective.kind
    if interval.low == -inf and interval.high == inf:
        return "no bounds"
    if interval.low == -inf:
        return f"below {format_quantity(kind, interval.high)}"
    if interval.high == inf:
        return f"above {format_quantity(kind, interval.low)}"
    text = format_interval(kind, interval.low, interval.high)
    unit = format_quantity(kind, interval.value).rpartition(" ")[2]
    shares_unit = text.count(" ") == len(("low", "to", "high")) and text.endswith(unit)
    return text.rpartition(" ")[0] if bare and shares_unit else text


def _evidence(verdict: Verdict) -> str:
    calls = _calls(verdict.calls)
    if verdict.interval.method == "counted":
        return calls
    bounds = _interval(verdict.objective, verdict.interval)
    text = f"{verdict.confidence * 100:.4g} % bounds {bounds}, {calls}"
    if verdict.interval.effective < _WORTH_SAYING * verdict.calls:
        text += f" worth {format_count(int(verdict.interval.effective))}"
    return text


def _margin(verdict: Verdict) -> str:
    objective, value = verdict.objective, verdict.interval.value
    margin = format_quantity(objective.kind, abs(value - objective.limit))
    text = f"{margin} {'over' if objective.is_lower_better else 'short'}"
    if verdict.beyond is None or objective.quantile is None:
        return text
    share, may_be = format_ratio(verdict.beyond), format_ratio(1 - objective.quantile)
    limit = format_quantity(objective.kind, objective.limit)
    return f"{text}; {share} of the calls were over {limit}, {may_be} may be"


def _slowest(verdict: Verdict) -> list[tuple[str, str, str]]:
    slowest = verdict.slowest
    if slowest is None:
        return []
    where = f"call {format_count(slowest.position)}"
    if slowest.where:
        where += f": {slowest.where}"
    if slowest.waited_ns > 0.1 * slowest.ns:
        where += f"; {format_duration(slowest.waited_ns)} of it waiting for a processor"
    return [("slowest", format_duration(slowest.ns), where)]


def _wall(verdict: Verdict) -> list[tuple[str, str, str]]:
    objective = verdict.objective
    if verdict.wall is None or objective.kind != "duration":
        return []
    out_ns = abs(verdict.wall - verdict.interval.value)
    if not out_ns:
        return []
    taken = f"{format_duration(out_ns)} of waiting for a processor taken out (other processes)"
    return [("wall", format_duration(verdict.wall), taken)]


def _warm_up(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Tell of a slow first call: what a cold start costs is set aside, not hidden."""
    took_ns = verdict.warm_up_ns
    if took_ns is None or took_ns < _MUCH_SLOWER * verdict.interval.value:
        return []
    return [("warm-up", format_duration(took_ns), "the first call, not judged")]


def _machine(verdict: Verdict) -> list[tuple[str, str, str]]:
    noise = verdict.noise
    if noise is None:
        return []
    facts = []
    if str(noise):
        facts.append(("machine", f"{noise.factor:.2f} times", str(noise)))
    if noise.collecting_ns > 0.01 * noise.seconds * 1e9:
        facts.append(
            (
                "garbage",
                format_duration(noise.collecting_ns),
                f"in {format_count(noise.collections)} collections",
            )
        )
    return facts


def _reason(verdict: Verdict) -> str:
    objective, calls = verdict.objective, _calls(verdict.calls)
    limit = format_quantity(objective.kind, objective.limit)
    if verdict.needed is not None and verdict.calls < verdict.needed:
        within = f"all under {limit}" if objective.is_latency else _flawless(objective)
        return (
            f"{calls} cannot decide {_which(objective)} "
            f"({format_count(verdict.needed)} are needed, {within})."
        )
    bounds = _interval(objective, verdict.interval)
    noise = verdict.noise
    if str(noise or "") and not objective.holds_for(verdict.interval.low):
        return f"{_value(verdict)} on a machine {noise}."
    text = f"{_value(verdict)}, but it may be {bounds}"
    if verdict.interval.effective < _WORTH_SAYING * verdict.calls:
        worth = format_count(int(verdict.interval.effective))
        return f"{text}: {calls} resemble their neighbours and are worth {worth}."
    return f"{text} by {calls}."


def _which(objective: Objective) -> str:
    figure = objective.figure
    if not objective.is_latency:
        return f"{figure} {objective.comparison} {objective.limit_text}"
    return f"an {figure}" if figure[0] in "aeiou" else f"a {figure}"


def _flawless(objective: Objective) -> str:
    return "none of them failing" if METRICS[objective.metric].kind == "ratio" else "all within"


def _remedy(verdict: Verdict, objective: Objective) -> str:
    noise = verdict.noise
    if str(noise or "") and not objective.holds_for(verdict.interval.low):
        return "Run it alone, or compare with a rival in the same session: compare(new, old)."
    more = _more_calls(verdict)
    text = f"Collect more:  perf_timer.until_decided(max_calls={more})"
    easier = _easier(objective)
    return f"{text}, or ask for {easier}." if easier else f"{text}."


def _more_calls(verdict: Verdict) -> int:
    """Return a round number of calls that would probably decide it."""
    inflated = verdict.calls / max(verdict.interval.effective, 1)
    wanted = max((verdict.needed or 0) * inflated * 1.5, verdict.calls * 2)
    step = 10 ** max(1, len(str(int(wanted))) - 1)
    return int(-(-wanted // (step // 2)) * (step // 2))


def _easier(objective: Objective) -> str:
    if objective.quantile is None:
        return ""
    return next(
        (
            name
            for q, name in ((0.99, "p99"), (0.95, "p95"), (0.5, "p50"))
            if q < objective.quantile
        ),
        "",
    )


def verdict_lines(verdicts: Sequence[Verdict], *, before: Sequence[str] = ()) -> list[str]:
    """Return the table of several verdicts, each row after the name of its test."""
    names = before or [""] * len(verdicts)
    rows = [(name, *row(each)) for name, each in zip(names, verdicts, strict=True)]
    return table(rows) if rows else []
