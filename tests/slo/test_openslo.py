"""OpenSLO documents are read as named SLOs, and answered where they cannot be."""

import pytest

from pytest_concurrency.errors import UsageError
from pytest_concurrency.slo.openslo import slos_of_openslo


def document(objectives, **spec):
    """Return an OpenSLO document."""
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": "checkout"},
        "spec": {
            "service": "shop",
            "timeWindow": [{"duration": "28d", "isRolling": True}],
            "objectives": objectives,
            **spec,
        },
    }


def test_openslo_is_read():
    """Ratios become success rates, thresholds quantiles, and display names tiers."""
    ratio = slos_of_openslo([document([{"target": 0.999}])], where="f")["checkout"]
    threshold = document(
        [{"op": "lt", "value": 0.25, "targetPercent": 99, "displayName": "strict"}]
    )
    tiered = slos_of_openslo([{"kind": "Service"}, threshold], where="f")["checkout"]

    assert [str(each) for each in ratio.objectives] == ["success >= 99.9%"]
    assert (ratio.window, ratio.service) == ("28d", "shop")
    assert [str(each) for each in tiered.objectives_of("strict")] == ["p99 < 0.25s"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"apiVersion": "openslo/v2alpha"},
            "f: SLO 'checkout': apiVersion 'openslo/v2alpha' is not read. Write openslo/v1.",
        ),
        (
            {"spec": {"objectives": []}},
            "f: SLO 'checkout': it has no objective. Write objectives: [{target: 0.99}].",
        ),
        (
            {"spec": {"objectives": [{"target": 99}]}},
            "f: SLO 'checkout': target 99 is not between 0 and 1. Write target: 0.99.",
        ),
        (
            {"spec": {"objectives": [{"target": 0.9, "op": "gt", "value": 1}]}},
            "f: SLO 'checkout': op 'gt' is not a latency's. Write op: lte.",
        ),
        (
            {"spec": {"objectives": [{"target": 0.9, "op": "ltte", "value": 1}]}},
            "f: SLO 'checkout': op 'ltte' is not a comparison. Write op: lte.",
        ),
        (
            {"spec": {"objectives": [{"target": 0.9, "op": ["lt"], "value": 1}]}},
            "f: SLO 'checkout': op ['lt'] is not a comparison. Write op: lte.",
        ),
        (
            {"spec": {"objectives": [{"target": 0.9, "value": "fast"}]}},
            "f: SLO 'checkout': value 'fast' is not a time in seconds. Write value: 0.5.",
        ),
        (
            {"spec": {"objectives": [{"targetPercent": "most"}]}},
            (
                "f: SLO 'checkout': targetPercent 'most' is not between 0 and 100. "
                "Write targetPercent: 99."
            ),
        ),
        (
            {"spec": {"objectives": [{"target": True}]}},
            "f: SLO 'checkout': target True is not between 0 and 1. Write target: 0.99.",
        ),
        (
            {"spec": {"objectives": 3}},
            (
                "f: SLO 'checkout': objectives 3 is not a list of tables. "
                "Write objectives: [{target: 0.99}]."
            ),
        ),
        (
            {"spec": {"objectives": ["fast"]}},
            (
                "f: SLO 'checkout': objectives ['fast'] is not a list of tables. "
                "Write objectives: [{target: 0.99}]."
            ),
        ),
        (
            {"spec": {"objectives": [{"target": 0.9}], "timeWindow": "30d"}},
            (
                "f: SLO 'checkout': timeWindow '30d' is not a list of tables. "
                "Write timeWindow: [{duration: 30d}]."
            ),
        ),
        (
            {"spec": None},
            (
                "f: SLO 'checkout': spec None is not a table. "
                "Write spec: {objectives: [{target: 0.99}]}."
            ),
        ),
        ({"metadata": {}}, "f: an SLO has no name. Write metadata: {name: api}."),
        ({"metadata": "checkout"}, "f: an SLO has no name. Write metadata: {name: api}."),
    ],
)
def test_openslo_that_says_something_else_is_answered(change, message):
    """What cannot be expressed as objectives is refused."""
    with pytest.raises(UsageError) as refused:
        slos_of_openslo([{**document([]), **change}], where="f")

    assert str(refused.value) == message


def test_name_that_is_written_twice_is_answered():
    """Neither of two SLOs of one name is silently the one."""
    with pytest.raises(UsageError) as refused:
        slos_of_openslo([document([{"target": 0.9}])] * 2, where="f")

    assert str(refused.value) == (
        "f: SLO 'checkout': it is written twice. Give one of them another metadata.name."
    )
