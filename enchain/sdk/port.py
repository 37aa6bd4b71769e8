"""The Engine port: what an engine author writes, and what the SDK hands to it.

An engine is a subclass of `Engine` with `apply` and `destroy`; everything else has a default. The SDK's
server (`enchain.sdk.server`) speaks the protocol, keeps the ledger, holds the lock, cuts to the budgets,
beats the heart and registers the instance; an engine never sees gRPC, etcd or a fencing token.
`docs/engines.md` is the page to read first.

How a step survives its server: tools are started with `Step.run(name, argv)`. A run is recorded under its
name in the scope and goes on when the server dies. When the step is taken up again (by this server after a
restart, or by another instance of the scope), `apply` is called anew with the same key, and each `run` that
was begun is joined instead of begun again. So an engine writes straight code, and nothing is done twice.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText
from enchain.v1 import chain_pb2, diagnostic_pb2, engine_pb2, operation_pb2, provisioning_pb2

__all__ = [
    "CancelledStepError",
    "Engine",
    "EngineVariable",
    "Finding",
    "Host",
    "Json",
    "Observation",
    "PlanStaleError",
    "PlannedStep",
    "SecretRef",
    "SecretStore",
    "Step",
    "StepFailedError",
    "TemplateText",
    "ToolExit",
    "ToolRun",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnostic in the making; the SDK adds step and engine.

    Attributes:
        summary: One line for people.
        code: Stable UPPER_SNAKE code.
        detail: What the tool said.
        path: The input it is about, such as `inputs.with.name`.
        remedy: What to do, as an imperative sentence.
        severity: How bad it is.
        audience: Who can do something about it.
        exit_code: The tool's exit code, where it had one.
    """

    summary: str
    code: str = "TOOL_FAILED"
    detail: str = ""
    path: str = ""
    remedy: str = ""
    severity: diagnostic_pb2.Severity.ValueType = diagnostic_pb2.SEVERITY_ERROR
    audience: diagnostic_pb2.Audience.ValueType = diagnostic_pb2.AUDIENCE_PLATFORM
    exit_code: int | None = None
    file: str = ""
    line: int = 0


class StepFailedError(Exception):
    """Raised by an engine: the step failed, for these reasons.

    Args:
        findings: Why, most important first.
        left_behind: Something was made and may still be there (FAILED_PARTIAL); False only where the engine
            knows that nothing is left (FAILED_CLEAN).
        retryable: The same call may succeed later.
        retry_after: Seconds to wait before that.
    """

    def __init__(
        self,
        *findings: Finding,
        left_behind: bool = True,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__("; ".join(finding.summary for finding in findings))
        self.findings = findings
        self.left_behind = left_behind
        self.retryable = retryable
        self.retry_after = retry_after


class PlanStaleError(Exception):
    """Raised by an engine: what stands is no longer what the plan was made for."""


class CancelledStepError(Exception):
    """Raised by the SDK inside `Step.run` when the step was cancelled and the tool has stopped."""

    def __init__(self, message: str = "the step was cancelled", *, left_behind: bool = True) -> None:
        super().__init__(message)
        self.left_behind = left_behind


@dataclass(frozen=True, slots=True)
class ToolExit:
    """How a tool ended. Exactly one of the two is meaningful: a signal's number is `-returncode`."""

    returncode: int
    usage: diagnostic_pb2.Usage


class ToolRun(Protocol):
    """A tool that runs, or ran: iterate over its lines, then ask how it ended."""

    @property
    def pid(self) -> int:
        """The tool's process id."""

    def lines(self) -> AsyncIterator[str]:
        """The lines of its standard output and error, from its first, until it ends. Joined runs replay."""

    async def wait(self) -> ToolExit:
        """Wait until it has ended."""


class SecretStore(Protocol):
    """Where secrets lie. Resolves references in the tenant's name, and keeps secret outputs."""

    async def resolve(self, ref: SecretRef, *, tenant: str) -> str:
        """Answer the secret itself. Raises `StepFailedError` (clean) where it cannot be had."""

    async def keep(self, name: str, secret: str, *, tenant: str) -> SecretRef:
        """Store a secret output and answer the reference to it."""

    async def forget(self, prefix: str, *, tenant: str) -> None:
        """Delete the secrets whose names begin with `prefix`."""


class Step(Protocol):
    """One piece of work, as the SDK hands it to an engine."""

    work_id: str
    """`{resource uid}/{step}`: by this alone everything made can be found again."""
    verb: operation_pb2.Verb.ValueType
    generation: int
    tenant: str
    workload: str
    steps: Sequence[str]
    """All the workload's steps that this call does."""
    deadline: datetime
    inputs: Mapping[str, Json]
    """Checked against the schema before the engine sees them."""
    artifacts: Mapping[str, Path]
    """Unpacked, verified, read-only directories by input field."""
    prior: Mapping[str, Json] | None
    """The handle's data of an earlier generation; None at first."""
    plan_digest: str
    """The plan to apply exactly; empty where there is none."""
    directory: Path
    """This work's own directory in the state scope. It outlives the step and every instance."""
    secrets: SecretStore
    cancelled: bool
    """It was told to stop. `run` sees to that; an engine that waits for something itself looks here while it
    waits, undoes what it can, and raises `CancelledStepError`."""

    async def handle(self, data: Mapping[str, Json]) -> None:
        """Record the locator of what is about to be made. On return it is durable. At most 8 KiB.

        Call it before anything is created.
        """

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Tell what is going on; `fraction` in 0..1 where it is known."""

    def log(self, line: str) -> None:
        """Pass on a line that the tool wrote. Too many of them are dropped and counted."""

    def report(self, finding: Finding) -> None:
        """Report a finding that does not end the step, such as a warning."""

    async def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        secret_env: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> ToolRun:
        """Start a tool under a name that is unique within the step, or join it where it was begun before.

        The tool runs in a process group of its own, holds the work's lock, and outlives this server. No
        shell. `secret_env` is passed without being written down. `repeatable` says of this tool what
        `Engine.repeatable` says of all: where it was lost half-way, it is begun again.
        """

    def fill(self, value: Json, variables: Mapping[str, Json]) -> Json:
        """Complete templates: a lone hole takes the variable's value, others become text."""

    def use(self, usage: diagnostic_pb2.Usage) -> None:
        """Add to what the step has used up. Tools started with `run` are counted already."""

    def secret_name(self, output: str) -> str:
        """The name under which a secret output of this work is kept."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What a step would do. `digest` names the plan that was kept in `Step.directory`."""

    changes: Sequence[provisioning_pb2.PlannedChange] = ()
    outputs: Mapping[str, Json] = field(default_factory=dict)
    digest: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What stands. `present` is None where it could not be found out."""

    present: bool | None
    drift: Sequence[provisioning_pb2.PlannedChange] = ()
    outputs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """What the SDK tells an engine about the instance that it runs in, once, at start."""

    instance: str
    scope: Path
    """Root of the state scope; instances of one scope share it."""
    address: str
    secrets: SecretStore | None = None
    """For work that an engine does outside of steps, such as starting a service again."""


class Engine(ABC):
    """An engine. Subclass it, set the class attributes, write `apply` and `destroy`."""

    name: str
    """The engine's id, `[a-z][a-z0-9-]*`."""
    version: str
    tool: str = ""
    """The tool beneath, such as `terraform 1.15.0`."""
    capabilities: frozenset[engine_pb2.Capability.ValueType] = frozenset()
    artifact_inputs: tuple[str, ...] = ()
    """Inputs that are artifacts: a local path in a workload file, a directory in `Step.artifacts`."""
    handle_schema: str = ""
    """Shape of its handles, such as `terraform/1`; default `{name}/1`."""
    inputs: Mapping[str, Json] = {"type": "object"}
    """JSON Schema of the inputs, for engines whose schema does not depend on artifacts."""
    outputs: Mapping[str, Json] = {"type": "object"}
    variables: Mapping[str, Json] = {}
    """JSON Schema by name of the variables that it completes itself."""
    secret_outputs: tuple[str, ...] = ()
    repeatable: bool = False
    """Doing a step again that was interrupted half-way is harmless, runs or no runs."""
    only_runs: bool = False
    """All that it makes is made by tools that `Step.run` starts: where none was begun, nothing was made."""

    async def start(self, host: Host) -> None:  # noqa: B027 - an engine with nothing to find leaves it out
        """Called once before the instance is announced: find what earlier instances left running."""

    async def stop(self) -> None:  # noqa: B027 - likewise
        """Called once when the instance ends."""

    async def schema(
        self,
        artifacts: Mapping[str, Path],  # noqa: ARG002 - the default's schema depends on nothing
        steps: Sequence[str],  # noqa: ARG002 - likewise
    ) -> chain_pb2.EngineSchema:
        """Say what a step with these artifacts takes and gives. Default: the class attributes."""
        from enchain.sdk.schemas import static_schema  # noqa: PLC0415 - the port stays free of its server

        return static_schema(self)

    async def validate(
        self,
        inputs: Mapping[str, Json],  # noqa: ARG002 - the default finds nothing
        artifacts: Mapping[str, Path],  # noqa: ARG002 - likewise
    ) -> Sequence[Finding]:
        """Check inputs beyond their schema, touching nothing."""
        return ()

    @abstractmethod
    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Make or change; answer the outputs. Raise `StepFailedError` where it fails."""

    @abstractmethod
    async def destroy(self, step: Step) -> None:
        """Destroy; what is absent already is a success. `step.prior` holds the handle, where there is one."""

    async def plan(self, step: Step) -> PlannedStep:  # noqa: ARG002 - the default does not plan
        """Say what `apply` (or `destroy`, by `step.verb`) would do. Only with CAPABILITY_PLAN."""
        raise StepFailedError(Finding("this engine does not plan", code="UNIMPLEMENTED"), left_behind=False)

    async def observe(self, step: Step) -> Observation:  # noqa: ARG002 - the default does not look
        """Look at what stands. Only with CAPABILITY_OBSERVE."""
        return Observation(present=None)
