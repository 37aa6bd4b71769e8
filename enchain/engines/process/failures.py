"""How a step of this engine fails, in words that help: what was seen, the service's own last lines, a remedy.

`applying` and the engine raise what is made here. Secrets are blotted out of the service's lines. Pure but
for reading a log.
"""

from collections.abc import Mapping, Sequence

from enchain.engines.process.launching import LaunchError
from enchain.engines.process.logfile import last_lines
from enchain.engines.process.readiness import NotReadyError
from enchain.engines.process.records import LOG, Service
from enchain.engines.process.secret_env import masked
from enchain.engines.process.stopping import StillRunningError
from enchain.sdk.port import Finding, StepFailedError

_LINES = 20


def invalid(findings: Sequence[Finding]) -> StepFailedError:
    """The inputs are wrong; nothing was touched."""
    return StepFailedError(*findings, left_behind=False)


def ports_exhausted(ports: range, *, standing: bool) -> StepFailedError:
    """No port of the range is free."""
    finding = Finding(
        summary=f"no port between {ports[0]} and {ports[-1]} is free",
        code="PORTS_EXHAUSTED",
        remedy="Remove services, or give the engine a larger range with --ports.",
    )
    return StepFailedError(finding, left_behind=standing, retryable=True, retry_after=10.0)


def not_ready_failure(
    error: NotReadyError, service: Service, secrets: Mapping[str, str], *, exit_code: int | None
) -> StepFailedError:
    """The service was started and did not become ready."""
    finding = Finding(
        summary=f"the service did not become ready: {error}",
        code="PORT_IN_USE" if error.stranger else "NOT_READY",
        detail=_said(service, secrets),
        path="inputs.run" if error.ended else "inputs.ready",
        remedy="Read what the service said; correct `run` or `files`, or give it longer with `ready.within`.",
        exit_code=exit_code,
    )
    return StepFailedError(finding, retryable=error.stranger)


def launch_failure(error: LaunchError, service: Service, secrets: Mapping[str, str]) -> StepFailedError:
    """The process could not be started."""
    finding = Finding(
        summary=f"the service could not be started: {error}",
        code="NOT_STARTED",
        detail=_said(service, secrets),
        path="inputs.run",
        remedy="Check that the engine's host has processes and memory to spare.",
    )
    return StepFailedError(finding, retryable=True)


def still_running(error: StillRunningError) -> StepFailedError:
    """Processes outlive SIGKILL."""
    finding = Finding(
        summary=f"the service could not be ended: {error}",
        code="STILL_RUNNING",
        remedy="Look at these processes on the engine's host; the kernel keeps them.",
    )
    return StepFailedError(finding, left_behind=True, retryable=True)


def files_failure(error: OSError, *, left_behind: bool) -> StepFailedError:
    """The file system did not do what was asked."""
    finding = Finding(
        summary=f"the service's files could not be changed: {error.strerror or error}",
        code="FILES_FAILED",
        detail=str(error.filename or ""),
        path="inputs.files",
        remedy="Check for links or directories in the way, and for space on the engine's disk.",
    )
    return StepFailedError(finding, left_behind=left_behind)


def unproven(why: str) -> StepFailedError:
    """It cannot be said that nothing is there."""
    finding = Finding(
        summary=f"the service's absence cannot be proven: {why}",
        code="ABSENCE_UNPROVEN",
        remedy="Run the step on an engine instance of that scope.",
    )
    return StepFailedError(finding, left_behind=True)


def _said(service: Service, secrets: Mapping[str, str]) -> str:
    return masked("\n".join(last_lines(service.home / LOG, _LINES)), secrets)
