"""Preparing: artifacts fetched, schema asked for, inputs checked, before anything is recorded or made.

The step runner calls it. It touches nothing but the cache of artifacts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from enchain.chains.errors import EnchainError, InvalidArgumentError, OurError, Violation
from enchain.chains.values import to_python_map
from enchain.engine.v1 import engine_pb2
from enchain.sdk import schemas
from enchain.sdk.budgets import fitting
from enchain.sdk.context import Prepared
from enchain.sdk.port import Finding, StepFailedError
from enchain.sdk.results import Speaker
from enchain.sdk.workshop import Workshop
from enchain.v1 import chain_pb2, diagnostic_pb2, workload_pb2


class Preparer:
    """Turns a request into what an engine is given."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def prepare(
        self,
        request: engine_pb2.ApplyRequest | engine_pb2.PlanRequest | engine_pb2.DestroyRequest,
        *,
        destroys: bool,
    ) -> Prepared:
        """Fetch, ask and check. A destroy has no inputs of its own.

        Raises:
            InvalidArgumentError: The inputs are not as the schema says.
            NotFoundError: An artifact is missing.
            OurError: The engine failed while it was asked for its schema.
        """
        if destroys or isinstance(request, engine_pb2.DestroyRequest):
            return Prepared()
        artifacts = await self._directories(request.artifacts)
        schema = await self._ask_schema(artifacts, tuple(request.call.steps))
        inputs = to_python_map(request.inputs)
        violations = schemas.check(inputs, schema.inputs, field="inputs")
        if violations:
            raise InvalidArgumentError(
                f"{violations[0].field} {violations[0].description}",
                reason="INPUTS_OFF_SCHEMA",
                violations=violations,
            )
        return Prepared(inputs, artifacts, schema)

    async def validate(self, request: engine_pb2.ValidateRequest) -> Sequence[diagnostic_pb2.Diagnostic]:
        """Answer what is wrong with inputs: with regard to the schema first, then what the engine finds."""
        speaker = Speaker("", self._workshop.engine.name, self._workshop.engine.tool)
        artifacts = await self._directories(request.artifacts)
        schema = await self._ask_schema(artifacts, ())
        inputs = to_python_map(request.inputs)
        violations = schemas.check(inputs, schema.inputs, field="inputs")
        if violations:
            return [speaker.of_sdk(_as_finding(violation)) for violation in violations]
        try:
            findings = await self._workshop.engine.validate(inputs, artifacts)
        except StepFailedError as error:
            findings = error.findings
        return fitting(speaker.of_engine(finding) for finding in findings)

    async def schema(
        self, artifacts: Mapping[str, workload_pb2.ArtifactRef], steps: Sequence[str]
    ) -> chain_pb2.EngineSchema:
        """Answer what a step with some artifacts takes and gives."""
        return await self._ask_schema(await self._directories(artifacts), steps)

    async def _directories(self, artifacts: Mapping[str, workload_pb2.ArtifactRef]) -> dict[str, Path]:
        unknown = sorted(set(artifacts) - set(self._workshop.engine.artifact_inputs))
        if unknown:
            known = ", ".join(self._workshop.engine.artifact_inputs) or "none"
            raise InvalidArgumentError(
                f"the engine {self._workshop.engine.name} takes no artifact {unknown[0]}",
                reason="UNKNOWN_ARTIFACT",
                violations=[
                    Violation(f"artifacts.{name}", f"is no artifact of the engine; it has {known}")
                    for name in unknown
                ],
            )
        cache = self._workshop.artifacts
        return {name: await cache.directory(artifacts[name].digest) for name in sorted(artifacts)}

    async def _ask_schema(
        self, artifacts: Mapping[str, Path], steps: Sequence[str]
    ) -> chain_pb2.EngineSchema:
        try:
            return await self._workshop.engine.schema(artifacts, steps)
        except StepFailedError as error:
            raise InvalidArgumentError(
                str(error),
                reason=error.findings[0].code if error.findings else "SCHEMA_FAILED",
                remedy=error.findings[0].remedy if error.findings else "",
                violations=[
                    Violation(finding.path or "artifacts", finding.summary, finding.code)
                    for finding in error.findings
                ],
            ) from error
        except EnchainError:
            raise
        except Exception as error:
            raise OurError(
                f"the engine failed with {type(error).__name__} when asked for its schema",
                reason="ENGINE_CRASHED",
            ) from error


def _as_finding(violation: Violation) -> Finding:
    return Finding(
        f"{violation.field} {violation.description}",
        code=violation.reason,
        path=violation.field,
        audience=diagnostic_pb2.AUDIENCE_REQUESTER,
    )
