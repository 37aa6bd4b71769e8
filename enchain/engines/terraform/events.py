"""Reads what Terraform tells with `-json`, line by line. Pure; `running.py` feeds it.

A `Reading` gathers what a run has told so far and answers, for each line, what is worth passing on.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from enchain.engines.terraform.findings import from_diagnostic
from enchain.sdk.port import Finding
from enchain.v1 import provisioning_pb2
from enchain.v1.provisioning_pb2 import PlannedChange

ACTIONS: Mapping[str, PlannedChange.Action.ValueType] = {
    "create": provisioning_pb2.PlannedChange.ACTION_CREATE,
    "update": provisioning_pb2.PlannedChange.ACTION_UPDATE,
    "replace": provisioning_pb2.PlannedChange.ACTION_REPLACE,
    "delete": provisioning_pb2.PlannedChange.ACTION_DELETE,
    "remove": provisioning_pb2.PlannedChange.ACTION_DELETE,
}
"""What Terraform calls a change, and what we call it. Others change nothing that stands."""
_OPERATIONS = {"replace": 2}
"""Changes that take more than one operation."""
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Told:
    """What one line is worth. Empty fields say nothing."""

    progress: str = ""
    fraction: float | None = None
    log: str = ""
    finding: Finding | None = None


@dataclass(slots=True)
class Reading:
    """What a run has told so far.

    Attributes:
        changes: What it plans to change.
        drift: What it found changed by others.
        output_actions: What happens to outputs, by name.
        findings: Its diagnostics, in order.
        in_flight: Addresses of resources whose change has begun and not ended.
        begun: The change of some resource has begun.
        done: Operations that have ended.
        last_lines: The last lines that were no JSON.
        summary: How many resources change, in Terraform's words.
    """

    changes: list[PlannedChange] = field(default_factory=list)
    drift: list[PlannedChange] = field(default_factory=list)
    output_actions: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    in_flight: set[str] = field(default_factory=set)
    begun: bool = False
    done: int = 0
    last_lines: list[str] = field(default_factory=list)
    summary: str = ""
    _planned: int = 0

    def feed(self, line: str) -> Told:
        """Take in a line and answer what is worth passing on."""
        event = _event(line)
        if event is None:
            text = line.rstrip()
            self.last_lines = [*self.last_lines, text][-_LAST_LINES:] if text else self.last_lines
            return Told(log=text)
        read = _READERS.get(str(event.get("type", "")), _read_other)
        return read(self, event)

    @property
    def fraction(self) -> float | None:
        """Answer how much of the planned work has been done, where anything is planned."""
        return min(self.done / self._planned, 1.0) if self._planned else None

    def count(self, action: str) -> None:
        """Add a change to what is planned."""
        self._planned += _OPERATIONS.get(action, 1)


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    return event if isinstance(event, dict) and "@message" in event else None


def _message(event: Mapping[str, Any]) -> str:
    return str(event["@message"])


def _change(event: Mapping[str, Any]) -> tuple[str, PlannedChange | None]:
    change = event.get("change") or {}
    action = str(change.get("action", ""))
    if action not in ACTIONS:
        return action, None
    address = str((change.get("resource") or {}).get("addr", ""))
    reason = str(change.get("reason", "")).replace("_", " ")
    return action, PlannedChange(action=ACTIONS[action], address=address, detail=reason)


def _address(event: Mapping[str, Any]) -> str:
    return str(((event.get("hook") or {}).get("resource") or {}).get("addr", ""))


def _read_planned(reading: Reading, event: Mapping[str, Any]) -> Told:
    action, change = _change(event)
    if change is not None:
        reading.changes.append(change)
        reading.count(action)
    return Told()


def _read_drift(reading: Reading, event: Mapping[str, Any]) -> Told:
    _, change = _change(event)
    if change is not None:
        reading.drift.append(change)
    return Told(log=_message(event))


def _read_outputs(reading: Reading, event: Mapping[str, Any]) -> Told:
    for name, output in (event.get("outputs") or {}).items():
        if "action" in output:
            reading.output_actions[name] = str(output["action"])
    return Told()


def _read_start(reading: Reading, event: Mapping[str, Any]) -> Told:
    reading.begun = True
    reading.in_flight.add(_address(event))
    return Told(progress=_message(event), fraction=reading.fraction)


def _read_end(reading: Reading, event: Mapping[str, Any]) -> Told:
    reading.in_flight.discard(_address(event))
    reading.done += 1
    return Told(progress=_message(event), fraction=reading.fraction)


def _read_progress(reading: Reading, event: Mapping[str, Any]) -> Told:
    return Told(progress=_message(event), fraction=reading.fraction)


def _read_summary(reading: Reading, event: Mapping[str, Any]) -> Told:
    reading.summary = _message(event)
    return Told(progress=_message(event))


def _read_provisioner_line(_: Reading, event: Mapping[str, Any]) -> Told:
    return Told(log=_message(event))


def _read_diagnostic(reading: Reading, event: Mapping[str, Any]) -> Told:
    finding = from_diagnostic(event.get("diagnostic") or {"summary": _message(event)})
    reading.findings.append(finding)
    return Told(finding=finding)


def _read_nothing(_: Reading, __: Mapping[str, Any]) -> Told:
    return Told()


def _read_other(_: Reading, event: Mapping[str, Any]) -> Told:
    return Told(log=_message(event))


_READERS: Mapping[str, Callable[[Reading, Mapping[str, Any]], Told]] = {
    "version": _read_nothing,
    "planned_change": _read_planned,
    "resource_drift": _read_drift,
    "outputs": _read_outputs,
    "change_summary": _read_summary,
    "apply_start": _read_start,
    "apply_progress": _read_progress,
    "apply_complete": _read_end,
    "apply_errored": _read_end,
    "provision_start": _read_progress,
    "provision_progress": _read_provisioner_line,
    "provision_complete": _read_nothing,
    "provision_errored": _read_nothing,
    "refresh_start": _read_progress,
    "refresh_complete": _read_nothing,
    "diagnostic": _read_diagnostic,
}
