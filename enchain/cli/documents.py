"""Read files of documents, send their artifacts, save them in an order that works.

`enchain apply` and `enchain dev --example` call it. Errors of the control plane are brought back to file,
line and field of the document that they are about.
"""

import hashlib
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import grpc

from enchain.artifacts.packing import pack
from enchain.chains.errors import EnchainError, NotFoundError, PeerError, Violation
from enchain.chains.values import to_python
from enchain.cli.kinds import ORDER, Parsed, parse
from enchain.cli.yamlfile import Document, DocumentError, read, spell
from enchain.client import Client
from enchain.process.statuses import from_rpc_error
from enchain.v1 import artifact_pb2, chain_pb2, engine_pb2, event_pb2, experiment_pb2, workload_pb2

_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one document: `created`, `changed` or `unchanged`."""

    kind: str
    name: str
    what: str


def load(files: Iterable[Path]) -> list[Parsed]:
    """Read and parse all documents of files (`-` is standard input), in the order in which to save them.

    Raises:
        DocumentError: A document is wrong; nothing has been sent.
    """
    parsed = [parse(document) for file in files for document in read(file, _text(file))]
    seen: dict[tuple[str, str], Document] = {}
    for item in parsed:
        document = item.document
        first = seen.setdefault((item.kind, item.name), document)
        if first is not document:
            told = f"{item.kind} {item.name} stands at {first.file}:{first.line} already"
            raise DocumentError(document.file, document.line, "name", told, "Keep one of the two.")
    return sorted(parsed, key=lambda item: ORDER.index(item.kind))


def _text(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text()
    except OSError as error:
        raise DocumentError(file, 1, "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(file, 1, "", f"is no text: {error}") from error


async def save(client: Client, item: Parsed, *, dry_run: bool) -> Saved:
    """Save one document.

    Raises:
        EnchainError: It was refused; the error names file and line.
    """
    try:
        return await _SAVERS[item.kind](client, item, dry_run=dry_run)
    except grpc.aio.AioRpcError as failure:
        raise _placed(from_rpc_error(failure), item) from failure


def _placed(error: EnchainError, item: Parsed) -> EnchainError:
    """Bring an error back to where the document was written, unless it is not about the document."""
    if isinstance(error, PeerError):
        return error
    file = item.document.file
    violations = []
    for violation in error.violations:
        place = item.place_of(violation.field)
        line = item.document.line_of(place)
        where = spell(place) or violation.field
        violations.append(Violation(f"{file}:{line}: {where}", violation.description, violation.reason))
    return type(error)(
        _message(error, item, violations),
        reason=error.reason,
        remedy=error.remedy,
        metadata=error.metadata,
        violations=violations,
        retry_after=error.retry_after,
    )


def _message(error: EnchainError, item: Parsed, violations: list[Violation]) -> str:
    """Say where and what: at the one faulty line, or at the document with its faults listed below."""
    if len(violations) == 1:
        return f"{violations[0].field}: {violations[0].description}"
    what = f"{len(violations)} faults" if violations else error.message
    return f"{item.document.file}:{item.document.line}: {item.kind} {item.name}: {what}"


async def _save_workload(client: Client, item: Parsed, *, dry_run: bool) -> Saved:
    message = item.message
    assert isinstance(message, workload_pb2.Workload)
    await _send_artifacts(client, item, message)
    before = await _etag(client.workloads.GetWorkload(workload_pb2.GetWorkloadRequest(name=message.name)))
    after = await client.workloads.UpdateWorkload(
        workload_pb2.UpdateWorkloadRequest(workload=message, allow_missing=True, validate_only=dry_run)
    )
    return Saved(item.kind, message.name, _what(before, after.etag))


async def _save_engine(client: Client, item: Parsed, *, dry_run: bool) -> Saved:
    message = item.message
    assert isinstance(message, engine_pb2.Engine)
    before = await _etag(client.engines.GetEngine(engine_pb2.GetEngineRequest(name=message.name)))
    after = await client.engines.UpdateEngine(
        engine_pb2.UpdateEngineRequest(engine=message, allow_missing=True, validate_only=dry_run)
    )
    return Saved(item.kind, message.name, _what(before, after.etag))


async def _save_chain(client: Client, item: Parsed, *, dry_run: bool) -> Saved:
    message = item.message
    assert isinstance(message, chain_pb2.Chain)
    parent, _, chain_id = message.name.rpartition("/chains/")
    before = await _etag(client.chains.GetChain(chain_pb2.GetChainRequest(name=message.name)))
    after = await client.chains.CreateChain(
        chain_pb2.CreateChainRequest(parent=parent, chain_id=chain_id, chain=message, validate_only=dry_run)
    )
    return Saved(item.kind, after.name or message.name, _what(before, after.etag))


async def _save_event(client: Client, item: Parsed, *, dry_run: bool) -> Saved:
    message = item.message
    assert isinstance(message, event_pb2.PlannedEvent)
    before = await _etag(client.events.GetPlannedEvent(event_pb2.GetPlannedEventRequest(name=message.name)))
    after = await client.events.UpdatePlannedEvent(
        event_pb2.UpdatePlannedEventRequest(event=message, allow_missing=True, validate_only=dry_run)
    )
    return Saved(item.kind, message.name, _what(before, after.etag))


async def _save_experiment(client: Client, item: Parsed, *, dry_run: bool) -> Saved:
    message = item.message
    assert isinstance(message, experiment_pb2.Experiment)
    before = await _etag(
        client.experiments.GetExperiment(experiment_pb2.GetExperimentRequest(name=message.name))
    )
    after = await client.experiments.UpdateExperiment(
        experiment_pb2.UpdateExperimentRequest(experiment=message, allow_missing=True, validate_only=dry_run)
    )
    return Saved(item.kind, message.name, _what(before, after.etag))


_SAVERS = {
    "Workload": _save_workload,
    "Engine": _save_engine,
    "Chain": _save_chain,
    "PlannedEvent": _save_event,
    "Experiment": _save_experiment,
}


def _what(before: str, after: str) -> str:
    if not before:
        return "created"
    return "unchanged" if before == after else "changed"


async def _etag(reading: object) -> str:
    try:
        return (await reading).etag  # type: ignore[misc,no-any-return]  # any message with an etag
    except grpc.aio.AioRpcError as failure:
        if isinstance(from_rpc_error(failure), NotFoundError):
            return ""
        raise


async def _send_artifacts(client: Client, item: Parsed, workload: workload_pb2.Workload) -> None:
    """Turn inputs that the engine calls artifacts into references, and send what the store lacks."""
    for index, step in enumerate(workload.steps):
        for at, implementation in enumerate(step.implementations):
            for name in await _artifact_inputs(client, implementation.engine):
                if name not in implementation.inputs:
                    continue
                source = str(to_python(implementation.inputs[name]))
                path = f"steps[{index}].implementations[{at}].inputs.{name}"
                digest = await _send(client, _packed(item, path, source), source)
                del implementation.inputs[name]
                implementation.artifacts[name].digest = digest
                implementation.artifacts[name].source = source


async def _artifact_inputs(client: Client, engine: str) -> list[str]:
    try:
        answer = await client.engines.GetEngine(engine_pb2.GetEngineRequest(name=f"engines/{engine}"))
    except grpc.aio.AioRpcError as failure:
        if isinstance(from_rpc_error(failure), NotFoundError):
            return []  # the control plane says precisely which engine is missing, and the remedy
        raise
    return sorted({name for instance in answer.instances for name in instance.artifact_inputs})


def _packed(item: Parsed, path: str, source: str) -> bytes:
    place = item.place_of(path)
    folder = item.document.file.parent / source
    try:
        return pack(folder)
    except (OSError, EnchainError) as error:
        raise DocumentError(
            item.document.file,
            item.document.line_of(place),
            spell(place),
            f"{source} cannot be sent: {error}",
            "Name a folder or a file, relative to the document.",
        ) from error


async def _send(client: Client, tar: bytes, source: str) -> str:
    hexdigest = hashlib.sha256(tar).hexdigest()
    name = f"artifacts/{hexdigest}"
    try:
        await client.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(name=name))
    except grpc.aio.AioRpcError as failure:
        if not isinstance(from_rpc_error(failure), NotFoundError):
            raise
        artifact = artifact_pb2.Artifact(
            name=name, digest=f"sha256:{hexdigest}", size_bytes=len(tar), source=source
        )
        await client.artifacts.UploadArtifact(_parts(artifact, tar))
    return f"sha256:{hexdigest}"


async def _parts(
    artifact: artifact_pb2.Artifact, tar: bytes
) -> AsyncIterator[artifact_pb2.UploadArtifactRequest]:
    yield artifact_pb2.UploadArtifactRequest(artifact=artifact)
    for start in range(0, len(tar), _CHUNK_BYTES):
        yield artifact_pb2.UploadArtifactRequest(chunk=tar[start : start + _CHUNK_BYTES])
