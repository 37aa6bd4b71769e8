"""From what Terraform says went wrong to findings with stable codes. Pure; called where runs are read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from enchain.sdk.port import Finding
from enchain.v1 import diagnostic_pb2

STATE_LOCKED = "STATE_LOCKED"
PLAN_STALE = "PLAN_STALE"
RETRYABLE = frozenset({STATE_LOCKED, "PROVIDER_UNAVAILABLE"})
"""Codes of findings after which the same call may succeed later."""

_CODES = (
    (
        re.compile(r"acquiring the state lock"),
        STATE_LOCKED,
        "Wait until the other run has ended, then retry.",
    ),
    (re.compile(r"[Ss]aved plan is stale"), PLAN_STALE, "Plan again."),
    (
        re.compile(r"provisioner error"),
        "PROVISIONER_FAILED",
        "Look at the command's output in the detail and correct the module.",
    ),
    (
        re.compile(r"[Ii]nvalid value for (input )?variable"),
        "INVALID_VARIABLE",
        "Give a value that the module takes.",
    ),
    (re.compile(r"[Nn]o value for required variable"), "MISSING_VARIABLE", "Give the variable a value."),
    (
        re.compile(r"[Ff]ailed to (query available provider packages|install provider)"),
        "PROVIDER_UNAVAILABLE",
        "Let this host reach the provider registry, or name a mirror in ENCHAIN_TERRAFORM_CLI_CONFIG.",
    ),
    (
        re.compile(r"[Uu]nsupported Terraform Core version"),
        "TOOL_VERSION_UNSUPPORTED",
        "Install a version that fits.",
    ),
)
_REQUESTER = frozenset({"INVALID_VARIABLE", "MISSING_VARIABLE"})
_SEVERITIES = {"error": diagnostic_pb2.SEVERITY_ERROR, "warning": diagnostic_pb2.SEVERITY_WARNING}
_VARIABLE_BLOCK = re.compile(r'^variable "([^"]+)"')
_PLACE = re.compile(r"^\s*on (\S+) line (\d+)", re.MULTILINE)
_HEADLINE = re.compile(r"^(Error|Warning): (.+)$")
_BOX = "╷│╵"


def from_diagnostic(diagnostic: Mapping[str, Any]) -> Finding:
    """Turn one diagnostic of a `-json` run into a finding."""
    address = str(diagnostic.get("address", ""))
    where = diagnostic.get("range") or {}
    file = str(where.get("filename", ""))
    snippet = diagnostic.get("snippet") or {}
    detail = "\n".join(
        part for part in (str(diagnostic.get("detail", "")).strip(), _code_line(snippet)) if part
    )
    return _finding(
        severity=str(diagnostic.get("severity", "error")),
        headline=str(diagnostic.get("summary", "")),
        address=address,
        detail=detail,
        variable=_variable(snippet),
        # What lies beside the module is ours and tells people nothing.
        place=("", 0) if file.startswith("..") else (file, int((where.get("start") or {}).get("line", 0))),
    )


def from_text(text: str) -> list[Finding]:
    """Read the findings of a command that speaks no JSON, such as `init`."""
    found: list[tuple[str, str, list[str]]] = []
    for raw in text.splitlines():
        line = raw.lstrip(_BOX).removeprefix(" ").rstrip()
        headline = _HEADLINE.match(line)
        if headline:
            found.append((headline[1].lower(), headline[2], []))
        elif found:
            found[-1][2].append(line)
    return [_from_block(severity, headline, "\n".join(body).strip()) for severity, headline, body in found]


def ended_badly(command: str, returncode: int, last_words: str) -> Finding:
    """Say that the tool failed without saying why."""
    how = f"was killed by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
    return Finding(
        f"terraform {command} {how}",
        code="TOOL_KILLED" if returncode < 0 else "TOOL_FAILED",
        detail=last_words,
        remedy="Read the log lines of the step, then retry.",
        exit_code=returncode if returncode >= 0 else None,
    )


def state_missing(directory: str) -> Finding:
    """Say that something was made and nobody knows any more what."""
    return Finding(
        "the state of what was made is missing, so nobody knows what is left",
        code="STATE_MISSING",
        detail=f"Expected in {directory}.",
        remedy="Bring the work's directory back from a backup, or remove by hand what was made.",
    )


def unrecorded(in_flight: Sequence[str], note: str) -> Finding:
    """Say that things may exist that the state does not list; `note` is the file that says so."""
    about = ", ".join(in_flight) or "resources that are not known"
    return Finding(
        f"an earlier run was killed while it changed {about}: things may exist that no state knows",
        code="UNRECORDED",
        detail="Everything that the state knew is destroyed.",
        remedy=f"Look for such things by hand, then delete {note} and deprovision again.",
    )


def _from_block(severity: str, headline: str, body: str) -> Finding:
    place = _PLACE.search(body)
    at = (place[1], int(place[2])) if place else ("", 0)
    return _finding(severity=severity, headline=headline, address="", detail=body, variable="", place=at)


def _finding(
    *, severity: str, headline: str, address: str, detail: str, variable: str, place: tuple[str, int]
) -> Finding:
    code, remedy = _classified(headline)
    audience = diagnostic_pb2.AUDIENCE_REQUESTER if code in _REQUESTER else diagnostic_pb2.AUDIENCE_PLATFORM
    return Finding(
        summary=f"{address}: {headline}" if address else headline,
        code=code,
        detail=detail,
        path=f"inputs.with.{variable}" if variable else "",
        remedy=remedy,
        severity=_SEVERITIES.get(severity, diagnostic_pb2.SEVERITY_ERROR),
        audience=audience,
        file=place[0],
        line=place[1],
    )


def _classified(headline: str) -> tuple[str, str]:
    for pattern, code, remedy in _CODES:
        if pattern.search(headline):
            return code, remedy
    return "TERRAFORM_DIAGNOSTIC", ""


def _variable(snippet: Mapping[str, Any]) -> str:
    for value in snippet.get("values") or []:
        traversal = str(value.get("traversal", ""))
        if traversal.startswith("var."):
            return traversal.removeprefix("var.")
    block = _VARIABLE_BLOCK.match(str(snippet.get("context") or ""))
    return block[1] if block else ""


def _code_line(snippet: Mapping[str, Any]) -> str:
    """Answer the line of source, but none that deals with a sensitive value."""
    sensitive = any("sensitive" in str(value.get("statement", "")) for value in snippet.get("values") or [])
    code = str(snippet.get("code") or "").strip()
    return f"  {code}" if code and not sensitive else ""
