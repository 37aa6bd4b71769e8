"""Diagnostics that enchain itself writes.

The pipeline machine and dispatch call it. One constructor, so that code, domain and audience never miss.
"""

from enchain.chains.errors import EnchainError
from enchain.v1 import diagnostic_pb2

DOMAIN = "enchain"


def finding(
    code: str,
    summary: str,
    *,
    step: str = "",
    engine: str = "",
    path: str = "",
    remedy: str = "",
    detail: str = "",
    requester: bool = False,
) -> diagnostic_pb2.Diagnostic:
    """Make an error diagnostic of enchain's own domain."""
    return diagnostic_pb2.Diagnostic(
        severity=diagnostic_pb2.SEVERITY_ERROR,
        code=code,
        domain=DOMAIN,
        summary=summary,
        detail=detail,
        path=path,
        source=diagnostic_pb2.DiagnosticSource(step=step, engine=engine),
        audience=diagnostic_pb2.AUDIENCE_REQUESTER if requester else diagnostic_pb2.AUDIENCE_PLATFORM,
        remedy=remedy,
    )


def of_error(error: EnchainError, *, step: str = "", engine: str = "") -> diagnostic_pb2.Diagnostic:
    """Turn an error into a diagnostic."""
    path = error.violations[0].field if error.violations else ""
    return finding(error.reason, error.message, step=step, engine=engine, path=path, remedy=error.remedy)
