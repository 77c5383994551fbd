"""The grammar of objectives, and what to say to what is not one."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn, cast

from pytest_concurrency.errors import UsageError, is_on_purpose, nearest
from pytest_concurrency.slo.objectives import METRICS, SERIES, Comparison, Objective
from pytest_concurrency.slo.quantities import Kind, Quantity, parse_quantity

__tracebackhide__ = is_on_purpose

_COMPARISON: Final = re.compile(r"<=|>=|=<|=>|==|!=|<|>|=|≤|≥")
_TAG_EQUALS: Final = re.compile(r"\{[^}]*\}?")
_HEAD: Final = re.compile(
    r"(?P<name>[^({]*?)\s*(?:\((?P<argument>[^)]*)\))?\s*(?:\{(?P<tags>[^}]*)\})?"
)
_QUANTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,4})?)")
_ORDINAL: Final = re.compile(
    r"p?(\d{1,2}(?:\.\d+)?)\s*(?:p|%|th|st|nd|rd)*\s*(?:perc\w*|quant\w*)?"
)
_MEANT_COMPARISON: Final = {
    "=<": "<=",
    "=>": ">=",
    "≤": "<=",
    "≥": ">=",
}
_MEANT: Final = {
    "median": "p50",
    "avg": "mean",
    "average": "mean",
    "maximum": "max",
    "worst": "max",
    "p100": "max",
    "latency": "p95",
    "duration": "max",
    "time": "max",
    "elapsed": "max",
    "error": "errors",
    "error rate": "errors",
    "error_rate": "errors",
    "failures": "errors",
    "failed": "errors",
    "success rate": "success",
    "success_rate": "success",
    "successes": "success",
    "uptime": "availability",
    "rps": "throughput",
    "rate": "throughput",
    "requests": "throughput",
    "ram": "memory",
    "rss": "memory",
    "mem": "memory",
    "connections": "pool",
    "pool usage": "pool",
}
_STATISTICS: Final = ("mean", "max")


class _Head(NamedTuple):
    """What stands left of the comparison."""

    metric: str
    quantile: float | None
    series: str
    tags: tuple[tuple[str, str], ...]
    threshold_ns: int | None


def parse_objective(text: str, *, where: str = "") -> Objective:
    """Read an objective.

    >>> str(parse_objective("p95{endpoint=/swaps}<2s"))
    'p95{endpoint=/swaps} < 2s'

    Args:
        text: What the user wrote.
        where: What to name before it at the start of an error.

    Raises:
        UsageError: The text is not an objective; the error says what to write.
    """
    if not isinstance(text, str):
        prefix = f"{where}({text!r})" if where else repr(text)
        msg = f"{prefix}: an objective is text. Write 'p95 < 50ms'."
        raise UsageError(msg)
    return _Reader(text.strip(), where).read()


def as_objective(objective: str | Objective) -> Objective:
    """Return an objective, read if it is text."""
    return objective if isinstance(objective, Objective) else parse_objective(objective)


def is_figure(word: str) -> bool:
    """Return whether a word is a figure, or one that people mistake for a figure."""
    lower = word.lower()
    return lower in METRICS or lower in _MEANT or _ORDINAL.fullmatch(lower) is not None


class _Reader:
    """One text being read; it knows what to put before an error."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = f"{where}({text!r})" if where else repr(text)

    def read(self) -> Objective:
        left, comparison, right = self._split()
        head = self._head(left)
        metric = METRICS[head.metric]
        limit = self._limit(left, comparison, right, head)
        wanted = "<" if metric.better == "lower" else ">"
        if comparison[0] != wanted:
            other = wanted + comparison[1:]
            self._refuse(
                f"{left} is good when it is {metric.better}",
                f"Write '{left} {other} {right}'",
            )
        self._check_range(left, comparison, right, limit)
        return Objective(
            metric=head.metric,
            comparison=cast("Comparison", comparison),
            limit=limit.value,
            limit_text=limit.text,
            quantile=head.quantile,
            series=head.series,
            tags=head.tags,
            threshold_ns=head.threshold_ns,
        )

    def _split(self) -> tuple[str, str, str]:
        hidden = _TAG_EQUALS.sub(lambda tags: "\0" * len(tags[0]), self.text)
        found = list(_COMPARISON.finditer(hidden))
        if not self.text:
            self._refuse("the objective is empty", "Write 'p95 < 50ms'")
        if "{" in self.text and "}" not in self.text:
            self._refuse("'}' is missing", "Write 'p95{tag=value} < 50ms'")
        if not found:
            self._refuse("there is no comparison", self._with_comparison())
        if len(found) > 1:
            self._several(hidden)
        start, end = found[0].span()
        left, right = self.text[:start].strip(), self.text[end:].strip()
        sign = found[0][0]
        if sign in ("=", "==", "!="):
            self._refuse(f"{sign!r} cannot be held", self._rewritten(left, right))
        if sign in _MEANT_COMPARISON:
            sign = _MEANT_COMPARISON[sign]
            self._refuse("the comparison is misspelt", f"Write '{left} {sign} {right}'")
        if not left:
            self._refuse("nothing is compared", f"Write 'p95 {sign} {right or '50ms'}'")
        if left[0].isdigit() and not _ORDINAL.fullmatch(left) and right:
            turned = {"<": ">", ">": "<"}[sign[0]] + sign[1:]
            self._refuse("the limit stands first", f"Write '{right} {turned} {left}'")
        return left, sign, right

    def _several(self, hidden: str) -> NoReturn:
        parts = [part.strip() for part in re.split(r",|;|\band\b", self.text) if part.strip()]
        if len(parts) > 1 and "\0" not in hidden:
            shown = ", ".join(repr(part) for part in parts)
            self._refuse("there are several objectives in it", f"Write {shown}")
        self._refuse("there are two comparisons", "Write one, such as 'p95 < 50ms'")

    def _with_comparison(self) -> str:
        words = self.text.split()
        word = words[0].lower()
        if not _QUANTILE.fullmatch(word) and word not in METRICS:
            return "Write 'p95 < 50ms'"
        return f"Write '{self._rewritten_text(words[0], words[-1] if len(words) > 1 else '')}'"

    def _rewritten(self, left: str, right: str) -> str:
        return f"Write '{self._rewritten_text(left, right)}'"

    def _rewritten_text(self, left: str, right: str) -> str:
        metric = METRICS[
            "quantile"
            if left.lower().startswith("p") and left[1:2].isdigit()
            else left.lower()
            if left.lower() in METRICS
            else "quantile"
        ]
        sign = "<" if metric.better == "lower" else ">="
        has_number = any(character.isdigit() for character in right)
        return f"{left} {sign} {right if has_number else metric.example.split()[-1]}"

    def _head(self, left: str) -> _Head:
        match = _HEAD.fullmatch(left)
        if match is None:
            self._refuse("the brackets do not match", "Write 'p95{tag=value} < 50ms'")
        name = " ".join(match["name"].lower().split())
        series = next((each for each in SERIES if name == each or name.startswith(each + " ")), "")
        statistic = name[len(series) :].strip()
        metric, quantile = self._figure(match["name"], statistic, series)
        if metric == "apdex":
            threshold_ns = self._threshold(match["argument"])
        elif match["argument"] is not None:
            self._refuse(
                f"{statistic} takes nothing in brackets", f"Write '{METRICS[metric].example}'"
            )
        else:
            threshold_ns = None
        tags = self._tags(match["tags"], metric)
        return _Head(metric, quantile, series, tags, threshold_ns)

    def _figure(self, written: str, statistic: str, series: str) -> tuple[str, float | None]:
        before = f"{series} " if series else ""
        quantile = _QUANTILE.fullmatch(statistic)
        if quantile and float(quantile[1]) > 0:
            return "quantile", float(quantile[1]) / 100
        if quantile:
            self._refuse("p0 is not a quantile", f"Write '{before}p50'")
        if series and not statistic:
            self._refuse(f"{series} has quantiles, a mean and a maximum", f"Write '{series} p95'")
        if statistic not in (_STATISTICS if series else METRICS) or statistic == "quantile":
            self._refuse_figure(written.strip(), statistic, before)
        return statistic, None

    def _refuse_figure(self, written: str, statistic: str, before: str) -> NoReturn:
        meant = _MEANT.get(statistic)
        ordinal = _ORDINAL.fullmatch(statistic)
        if ordinal and float(ordinal[1]) > 0:
            meant = f"p{ordinal[1][:7]}"
        meant = f"{before}{meant}" if meant else nearest(before + statistic, _names(before))
        wrong = f"{written!r} is not a figure"
        if meant:
            self._refuse(wrong, f"Write {self.text.replace(written, meant, 1)!r}")
        known = ", ".join(each for each in METRICS if each not in ("quantile", *_STATISTICS))
        self._refuse(wrong, f"Write p50 to p99.99, mean, max, {known}, or 'lock wait p95'")

    def _threshold(self, argument: str | None) -> int:
        time = parse_quantity(argument or "0ns", where=self.where, kind="duration")
        if time.value <= 0:
            self._refuse("apdex needs the time that satisfies", "Write 'apdex(500ms) > 0.9'")
        return round(time.value)

    def _tags(self, written: str | None, metric: str) -> tuple[tuple[str, str], ...]:
        if written is None:
            return ()
        if metric in ("memory", "pool"):
            self._refuse(f"{metric} is not known per tag", f"Write '{METRICS[metric].example}'")
        pairs = []
        for part in written.split(","):
            name, equals, value = part.partition("=")
            if not (name.strip() and equals and value.strip()):
                shown = name.strip() or "tag"
                self._refuse(f"{part.strip()!r} is not a tag", f"Write '{{{shown}=value}}'")
            pairs.append((name.strip(), value.strip()))
        return tuple(pairs)

    def _limit(self, left: str, comparison: str, right: str, head: _Head) -> Quantity:
        kind = METRICS[head.metric].kind
        example = METRICS[head.metric].example.split()[-1]
        if not right:
            self._refuse("there is no limit", f"Write '{left} {comparison} {example}'")
        if re.fullmatch(r"[\d_]*\.?\d+", right) and kind != "number":
            rewritten = [f"'{left} {comparison} {each}'" for each in _with_units(right, kind)]
            self._refuse("the threshold has no unit", f"Write {' or '.join(rewritten)}")
        if kind == "number" and right.endswith("%"):
            share = f"{parse_quantity(right, where=self.where, kind='ratio').value:.10g}"
            self._refuse(
                f"{head.metric} is a number from 0 to 1", f"Write '{left} {comparison} {share}'"
            )
        return parse_quantity(right, where=self.where, kind=kind)

    def _check_range(self, left: str, comparison: str, right: str, limit: Quantity) -> None:
        if limit.value < 0:
            self._refuse("the limit is negative", f"Write '{left} {comparison} {right[1:]}'")
        top = {"ratio": "100%", "number": "1"}.get(limit.kind)
        if top is not None and limit.value > 1:
            self._refuse(f"{right} is more than {top}", f"Write a limit up to {top}")
        impossible = (comparison == "<" and limit.value == 0) or (
            top is not None and comparison == ">" and limit.value == 1
        )
        if impossible:
            self._refuse("nothing can be that", f"Write '{left} {comparison}= {right}'")

    def _refuse(self, wrong: str, advice: str) -> NoReturn:
        msg = f"{self.where}: {wrong}. {advice}."
        raise UsageError(msg)


def _names(before: str) -> list[str]:
    """Return the figures that a misspelt one is compared with."""
    quantiles = [*_STATISTICS, "p50", "p95", "p99"]
    if before:
        return [f"{before}{each}" for each in quantiles]
    plain = [each for each in METRICS if each != "quantile"]
    return [*plain, *quantiles, *(f"{each} {stat}" for each in SERIES for stat in quantiles)]


def _with_units(number: str, kind: Kind) -> list[str]:
    if kind == "ratio":
        fraction = float(number)
        as_percent = f"{fraction * 100:.10g}%"
        return [as_percent, f"{number}%"] if fraction < 1 else [f"{number}%"]
    units = {"duration": ("ms", "s"), "size": ("MB", "GB"), "rate": ("/s", "/min")}
    return [f"{number}{unit}" for unit in units[kind]]
