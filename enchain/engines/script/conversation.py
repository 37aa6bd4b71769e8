"""What a script says from its first line to its end, held against the contract. Pure; `session.py` feeds it.

A script that breaks the contract has failed, whatever else it says: nobody knows what it has done. So a
broken contract is never a clean failure, and never a success.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enchain.chains.values import Json
from enchain.engines.script.answers import Answer, Fault, read_answer
from enchain.sdk.courier import Kind
from enchain.sdk.port import Finding
from enchain.v1 import diagnostic_pb2
from enchain.v1.provisioning_pb2 import PlannedChange

FAULTS_MAX = 8
FINDINGS_MAX = 32
CHANGES_MAX = 200
LAST_LINES = 10
_LINE_CHARS = 300

_ALWAYS = frozenset({"progress", "log", "diagnostic", "result"})
_MAKES = _ALWAYS | {"handle", "output"}
_LOOKS = _ALWAYS | {"change", "output"}
_ALLOWED: Mapping[str, frozenset[str]] = {
    "apply": _MAKES,
    "update": _MAKES,
    "destroy": _ALWAYS,
    "plan": _LOOKS,
    "observe": _LOOKS,
}
_SEVERITIES = {
    "error": diagnostic_pb2.SEVERITY_ERROR,
    "warning": diagnostic_pb2.SEVERITY_WARNING,
    "info": diagnostic_pb2.SEVERITY_INFO,
}
_AUDIENCES = {
    "requester": diagnostic_pb2.AUDIENCE_REQUESTER,
    "platform": diagnostic_pb2.AUDIENCE_PLATFORM,
}
_ACTIONS = {
    "create": PlannedChange.ACTION_CREATE,
    "update": PlannedChange.ACTION_UPDATE,
    "replace": PlannedChange.ACTION_REPLACE,
    "delete": PlannedChange.ACTION_DELETE,
    "none": PlannedChange.ACTION_NONE,
}
_CONTRACT = "Correct the script; docs/script-engine.md says what it may answer."


@dataclass(frozen=True, slots=True)
class Told:
    """What a line asks for; each is None where it does not.

    Attributes:
        progress: Message and fraction.
        log: A line for the log.
        finding: To be reported at once.
        handle: To be recorded, and then acknowledged.
    """

    progress: tuple[str, float | None] | None = None
    log: str | None = None
    finding: Finding | None = None
    handle: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended.

    Attributes:
        findings: Why it failed; empty where it did not.
        left_behind: Something was made and may still be there.
    """

    findings: tuple[Finding, ...] = ()
    left_behind: bool = True
    retryable: bool = False
    retry_after: float | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    changes: tuple[PlannedChange, ...] = ()
    present: bool | None = None
    summary: str = ""


class Conversation:
    """Takes the lines of one run in their order.

    Args:
        verb: What the script was asked for.
    """

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._faults: list[Finding] = []
        self._errors: list[Finding] = []
        self._changes: list[PlannedChange] = []
        self._outputs: dict[str, Json] = {}
        self._result: Mapping[str, Json] | None = None
        self._not_started = ""
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._number = 0

    def feed(self, kind: Kind, text: str) -> Told:
        """Take a line; answer what it asks for."""
        match kind:
            case Kind.ANSWER:
                return self._answer(text)
            case Kind.BEYOND:
                self._fault("LINE_TOO_LONG" if "longer" in text else "ANSWERS_TOO_MANY", text)
                return Told()
            case Kind.NOT_STARTED:
                self._not_started = text
                return Told()
            case _:
                return self._log(text)

    def end(self, returncode: int) -> Ended:
        """Take the exit code; answer how it ended."""
        if self._not_started:
            return Ended((_not_started(self._not_started),), left_behind=False)
        result = self._result
        if result is None:
            self._errors.append(self._without_result(returncode))
        elif result["ok"] and returncode != 0:
            self._fault(
                "EXIT_CONTRADICTS",
                f"its result is ok and its exit code is {returncode}",
                exit_code=returncode,
            )
        if self._faults or result is None:
            return Ended((*self._faults, *self._errors))
        if not result["ok"]:
            return self._failed(result, returncode)
        return Ended(
            outputs={**self._outputs, **result.get("outputs", {})},
            changes=tuple(self._changes),
            present=result.get("present"),
            summary=result.get("summary", ""),
        )

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Answer the errors that were told so far; after a success they are worth a report."""
        return tuple(self._errors)

    def _answer(self, line: str) -> Told:
        self._number += 1
        answer = read_answer(line)
        if answer is None:
            return self._log(line)
        if isinstance(answer, Fault):
            self._fault(answer.code, answer.summary)
            return Told()
        if answer.kind not in _ALLOWED[self._verb]:
            self._fault("ANSWER_OUT_OF_PLACE", f"a {answer.kind} is no answer to {self._verb}")
            return Told()
        if self._result is not None and answer.kind != "log":
            repeated = answer.kind == "result"
            self._fault(
                "RESULT_REPEATED" if repeated else "ANSWER_AFTER_RESULT",
                "there is a second result" if repeated else f"a {answer.kind} follows the result",
            )
            return Told()
        told = self._take(answer)
        return Told(told.progress, told.log, _unknown_fields(answer), told.handle) if answer.unknown else told

    def _take(self, answer: Answer) -> Told:
        fields = answer.fields
        match answer.kind:
            case "progress":
                return Told(progress=(fields["message"], fields.get("fraction")))
            case "log":
                return self._log(fields["line"])
            case "handle":
                return Told(handle=fields["data"])
            case "diagnostic":
                return self._diagnostic(fields)
            case "output":
                self._outputs[fields["name"]] = fields["value"]
            case "change":
                self._change(fields)
            case _:
                self._result = fields
        return Told()

    def _log(self, line: str) -> Told:
        self._lines.append(line[:_LINE_CHARS])
        return Told(log=line)

    def _diagnostic(self, fields: Mapping[str, Json]) -> Told:
        finding = _finding(fields)
        if finding.severity != diagnostic_pb2.SEVERITY_ERROR:
            return Told(finding=finding)
        if len(self._errors) < FINDINGS_MAX:
            self._errors.append(finding)
        return Told()

    def _change(self, fields: Mapping[str, Json]) -> None:
        if len(self._changes) < CHANGES_MAX:
            self._changes.append(
                PlannedChange(
                    action=_ACTIONS[fields["action"]],
                    address=fields["address"],
                    detail=fields.get("detail", ""),
                )
            )

    def _fault(self, code: str, summary: str, *, exit_code: int | None = None) -> None:
        if len(self._faults) < FAULTS_MAX:
            said = summary if exit_code is not None else f"answer {self._number}: {summary}"
            self._faults.append(
                Finding(f"the script broke its contract: {said}", code, remedy=_CONTRACT, exit_code=exit_code)
            )

    def _without_result(self, returncode: int) -> Finding:
        detail = "\n".join(self._lines)
        if returncode < 0:
            return Finding(f"the script was killed by signal {-returncode}", "SCRIPT_KILLED", detail)
        if returncode > 0:
            return Finding(
                f"the script ended with exit code {returncode}",
                "SCRIPT_FAILED",
                detail,
                remedy="Read the log lines of the step.",
                exit_code=returncode,
            )
        return Finding("the script ended without a result", "RESULT_MISSING", detail, remedy=_CONTRACT)

    def _failed(self, result: Mapping[str, Any], returncode: int) -> Ended:
        errors = self._errors or [
            Finding(
                result.get("summary") or "the script says that it failed",
                "SCRIPT_FAILED",
                "\n".join(self._lines),
                exit_code=returncode,
            )
        ]
        return Ended(
            tuple(errors),
            left_behind=result.get("left_behind", True),
            retryable=result.get("retryable", False),
            retry_after=result.get("retry_after"),
        )


def _finding(fields: Mapping[str, Json]) -> Finding:
    path = fields.get("path", "")
    return Finding(
        summary=fields["summary"],
        code=fields.get("code") or "SCRIPT_DIAGNOSTIC",
        detail=fields.get("detail", ""),
        path=f"inputs.with.{path}" if path else "",
        remedy=fields.get("remedy", ""),
        severity=_SEVERITIES[fields.get("severity", "error")],
        audience=_AUDIENCES[fields.get("audience", "platform")],
    )


def _unknown_fields(answer: Answer) -> Finding:
    return Finding(
        f"the script's {answer.kind} has the unknown field {answer.unknown[0][:60]!r}, which is left out",
        "ANSWER_UNKNOWN_FIELD",
        remedy=_CONTRACT,
        severity=diagnostic_pb2.SEVERITY_WARNING,
    )


def _not_started(text: str) -> Finding:
    return Finding(
        text,
        "SCRIPT_NOT_STARTED",
        path="inputs.run",
        remedy="Check the first line of the script, and that its interpreter is installed.",
    )
