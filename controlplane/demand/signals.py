"""What is measured of a workload: the signals, their units and bounds, and where figures come from. Pure.

Everything in this folder speaks of these; `otel_names.py` says which OpenTelemetry metrics mean which signal.
"""

from dataclasses import dataclass
from enum import StrEnum

from enchain.v1 import forecast_pb2

CELL_SECONDS = 300
"""The grid that demand is kept on. Coarser grids are made of it."""

HOUR_SECONDS = 3600

GRIDS = {CELL_SECONDS: "5m", HOUR_SECONDS: "1h"}
"""The grids that are forecast on, by the name that is part of a forecast's id."""


class Signal(StrEnum):
    """A signal, by the name that workload profiles use."""

    REQUESTS = "requests"
    CPU = "cpu"
    MEMORY = "memory"
    NETWORK = "network"


class Source(StrEnum):
    """Where figures come from, the most trusted first."""

    PROMETHEUS = "prometheus"
    REQUESTS = "requests"
    OTLP = "otlp"


@dataclass(frozen=True, slots=True)
class SignalRule:
    """What values of a signal may be.

    Attributes:
        unit: UCUM, of the value in a grid cell.
        ceiling: Above it no value is believed, in `unit`. It is there to catch broken exporters, so it lies
            far above what one workload can use.
        wire: As the wire contract names it.
        lower: Below it no value is possible.
    """

    unit: str
    ceiling: float
    wire: forecast_pb2.DemandSignal.ValueType
    lower: float = 0.0


RULES: dict[Signal, SignalRule] = {
    Signal.REQUESTS: SignalRule("{request}/h", 1e9, forecast_pb2.DEMAND_SIGNAL_REQUESTS),
    Signal.CPU: SignalRule("{cpu}", 1e6, forecast_pb2.DEMAND_SIGNAL_CPU),
    Signal.MEMORY: SignalRule("By", 1e16, forecast_pb2.DEMAND_SIGNAL_MEMORY),
    Signal.NETWORK: SignalRule("By/s", 1e14, forecast_pb2.DEMAND_SIGNAL_NETWORK),
}


@dataclass(frozen=True, slots=True, order=True)
class DemandKey:
    """One signal of one workload.

    Attributes:
        workload: Its id.
        signal: Which signal.
    """

    workload: str
    signal: Signal


def signal_of(wire: int) -> Signal | None:
    """Answer the signal that the wire contract names so; None where there is no such one."""
    return next((signal for signal, rule in RULES.items() if rule.wire == wire), None)
