"""How a step ended, as the result that goes over the wire and into the ledger. Pure.

`enchain.sdk.work` calls it with what the engine answered or raised.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from enchain.chains.errors import EnchainError
from enchain.chains.values import Json, to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.sdk import schemas
from enchain.sdk.budgets import OUTPUT_BYTES_MAX, diagnostic, fitting, size_of
from enchain.sdk.port import Finding, StepFailedError
from enchain.v1 import chain_pb2, diagnostic_pb2

ENCHAIN = "enchain"
"""Domain of the codes that the SDK itself defines."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who a diagnostic comes from.

    Attributes:
        step: The step's name.
        engine: The engine's name, which is the domain of its codes too.
        tool: The tool beneath.
    """

    step: str
    engine: str
    tool: str

    def of_engine(self, finding: Finding) -> diagnostic_pb2.Diagnostic:
        """A finding of the engine."""
        return diagnostic(finding, step=self.step, engine=self.engine, tool=self.tool)

    def of_sdk(self, finding: Finding) -> diagnostic_pb2.Diagnostic:
        """A finding of the SDK about the engine."""
        told = self.of_engine(finding)
        told.domain = ENCHAIN
        return told


def failed(speaker: Speaker, error: StepFailedError, *, verb_destroys: bool) -> engine_pb2.StepResult:
    """The engine said that the step failed. A failed destroy always leaves something behind."""
    left_behind = error.left_behind or verb_destroys
    outcome = diagnostic_pb2.OUTCOME_FAILED_PARTIAL if left_behind else diagnostic_pb2.OUTCOME_FAILED_CLEAN
    result = engine_pb2.StepResult(
        outcome=outcome,
        diagnostics=[speaker.of_engine(finding) for finding in error.findings],
        retryable=error.retryable,
    )
    if error.retry_after is not None:
        result.retry_after.FromMilliseconds(round(error.retry_after * 1000))
    return result


def cancelled(speaker: Speaker, reason: str) -> engine_pb2.StepResult:
    """The step was cancelled; what was made, the handle says."""
    finding = Finding(
        reason or "the step was cancelled", code="CANCELLED", severity=diagnostic_pb2.SEVERITY_WARNING
    )
    return engine_pb2.StepResult(
        outcome=diagnostic_pb2.OUTCOME_CANCELLED, diagnostics=[speaker.of_sdk(finding)]
    )


def stale(speaker: Speaker) -> engine_pb2.StepResult:
    """What stands is no longer what the plan was made for; nothing was made."""
    finding = Finding(
        "what stands is no longer what the plan was made for",
        code="PLAN_STALE",
        audience=diagnostic_pb2.AUDIENCE_REQUESTER,
        remedy="Plan again.",
    )
    return engine_pb2.StepResult(
        outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN, diagnostics=[speaker.of_sdk(finding)]
    )


def crashed(speaker: Speaker, error: BaseException) -> engine_pb2.StepResult:
    """The engine raised what it must not. Only the type is told: a message may hold a secret."""
    finding = Finding(
        f"the engine failed with {type(error).__name__}",
        code="ENGINE_CRASHED",
        remedy="Look into the engine instance's log.",
    )
    return _partial(speaker, finding)


def refused(speaker: Speaker, error: EnchainError, *, begun: bool) -> engine_pb2.StepResult:
    """The SDK refused to go on in the middle of the step."""
    code = "DEADLINE_EXCEEDED" if error.reason == "DEADLINE_PAST" else error.reason
    result = _partial(speaker, Finding(error.message, code=code, remedy=error.remedy))
    if not begun:
        result.outcome = diagnostic_pb2.OUTCOME_FAILED_CLEAN
    return result


def unknown(speaker: Speaker, summary: str, code: str) -> engine_pb2.StepResult:
    """Nobody can say how it ended. It is not recorded as an end."""
    finding = Finding(summary, code=code, remedy="Look at what stands, then retry or deprovision.")
    return engine_pb2.StepResult(
        outcome=diagnostic_pb2.OUTCOME_UNKNOWN, diagnostics=[speaker.of_sdk(finding)]
    )


def _partial(speaker: Speaker, finding: Finding) -> engine_pb2.StepResult:
    return engine_pb2.StepResult(
        outcome=diagnostic_pb2.OUTCOME_FAILED_PARTIAL, diagnostics=[speaker.of_sdk(finding)]
    )


def succeeded(
    speaker: Speaker, outputs: Mapping[str, Json], schema: chain_pb2.EngineSchema
) -> engine_pb2.StepResult:
    """The engine answered: a success, unless the answer is not as its schema and the budget say."""
    result = engine_pb2.StepResult(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED)
    try:
        values = to_value_map(outputs, field="outputs")
        violations = schemas.check(outputs, schema.outputs, field="outputs")
    except EnchainError as error:
        return _partial(speaker, Finding(error.message, code="OUTPUTS_MALFORMED"))
    if violations:
        finding = Finding(
            f"{violations[0].field} {violations[0].description}",
            code="OUTPUTS_OFF_SCHEMA",
            path=violations[0].field,
            detail="\n".join(f"{fault.field} {fault.description}" for fault in violations[1:]),
        )
        return _partial(speaker, finding)
    if size_of(values) > OUTPUT_BYTES_MAX:
        finding = Finding(
            f"the outputs take {size_of(values)} bytes; at most {OUTPUT_BYTES_MAX} are kept",
            code="OUTPUTS_TOO_LARGE",
            remedy="Answer where large content lies instead of the content.",
        )
        return _partial(speaker, finding)
    for name, value in values.items():
        result.outputs[name].CopyFrom(value)
    return result


def garbage(speaker: Speaker, outputs: object) -> engine_pb2.StepResult:
    """The engine answered something that is no mapping of outputs."""
    kind = type(outputs).__name__
    return _partial(
        speaker, Finding(f"the engine answered a {kind} instead of outputs", code="OUTPUTS_MALFORMED")
    )


def telling(speaker: Speaker) -> engine_pb2.StepResult:
    """The engine answered a secret in plain sight."""
    finding = Finding(
        "the outputs hold a secret in plain sight",
        code="SECRET_IN_OUTPUTS",
        remedy="Name the output in the engine's secret_outputs.",
    )
    return _partial(speaker, finding)


def text_of(value: Json) -> str:
    """Answer a secret output that is no text as text."""
    return json.dumps(value, default=str)


def complete(
    result: engine_pb2.StepResult,
    *,
    handle: diagnostic_pb2.Handle | None,
    usage: diagnostic_pb2.Usage,
    reported: Sequence[diagnostic_pb2.Diagnostic],
) -> engine_pb2.StepResult:
    """Add handle, usage and what was reported on the way; cut the diagnostics to their budget."""
    diagnostics = fitting([*result.diagnostics, *reported])
    del result.diagnostics[:]
    result.diagnostics.extend(diagnostics)
    if handle is not None:
        result.handle.CopyFrom(handle)
    result.usage.CopyFrom(usage)
    return result


def to_record(message: engine_pb2.StepResult | diagnostic_pb2.Handle) -> dict[str, Any]:
    """Turn a result or a handle into what the ledger keeps."""
    return json_format.MessageToDict(message)


def result_of(record: Mapping[str, Any]) -> engine_pb2.StepResult:
    """Turn it back."""
    return json_format.ParseDict(dict(record), engine_pb2.StepResult(), ignore_unknown_fields=True)


def handle_of(record: Mapping[str, Any]) -> diagnostic_pb2.Handle:
    """Turn it back."""
    return json_format.ParseDict(dict(record), diagnostic_pb2.Handle(), ignore_unknown_fields=True)
