"""The connection pool's figures, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from residency.store.pool import CountedPool


class PoolFigures(Collector):
    """Reads an engine's pool when somebody asks: one that was disposed of has another by then."""

    def __init__(self, engine: Engine) -> None:
        """Show the pool of an engine."""
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield how many connections are in use, in overflow and waited for, and the waits."""
        pool = self._engine.pool
        if not isinstance(pool, CountedPool):
            return
        for name, about, value in (
            ("connections", "Database connections in use", pool.checkedout()),
            ("overflow", "Database connections in use beyond the pool's size", pool.in_overflow()),
            ("size", "Database connections that the pool keeps", pool.size()),
            ("waiting", "Callers that wait for a connection", pool.waits.now),
        ):
            yield GaugeMetricFamily(f"residency_pool_{name}", about, value=value)
        for name, about, total in (
            ("waits", "Callers that waited for a connection", pool.waits.count),
            ("wait_seconds", "Seconds that callers waited", pool.waits.seconds),
            ("timeouts", "Callers that waited in vain", pool.waits.timeouts),
        ):
            yield CounterMetricFamily(f"residency_pool_{name}", about, value=total)
