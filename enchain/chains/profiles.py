"""Workload profiles: service level, demand, expected peaks, cost weights and planning, checked when saved.

`workloads` calls it. What the numbers lead to is reckoned by the control plane's planning.
"""

import math
import re
from collections.abc import Iterator

from enchain.chains.errors import Violation
from enchain.v1 import recommendation_pb2, workload_pb2

PEAKS_MAX = 64
SIGNALS_MAX = 32
PROMQL_CHARS_MAX = 2000

_SIGNAL = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CRON_PART = re.compile(r"[0-9*,/\-]+|[A-Za-z]{3}(?:-[A-Za-z]{3})?")
_CRON_PARTS = 5
_COUNTRY = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


def profile_faults(workload: workload_pb2.Workload) -> list[Violation]:
    """Answer everything that is wrong with a workload's profile."""
    return [
        *_service_level(workload.slo),
        *_demand(workload.demand),
        *_peaks(workload.demand),
        *_cost(workload.cost),
        *_planning(workload.planning),
    ]


def _service_level(slo: workload_pb2.ServiceLevel) -> Iterator[Violation]:
    if slo.HasField("p95") and slo.p95.ToNanoseconds() <= 0:
        yield Violation("slo.p95", "write a duration longer than 0 s", "OUT_OF_RANGE")
    if not 0 <= slo.success <= 1:
        yield Violation("slo.success", "write a share from 0 to 1, or 0 % to 100 %", "OUT_OF_RANGE")


def _demand(demand: workload_pb2.DemandProfile) -> Iterator[Violation]:
    for kind, signals in (("unit", demand.unit), ("prometheus", demand.prometheus)):
        if len(signals) > SIGNALS_MAX:
            yield Violation(f"demand.{kind}", f"write at most {SIGNALS_MAX} signals", "OUT_OF_RANGE")
        for name in sorted(signals):
            if not _SIGNAL.fullmatch(name):
                told = f"{name} is no signal's name; write small letters, digits and underscores"
                yield Violation(f"demand.{kind}.{name}", told, "INVALID_ID")
    for name in sorted(demand.unit):
        if not _is_amount(demand.unit[name]):
            yield Violation(f"demand.unit.{name}", "write a number of 0 or more", "OUT_OF_RANGE")
    for name in sorted(demand.prometheus):
        if not 0 < len(demand.prometheus[name].strip()) <= PROMQL_CHARS_MAX:
            told = f"write PromQL, at most {PROMQL_CHARS_MAX} characters"
            yield Violation(f"demand.prometheus.{name}", told, "OUT_OF_RANGE")
    if demand.holidays and not _COUNTRY.fullmatch(demand.holidays):
        yield Violation(
            "demand.holidays", "write a country such as DE, or a part of it such as DE-BY", "INVALID_ID"
        )


def _peaks(demand: workload_pb2.DemandProfile) -> Iterator[Violation]:
    if len(demand.peaks) > PEAKS_MAX:
        yield Violation("demand.peaks", f"write at most {PEAKS_MAX} peaks", "OUT_OF_RANGE")
    for index, peak in enumerate(demand.peaks):
        where = f"demand.peaks[{index}]"
        parts = peak.cron.split()
        if len(parts) != _CRON_PARTS or not all(map(_CRON_PART.fullmatch, parts)):
            yield Violation(f"{where}.cron", "write five cron fields, such as 0 9 * * 1-5", "INVALID_CRON")
        if peak.duration.ToNanoseconds() <= 0:
            yield Violation(f"{where}.duration", "write a duration longer than 0 s", "OUT_OF_RANGE")
        if not _is_amount(peak.rate_per_hour):
            yield Violation(f"{where}.rate_per_hour", "write a number of 0 or more", "OUT_OF_RANGE")


def _cost(cost: workload_pb2.CostWeights) -> Iterator[Violation]:
    for name, price in (("miss_price", cost.miss_price), ("wait_price_per_hour", cost.wait_price_per_hour)):
        if not _is_amount(price):
            yield Violation(f"cost.{name}", "write a number of 0 or more", "OUT_OF_RANGE")
    if cost.currency_code and not _CURRENCY.fullmatch(cost.currency_code):
        yield Violation("cost.currency_code", "write three letters such as EUR", "INVALID_CURRENCY")


def _planning(planning: recommendation_pb2.PlanningPolicy) -> Iterator[Violation]:
    for name in ("hysteresis", "exploration"):
        if not 0 <= getattr(planning, name) <= 1:
            yield Violation(f"planning.{name}", "write a share from 0 to 1, or 0 % to 100 %", "OUT_OF_RANGE")
    for name in ("exceed_max_by", "max_cost_per_hour"):
        if not _is_amount(getattr(planning, name)):
            yield Violation(f"planning.{name}", "write a number of 0 or more", "OUT_OF_RANGE")
    if planning.max_added_instances < 0:
        yield Violation("planning.max_added_instances", "write a number of 0 or more", "OUT_OF_RANGE")
    for name in ("cool_down", "watch", "scale_in_hold"):
        if getattr(planning, name).ToNanoseconds() < 0:
            yield Violation(f"planning.{name}", "write a duration of 0 s or more", "OUT_OF_RANGE")


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and number >= 0
