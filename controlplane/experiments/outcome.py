"""What one ended provision says of the arm that it was assigned to. Pure.

`outcomes.py` calls it. Intention to treat: what failed before its first step counts as what failed later
does.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.experiments.merging import COST
from enchain.v1 import operation_pb2

Entry = operation_pb2.OutboxEntry
Operation = operation_pb2.Operation

SUCCESS = "success"
TIME = "time"
COMPENSATION = "compensation"
OUTPUTS = "outputs."
"""Metrics of outputs begin with it."""

OTHER = "OTHER"
"""Stands for codes that are none."""

_ENDED = frozenset({Operation.STATE_SUCCEEDED, Operation.STATE_FAILED, Operation.STATE_CANCELLED})
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_OUTPUT_CHARACTERS_MAX = 63


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one provision says.

    Attributes:
        cancelled: It was cancelled; then nothing else is said.
        code: Why it failed; empty where it did not.
        seconds: From its admission to its end; None where it did not succeed.
        values: What was measured, by metric; costs by currency, as `cost.EUR`.
    """

    cancelled: bool
    code: str
    seconds: float | None
    values: Mapping[str, float]


def counts(entry: Entry) -> bool:
    """Whether it is a provision that ended."""
    return entry.verb == operation_pb2.VERB_PROVISION and entry.state in _ENDED


def outcome_of(entry: Entry) -> Outcome:
    """Answer what a provision that ended says."""
    if entry.state == Operation.STATE_CANCELLED:
        return Outcome(cancelled=True, code="", seconds=None, values={})
    succeeded = entry.state == Operation.STATE_SUCCEEDED
    seconds = _seconds(entry) if succeeded else None
    values = {SUCCESS: float(succeeded), COMPENSATION: float(entry.compensated)}
    if seconds is not None:
        values[TIME] = seconds
    told = {**values, **_costs(entry), **_outputs(entry)}
    return Outcome(False, "" if succeeded else _code(entry), seconds, told)


def _seconds(entry: Entry) -> float | None:
    if not entry.HasField("end_time"):
        return None
    nanoseconds = (entry.end_time.seconds - entry.create_time.seconds) * 10**9
    return max(nanoseconds + entry.end_time.nanos - entry.create_time.nanos, 0) / 1e9


def _costs(entry: Entry) -> Mapping[str, float]:
    """What all steps cost together, by currency; nothing where nobody said what they cost."""
    costs: dict[str, float] = {}
    for step in entry.steps:
        cost = step.usage.cost
        if step.usage.HasField("cost") and _CURRENCY.fullmatch(cost.currency_code):
            name = f"{COST}.{cost.currency_code}"
            costs[name] = costs.get(name, 0.0) + cost.units + cost.nanos / 1e9
    return costs


def _outputs(entry: Entry) -> Mapping[str, float]:
    return {
        OUTPUTS + name: value
        for name, value in entry.measures.items()
        if math.isfinite(value) and 0 < len(name) <= _OUTPUT_CHARACTERS_MAX
    }


def _code(entry: Entry) -> str:
    """The code of the step that failed last; the word for others where none has one."""
    codes = [step.code for step in entry.steps if step.code]
    return codes[-1] if codes and _CODE.fullmatch(codes[-1]) else OTHER
