"""Objectives are read from one grammar; what is not one is answered with what to write."""

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.grammar import parse_objective

WRONG = [
    ("", "the objective is empty. Write 'p95 < 50ms'."),
    ("p95", "there is no comparison. Write 'p95 < 50ms'."),
    ("p95 50ms", "there is no comparison. Write 'p95 < 50ms'."),
    ("p95 under 500ms", "there is no comparison. Write 'p95 < 500ms'."),
    ("fast", "there is no comparison. Write 'p95 < 50ms'."),
    ("errors", "there is no comparison. Write 'errors < 1%'."),
    ("p95 < 50", "the threshold has no unit. Write 'p95 < 50ms' or 'p95 < 50s'."),
    ("p95 <", "there is no limit. Write 'p95 < 50ms'."),
    ("< 50ms", "nothing is compared. Write 'p95 < 50ms'."),
    ("p95 < 50 sec", "'sec' is not a unit. Write '50s'."),
    ("p95 < 50MS", "'MS' is not a unit. Write '50ms'."),
    ("p95 < 1%", "'1%' is a share in percent, not a duration. Write '1ms' or '1s'."),
    ("p95 < 5MB", "'5MB' is a size, not a duration. Write '5ms' or '5s'."),
    ("p95 = 50ms", "'=' cannot be held. Write 'p95 < 50ms'."),
    ("p95 == 50ms", "'==' cannot be held. Write 'p95 < 50ms'."),
    ("p95 != 50ms", "'!=' cannot be held. Write 'p95 < 50ms'."),
    ("p95 =< 50ms", "the comparison is misspelt. Write 'p95 <= 50ms'."),
    ("p95 ≤ 50ms", "the comparison is misspelt. Write 'p95 <= 50ms'."),
    ("p95 > 50ms", "p95 is good when it is lower. Write 'p95 < 50ms'."),
    ("success < 95%", "success is good when it is higher. Write 'success > 95%'."),
    ("throughput <= 100/s", "throughput is good when it is higher. Write 'throughput >= 100/s'."),
    ("500ms > p95", "the limit stands first. Write 'p95 < 500ms'."),
    ("50ms >= mean", "the limit stands first. Write 'mean <= 50ms'."),
    (
        "p95 < 50ms, p99 < 1s",
        ("there are several objectives in it. Write 'p95 < 50ms', 'p99 < 1s'."),
    ),
    (
        "p95 < 50ms and errors < 1%",
        ("there are several objectives in it. Write 'p95 < 50ms', 'errors < 1%'."),
    ),
    ("1ms < p95 < 50ms", "there are two comparisons. Write one, such as 'p95 < 50ms'."),
    ("p0 < 5ms", "p0 is not a quantile. Write 'p50'."),
    ("p100 < 5ms", "'p100' is not a figure. Write 'max < 5ms'."),
    ("p95th < 5ms", "'p95th' is not a figure. Write 'p95 < 5ms'."),
    ("95th percentile < 5ms", "'95th percentile' is not a figure. Write 'p95 < 5ms'."),
    ("p 95 < 5ms", "'p 95' is not a figure. Write 'p95 < 5ms'."),
    ("99p < 1s", "'99p' is not a figure. Write 'p99 < 1s'."),
    ("median < 5ms", "'median' is not a figure. Write 'p50 < 5ms'."),
    ("avg < 5ms", "'avg' is not a figure. Write 'mean < 5ms'."),
    ("latency < 50ms", "'latency' is not a figure. Write 'p95 < 50ms'."),
    ("error rate < 1%", "'error rate' is not a figure. Write 'errors < 1%'."),
    ("error < 1%", "'error' is not a figure. Write 'errors < 1%'."),
    ("erors < 1%", "'erors' is not a figure. Write 'errors < 1%'."),
    ("availabilty >= 99.9%", "'availabilty' is not a figure. Write 'availability >= 99.9%'."),
    ("thruput > 5/s", "'thruput' is not a figure. Write 'throughput > 5/s'."),
    (
        "throughput > 100",
        ("the threshold has no unit. Write 'throughput > 100/s' or 'throughput > 100/min'."),
    ),
    ("throughput > 100rps", "'rps' is not a unit. Write '100/s'."),
    ("throughput > 100MB", "'100MB' is a size, not a rate. Write '100/s' or '100/min'."),
    ("memory < 500", "the threshold has no unit. Write 'memory < 500MB' or 'memory < 500GB'."),
    ("memory < 500mb", "'mb' is not a unit. Write '500MB'."),
    ("memory < 5s", "'5s' is a duration, not a size. Write '5MB' or '5GB'."),
    ("rss < 500MB", "'rss' is not a figure. Write 'memory < 500MB'."),
    ("pool < 90", "the threshold has no unit. Write 'pool < 90%'."),
    ("pool < 0.9", "the threshold has no unit. Write 'pool < 90%' or 'pool < 0.9%'."),
    ("pool < 150%", "150% is more than 100%. Write a limit up to 100%."),
    ("errors < 0%", "nothing can be that. Write 'errors <= 0%'."),
    ("success > 100%", "nothing can be that. Write 'success >= 100%'."),
    ("errors < -1%", "the limit is negative. Write 'errors < 1%'."),
    ("p95 < -5ms", "the limit is negative. Write 'p95 < 5ms'."),
    ("p95 < 0ms", "nothing can be that. Write 'p95 <= 0ms'."),
    ("apdex > 0.9", "apdex needs the time that satisfies. Write 'apdex(500ms) > 0.9'."),
    ("apdex(0ms) > 0.9", "apdex needs the time that satisfies. Write 'apdex(500ms) > 0.9'."),
    ("apdex(500) > 0.9", "'500' has no unit. Write '500ms' or '500s'."),
    ("apdex(500ms) > 90%", "apdex is a number from 0 to 1. Write 'apdex(500ms) > 0.9'."),
    ("apdex(500ms) > 1.5", "1.5 is more than 1. Write a limit up to 1."),
    ("p95(5ms) < 1s", "p95 takes nothing in brackets. Write 'p95 < 50ms'."),
    ("lock wait < 50ms", "lock wait has quantiles, a mean and a maximum. Write 'lock wait p95'."),
    ("lockwait p95 < 50ms", "'lockwait p95' is not a figure. Write 'lock wait p95 < 50ms'."),
    (
        "lock wait throughput > 5/s",
        ("'lock wait throughput' is not a figure. Write 'lock wait p99 > 5/s'."),
    ),
    ("lock wait p0 < 5ms", "p0 is not a quantile. Write 'lock wait p50'."),
    ("lock wait median < 5ms", "'lock wait median' is not a figure. Write 'lock wait p50 < 5ms'."),
    ("p95{endpoint} < 2s", "'endpoint' is not a tag. Write '{endpoint=value}'."),
    ("p95{} < 2s", "'' is not a tag. Write '{tag=value}'."),
    ("p95{=x} < 2s", "'=x' is not a tag. Write '{tag=value}'."),
    ("p95{a=b < 2s", "'}' is missing. Write 'p95{tag=value} < 50ms'."),
    ("memory{a=b} < 5MB", "memory is not known per tag. Write 'memory < 500MB'."),
    (
        "xyzzy < 5ms",
        (
            "'xyzzy' is not a figure. Write p50 to p99.99, mean, max, errors, success, "
            "availability, checks, throughput, memory, pool, apdex, or 'lock wait p95'."
        ),
    ),
    ("p95 < fast", "'fast' is not a duration. Write '50ms' or '50s'."),
    ("p95 < 1,5s", "'1,5s' has a comma. Write '1.5s'."),
    ("checks < 98%", "checks is good when it is higher. Write 'checks > 98%'."),
    ("p99.99999 < 1s", "'p99.99999' is not a figure. Write 'p99.9999 < 1s'."),
    (
        "p101 < 1s",
        (
            "'p101' is not a figure. Write p50 to p99.99, mean, max, errors, success, "
            "availability, checks, throughput, memory, pool, apdex, or 'lock wait p95'."
        ),
    ),
    ("mean<5ms<", "there are two comparisons. Write one, such as 'p95 < 50ms'."),
    ("error_rate<1%", "'error_rate' is not a figure. Write 'errors<1%'."),
    (None, "an objective is text. Write 'p95 < 50ms'."),
    (50, "an objective is text. Write 'p95 < 50ms'."),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[repr(text) for text, _ in WRONG])
def test_a_wrong_objective_is_answered(text, message):
    """The error names the objective, what is wrong with it, and what to write."""
    with pytest.raises(UsageError) as refused:
        parse_objective(text)

    assert str(refused.value) == f"{text!r}: {message}"


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[repr(text) for text, _ in WRONG])
def test_the_place_stands_before_the_error(text, message):
    """A marker or a setting is named first, with the objective in brackets."""
    with pytest.raises(UsageError) as refused:
        parse_objective(text, where="tests/test_book.py::test_rush: slo")

    assert str(refused.value) == f"tests/test_book.py::test_rush: slo({text!r}): {message}"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("p95<500ms", "p95 < 500ms"),
        (" P99.99  < 1s ", "p99.99 < 1s"),
        ("p50 <= 5 us", "p50 <= 5 us"),
        ("mean < 20ms", "mean < 20ms"),
        ("max < 1.5 min", "max < 1.5 min"),
        ("errors <= 0%", "errors <= 0%"),
        ("errors < 0.1%", "errors < 0.1%"),
        ("success >= 100%", "success >= 100%"),
        ("availability >= 99.99%", "availability >= 99.99%"),
        ("checks > 98%", "checks > 98%"),
        ("throughput > 100/min", "throughput > 100/min"),
        ("memory < 500MB", "memory < 500MB"),
        ("pool < 90%", "pool < 90%"),
        ("apdex( 500ms ) >= 0.9", "apdex(500ms) >= 0.9"),
        ("lock  wait p95 < 50ms", "lock wait p95 < 50ms"),
        ("pool wait max < 1s", "pool wait max < 1s"),
        ("p95{endpoint=/swaps,method=GET}<2s", "p95{endpoint=/swaps, method=GET} < 2s"),
        ("errors{url=/a?b<c} < 1%", "errors{url=/a?b<c} < 1%"),
    ],
)
def test_an_objective_is_read_and_written(text, canonical):
    """Reading what was written gives the same objective again."""
    objective = parse_objective(text)

    assert str(objective) == canonical
    assert parse_objective(canonical) == objective


@pytest.mark.parametrize(
    ("text", "inside", "at", "outside"),
    [
        ("errors < 50%", 0.49, 0.5, 0.51),
        ("success > 50%", 0.51, 0.5, 0.49),
    ],
)
def test_a_strict_comparison_excludes_its_limit(text, inside, at, outside):
    """Less than and more than leave the limit itself out; the others take it in."""
    strict = parse_objective(text)
    loose = parse_objective(text.replace("<", "<=").replace(">", ">="))

    assert [strict.holds_for(value) for value in (inside, at, outside)] == [True, False, False]
    assert [loose.holds_for(value) for value in (inside, at, outside)] == [True, True, False]


def test_an_objective_is_neither_true_nor_false():
    """Asserting an objective that was never held against anything is refused."""
    objective = parse_objective("p95 < 50ms")

    with pytest.raises(TypeError) as refused:
        bool(objective)

    assert str(refused.value) == (
        "an Objective is neither true nor false before it is held against samples. "
        "Write assert_slo(outcome, 'p95 < 50ms')."
    )
