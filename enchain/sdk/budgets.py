"""Budgets: what of a step is too large, and how it is cut. Pure.

Everything that leaves a step is journaled in a store with small values, so it is measured here first.
"""

from collections.abc import Iterable, Mapping, Sequence

from enchain.sdk.port import Finding
from enchain.v1 import diagnostic_pb2, value_pb2

HANDLE_BYTES_MAX = 8 * 1024
OUTPUT_BYTES_MAX = 16 * 1024
DIAGNOSTIC_BYTES_MAX = 8 * 1024
"""All diagnostics of a step together."""

SUMMARY_CHARS_MAX = 240
DETAIL_CHARS_MAX = 2000
LINE_CHARS_MAX = 2000
HANDLES_MAX = 64
"""Handles that one step may record, each replacing the one before."""

CUT = "…"


def size_of(values: Mapping[str, value_pb2.Value]) -> int:
    """Answer the bytes that values take."""
    return sum(len(name) + value.ByteSize() for name, value in values.items())


def cut(text: str, chars_max: int) -> str:
    """Cut a text; what was cut off shows as an ellipsis."""
    return text if len(text) <= chars_max else text[: chars_max - len(CUT)] + CUT


def diagnostic(finding: Finding, *, step: str, engine: str, tool: str) -> diagnostic_pb2.Diagnostic:
    """Turn a finding into a diagnostic of bounded size."""
    summary, detail = cut(finding.summary, SUMMARY_CHARS_MAX), cut(finding.detail, DETAIL_CHARS_MAX)
    return diagnostic_pb2.Diagnostic(
        severity=finding.severity,
        code=cut(finding.code, 64),
        domain=engine,
        summary=summary,
        detail=detail,
        path=cut(finding.path, SUMMARY_CHARS_MAX),
        source=diagnostic_pb2.DiagnosticSource(
            step=step,
            engine=engine,
            tool=tool,
            exit_code=finding.exit_code,
            file=cut(finding.file, SUMMARY_CHARS_MAX),
            line=finding.line,
        ),
        audience=finding.audience,
        remedy=cut(finding.remedy, SUMMARY_CHARS_MAX),
        truncated=summary != finding.summary or detail != finding.detail,
    )


def fitting(diagnostics: Iterable[diagnostic_pb2.Diagnostic]) -> Sequence[diagnostic_pb2.Diagnostic]:
    """Answer the first diagnostics that fit a step's budget; the last one says if more were left out."""
    kept: list[diagnostic_pb2.Diagnostic] = []
    left = DIAGNOSTIC_BYTES_MAX
    for item in diagnostics:
        if item.ByteSize() > left:
            if kept:
                kept[-1].truncated = True
            break
        left -= item.ByteSize()
        kept.append(item)
    return kept
