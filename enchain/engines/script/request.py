"""The document that a script is asked with, and the environment beside it. Pure; `session.py` calls it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enchain.chains.values import Json
from enchain.engines.script.command import Command, variable_of
from enchain.engines.script.manifest import CONTRACT
from enchain.sdk.port import Finding, Step, StepFailedError
from enchain.sdk.references import Place
from enchain.v1 import operation_pb2

SECRET_BYTES_MAX = 100_000
"""The kernel takes 128 KiB for one variable."""
_KEY_VERBS = {
    operation_pb2.VERB_PROVISION: "provision",
    operation_pb2.VERB_UPDATE: "update",
    operation_pb2.VERB_DEPROVISION: "deprovision",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a script is asked for.

    Attributes:
        verb: One of the contract's verbs.
        command: What it is asked with.
        argv: The command, its files found.
        bundle: Where the bundle lies; None where there is none.
        handle: What the script recorded last.
        destroys: A plan of a destroy.
    """

    verb: str
    command: Command
    argv: tuple[str, ...]
    bundle: Path | None
    handle: Mapping[str, Json] | None
    destroys: bool = False


def key_of(step: Step) -> str:
    """Name the piece of work: the same name means the same work, and is never done twice."""
    return f"{_KEY_VERBS.get(step.verb, 'look')}-{step.generation}"


def document(step: Step, asked: Asked) -> dict[str, Any]:
    """Answer the document. It holds no secret."""
    return {
        "contract": CONTRACT,
        "verb": asked.verb,
        "destroys": asked.destroys or asked.verb == "destroy",
        "work_id": step.work_id,
        "key": key_of(step),
        "generation": step.generation,
        "tenant": step.tenant,
        "workload": step.workload,
        "steps": list(step.steps),
        "deadline": step.deadline.isoformat(),
        "inputs": asked.command.inputs,
        "secrets": {variable_of(place): list(place) for place in asked.command.secrets},
        "handle": asked.handle,
    }


def environment(step: Step, asked: Asked, *, request: Path, acknowledged: Path) -> dict[str, str]:
    """Answer the variables beside the engine's own environment."""
    said = {
        "ENCHAIN_VERB": asked.verb,
        "ENCHAIN_WORK_ID": step.work_id,
        "ENCHAIN_REQUEST": str(request),
        "ENCHAIN_ACKNOWLEDGED": str(acknowledged),
    }
    return said | ({"ENCHAIN_BUNDLE": str(asked.bundle)} if asked.bundle is not None else {})


async def secret_environment(step: Step, command: Command) -> dict[str, str]:
    """Resolve the secrets; answer the variables that carry them.

    Raises:
        StepFailedError: One cannot be had, or cannot be passed on.
    """
    found = {}
    for place, ref in command.secrets.items():
        secret = await step.secrets.resolve(ref, tenant=step.tenant)
        if "\0" in secret or len(secret.encode()) > SECRET_BYTES_MAX:
            raise StepFailedError(_unusable(place), left_behind=step.prior is not None)
        found[variable_of(place)] = secret
    return found


def _unusable(place: Place) -> Finding:
    where = ".".join(map(str, place))
    return Finding(
        f"the secret for {where} holds a zero byte or more than {SECRET_BYTES_MAX} bytes",
        code="SECRET_UNUSABLE",
        path=f"inputs.with.{where}",
        remedy="Encode it, for example as base64, or pass where it lies.",
    )
