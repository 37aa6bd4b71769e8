"""Reading what the code under test counts, through OpenTelemetry's own in-memory reader.

OpenTelemetry takes one meter provider per process, so all tests share one; counters only grow. Compare
with what a test saw before it began.
"""

from functools import lru_cache

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader


@lru_cache(maxsize=1)
def _reader() -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return reader


def recorded(name: str, **labels: str) -> float:
    """Answer the value of a counter or gauge now, summed over labels that are not named; 0 at first."""
    data = _reader().get_metrics_data()
    if data is None:
        return 0
    return sum(
        getattr(point, "value", 0)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
        if labels.items() <= dict(point.attributes or {}).items()
    )
