"""The ansible engine: what it does for each call of the protocol.

The SDK's server calls it. Playbooks are meant to be idempotent, so one that was lost half-way is run again.
What a destroy needs (folder, variables, references to secrets) is kept in the step's directory before a
playbook is run.
"""

import asyncio
import hashlib
import importlib.metadata
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from enchain.chains.errors import InvalidArgumentError, PreconditionError, Violation
from enchain.chains.values import Json
from enchain.engines.ansible.events import Reading
from enchain.engines.ansible.playbooks import NONE, Asked, faults, inputs_schema, read_asked
from enchain.engines.ansible.session import Play, run_play
from enchain.sdk.keeping import Keeper, settled, tree_digest
from enchain.sdk.port import (
    Engine,
    Finding,
    Host,
    Observation,
    PlannedStep,
    PlanStaleError,
    Step,
    StepFailedError,
)
from enchain.sdk.references import from_records, to_records
from enchain.sdk.schemas import to_struct
from enchain.v1 import chain_pb2, diagnostic_pb2, engine_pb2, operation_pb2

_HANDLE_SCHEMA = "ansible/1"
_PLAYBOOK = "playbook"
_DISTRIBUTION = "ansible-core"


class AnsibleEngine(Engine):
    """Makes, changes and undoes what Ansible playbooks say."""

    name = "ansible"
    version = importlib.metadata.version("enchain")
    capabilities = frozenset(
        {
            engine_pb2.CAPABILITY_PLAN,
            engine_pb2.CAPABILITY_OBSERVE,
            engine_pb2.CAPABILITY_CANCEL,
            engine_pb2.CAPABILITY_UPDATE,
            engine_pb2.CAPABILITY_REATTACH,
        }
    )
    artifact_inputs = (_PLAYBOOK,)
    handle_schema = _HANDLE_SCHEMA
    repeatable = True  # playbooks are idempotent; one that is not must not be used

    async def start(self, host: Host) -> None:
        """Find Ansible."""
        del host  # each work has all that Ansible writes in its own directory
        try:
            self.tool = f"{_DISTRIBUTION} {importlib.metadata.version(_DISTRIBUTION)}"
        except importlib.metadata.PackageNotFoundError as error:
            raise PreconditionError(
                f"{_DISTRIBUTION} is not installed beside the engine",
                reason="ANSIBLE_MISSING",
                remedy="pip install 'enchain[ansible]'",
            ) from error

    async def schema(self, artifacts: Mapping[str, Path], steps: Sequence[str]) -> chain_pb2.EngineSchema:
        """Answer which inputs the folder leaves open. A playbook says neither variables nor outputs."""
        del steps  # a playbook does all the steps that it is given at once
        if _PLAYBOOK not in artifacts:
            raise InvalidArgumentError(
                "the ansible engine needs a playbook",
                reason="PLAYBOOK_MISSING",
                remedy="Name the playbook's file, or the folder that holds it, as `playbook`.",
                violations=[Violation("artifacts.playbook", "is missing", "PLAYBOOK_MISSING")],
            )
        inputs = await asyncio.to_thread(inputs_schema, artifacts[_PLAYBOOK])
        return chain_pb2.EngineSchema(
            inputs=to_struct(inputs),
            outputs=to_struct({"type": "object"}),
            handle_schemas=[_HANDLE_SCHEMA],
        )

    async def validate(self, inputs: Mapping[str, Json], artifacts: Mapping[str, Path]) -> Sequence[Finding]:
        """Find playbooks that are not there, and variables that would not be passed on."""
        folder = artifacts[_PLAYBOOK]
        return await asyncio.to_thread(lambda: faults(read_asked(inputs, folder), folder))

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Run the playbook; answer what it set with `set_stats`."""
        keeper = Keeper(step.directory)
        kept = await asyncio.to_thread(keeper.record)
        resumed = kept is not None and kept["key"] == _key(step)
        async with settled(keeper, standing=kept is not None):
            what = await self._play(step)
            if step.plan_digest and not resumed:
                await self._check_plan(step, what, kept)
            folder = await asyncio.to_thread(_keep, keeper, step, what)
            await step.handle({"work": step.work_id, "playbook": what.file})
            what = Play(what.verb, what.file, folder, what.asked)
            return (await run_play(step, what.verb, what)).outputs

    async def destroy(self, step: Step) -> None:
        """Run the playbook that undoes, by what was kept of the last apply."""
        keeper = Keeper(step.directory)
        kept = await asyncio.to_thread(keeper.record)
        if kept is None:
            if step.prior is not None:
                raise StepFailedError(_unproven(step.directory))
            return
        what = _play_kept(step, kept, "destroy")
        if what.file == NONE:
            step.report(_nothing_undone())
        else:
            await run_play(step, "destroy", what)
        await asyncio.to_thread(keeper.forget)

    async def plan(self, step: Step) -> PlannedStep:
        """Run the playbook in check mode; what it would change is the plan."""
        kept = await asyncio.to_thread(Keeper(step.directory).record)
        if step.verb != operation_pb2.VERB_DEPROVISION:
            return await self._planned(step, await self._play(step), kept)
        if kept is None:
            return PlannedStep(summary="nothing is left to destroy")
        what = _play_kept(step, kept, "destroy")
        if what.file == NONE:
            return PlannedStep(summary="nothing is undone: the step says `destroy: none`")
        return await self._planned(step, what, kept)

    async def observe(self, step: Step) -> Observation:
        """Run the playbook in check mode: what it would change now has drifted."""
        kept = await asyncio.to_thread(Keeper(step.directory).record)
        if kept is None:
            return Observation(present=False if step.prior is None else None)
        reading = await _check(step, _play_kept(step, kept, "apply"))
        return Observation(present=True, drift=reading.changes)

    async def _play(self, step: Step) -> Play:
        """Read and check what is asked for; nothing has been touched yet."""
        folder = step.artifacts[_PLAYBOOK]
        asked = await asyncio.to_thread(read_asked, step.fill(dict(step.inputs), {}), folder)
        if found := await asyncio.to_thread(faults, asked, folder):
            raise StepFailedError(*found, left_behind=False)
        verb = "update" if step.verb == operation_pb2.VERB_UPDATE else "apply"
        return Play(verb, asked.main, folder, asked)

    async def _planned(self, step: Step, what: Play, kept: Mapping[str, Any] | None) -> PlannedStep:
        reading = await _check(step, what)
        digest = await asyncio.to_thread(_plan_digest, what, kept, reading)
        return PlannedStep(reading.changes, digest=digest, summary=_summary(reading))

    async def _check_plan(self, step: Step, what: Play, kept: Mapping[str, Any] | None) -> None:
        """Plan again: what would be done now must be what was planned.

        Raises:
            PlanStaleError: It is not.
        """
        if (await self._planned(step, what, kept)).digest != step.plan_digest:
            raise PlanStaleError("the playbook would not do now what was planned")


async def _check(step: Step, what: Play) -> Reading:
    run = f"check-{secrets.token_hex(4)}"
    try:
        return await run_play(step, run, Play(what.verb, what.file, what.folder, what.asked, check=True))
    finally:
        spec = step.directory / "exchange" / f"{run}.json"
        await asyncio.to_thread(spec.unlink, missing_ok=True)


def _key(step: Step) -> str:
    return f"{operation_pb2.Verb.Name(step.verb)}/{step.generation}"


def _keep(keeper: Keeper, step: Step, what: Play) -> Path:
    """Write down what a destroy will need; answer where the folder is kept."""
    digest = tree_digest(what.folder)
    folder = keeper.lay(what.folder, digest)
    keeper.begin(
        {
            "key": _key(step),
            "digest": digest,
            "main": what.asked.main,
            "destroy": what.asked.destroy,
            "inventory": what.asked.inventory,
            "variables": what.asked.variables,
            "secrets": to_records(what.asked.secrets),
        }
    )
    keeper.sweep(digest)
    return folder


def _play_kept(step: Step, kept: Mapping[str, Any], verb: str) -> Play:
    asked = Asked(
        kept["main"], kept["destroy"], kept["inventory"], kept["variables"], from_records(kept["secrets"])
    )
    folder = Keeper(step.directory).tree(kept["digest"])
    return Play(verb, asked.destroy if verb == "destroy" else asked.main, folder, asked)


def _plan_digest(what: Play, kept: Mapping[str, Any] | None, reading: Reading) -> str:
    """Digest what is planned, and what it was planned from."""
    said = {
        "folder": tree_digest(what.folder),
        "file": what.file,
        "inventory": what.asked.inventory,
        "destroy": what.asked.destroy,
        "variables": what.asked.variables,
        "secrets": to_records(what.asked.secrets),
        "standing": (kept or {}).get("key"),
        "changes": [[change.action, change.address, change.detail] for change in reading.changes],
    }
    return f"sha256:{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}"


def _summary(reading: Reading) -> str:
    summary = f"{len(reading.changes) or 'no'} changes"
    if reading.unforetold:
        summary += f"; of {reading.unforetold} tasks Ansible cannot tell beforehand what they would do"
    return summary


def _nothing_undone() -> Finding:
    return Finding(
        "nothing was undone: the step says `destroy: none`",
        code="NOTHING_UNDONE",
        severity=diagnostic_pb2.SEVERITY_WARNING,
    )


def _unproven(directory: Path) -> Finding:
    return Finding(
        "what was kept of the playbook is missing, so nobody can undo it",
        code="STATE_MISSING",
        detail=f"Expected in {directory}.",
        remedy="Bring the work's directory back from a backup, or remove by hand what was made.",
    )
