"""The script engine: what it does for each call of the protocol.

The SDK's server calls it. What a destroy needs (bundle, command, inputs, references to secrets) is kept in
the step's directory before the script is asked for anything. Whether something is left after a failure is
what the script says, and where it says nothing, yes.
"""

import asyncio
import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from enchain.chains.values import Json
from enchain.engines.script import schema, session
from enchain.engines.script.command import Command, faults, read_command, resolve
from enchain.engines.script.conversation import Ended
from enchain.engines.script.manifest import Manifest, read_manifest
from enchain.engines.script.request import Asked, key_of
from enchain.sdk.keeping import Keeper, settled, tree_digest
from enchain.sdk.port import (
    Engine,
    Finding,
    Observation,
    PlannedStep,
    PlanStaleError,
    Step,
    StepFailedError,
)
from enchain.sdk.references import from_records, to_records
from enchain.sdk.runs import ToolLostError
from enchain.sdk.schemas import to_struct
from enchain.v1 import chain_pb2, engine_pb2, operation_pb2
from enchain.v1.provisioning_pb2 import PlannedChange

_HANDLE_SCHEMA = "script/1"
_RUNS_MAX = 3
"""How often an instance runs a repeatable script that is lost again and again."""
_BUNDLE = "bundle"


class ScriptEngine(Engine):
    """Does steps by asking an executable of the platform team's own."""

    name = "script"
    version = version("enchain")
    capabilities = frozenset(
        {
            engine_pb2.CAPABILITY_PLAN,
            engine_pb2.CAPABILITY_OBSERVE,
            engine_pb2.CAPABILITY_CANCEL,
            engine_pb2.CAPABILITY_UPDATE,
            engine_pb2.CAPABILITY_REATTACH,
        }
    )
    artifact_inputs = (_BUNDLE,)
    only_runs = True  # the handle goes ahead of the script, and without the script nothing is made
    handle_schema = _HANDLE_SCHEMA

    async def schema(self, artifacts: Mapping[str, Path], steps: Sequence[str]) -> chain_pb2.EngineSchema:
        """Answer what the bundle's manifest says, or that anything goes."""
        del steps  # the script is told them
        manifest = await asyncio.to_thread(read_manifest, artifacts.get(_BUNDLE))
        return chain_pb2.EngineSchema(
            inputs=to_struct(schema.inputs_schema(manifest)),
            outputs=to_struct(schema.outputs_schema(manifest)),
            secret_outputs=manifest.secret_outputs,
            handle_schemas=[_HANDLE_SCHEMA],
        )

    async def validate(self, inputs: Mapping[str, Json], artifacts: Mapping[str, Path]) -> Sequence[Finding]:
        """Find commands that are not there, and values that would not be passed on."""
        bundle = artifacts.get(_BUNDLE)
        manifest = await asyncio.to_thread(read_manifest, bundle)
        if found := faults(inputs, manifest):
            return found
        argv = await asyncio.to_thread(resolve, read_command(inputs, manifest).run, bundle)
        return [argv] if isinstance(argv, Finding) else ()

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Ask the script to make or change; answer its outputs."""
        keeper = Keeper(step.directory)
        kept = await asyncio.to_thread(keeper.record)
        verb = "update" if step.verb == operation_pb2.VERB_UPDATE else "apply"
        resumed = kept is not None and kept["key"] == key_of(step)
        standing = kept is not None and (kept["standing"] if resumed else True)
        async with settled(keeper, standing=standing):
            asked = await self._asked(step, verb)
            if step.plan_digest and not resumed:
                await self._check_plan(step, asked, kept)
            bundle = await asyncio.to_thread(_keep, keeper, step, asked, standing=standing)
            await step.handle(session.handle_of(step, asked.handle or {}))
            ended = await self._repeated(step, verb, await self._found(asked, bundle))
            if ended.findings:
                raise _failure(ended)
        return ended.outputs

    async def destroy(self, step: Step) -> None:
        """Ask the script to destroy, by what was kept of the last apply."""
        keeper = Keeper(step.directory)
        kept = await asyncio.to_thread(keeper.record)
        if kept is None:
            if step.prior is not None:
                raise StepFailedError(_unproven(step.directory))
            return
        asked = await self._asked_kept(step, "destroy", kept)
        await asyncio.to_thread(session.sweep, step.directory, but=key_of(step))
        ended = await session.ask(step, "destroy", asked)
        if ended.findings:
            raise _failure(ended)
        await asyncio.to_thread(keeper.forget)

    async def plan(self, step: Step) -> PlannedStep:
        """Ask the script what it would do; one that does not plan is told of as a whole."""
        kept = await asyncio.to_thread(Keeper(step.directory).record)
        if step.verb == operation_pb2.VERB_DEPROVISION:
            if kept is None:
                return PlannedStep(summary="nothing is left to destroy")
            asked = await self._asked_kept(step, "plan", kept, destroys=True)
        else:
            verb = "update" if step.verb == operation_pb2.VERB_UPDATE else "apply"
            asked = await self._asked(step, verb)
        return await self._planned(step, asked, kept)

    async def observe(self, step: Step) -> Observation:
        """Ask the script what stands; None where it does not look."""
        kept = await asyncio.to_thread(Keeper(step.directory).record)
        if kept is None:
            return Observation(present=False if step.prior is None else None)
        manifest = await asyncio.to_thread(read_manifest, _bundle_of(step, kept))
        if "observe" not in manifest.verbs:
            return Observation(present=None)
        ended = await self._look(step, await self._asked_kept(step, "observe", kept))
        return Observation(present=ended.present, drift=ended.changes, outputs=ended.outputs)

    async def _asked(self, step: Step, verb: str) -> Asked:
        """Read and check what is asked for; nothing has been touched yet."""
        bundle = step.artifacts.get(_BUNDLE)
        manifest = await asyncio.to_thread(read_manifest, bundle)
        inputs: Mapping[str, Json] = step.fill(dict(step.inputs), {})
        found = [*_undeclared(verb, manifest), *faults(inputs, manifest)]
        command = read_command(inputs, manifest)
        argv = await asyncio.to_thread(resolve, command.run, bundle)
        if isinstance(argv, Finding):
            found.append(argv)
        if found or isinstance(argv, Finding):
            raise StepFailedError(*found, left_behind=False)
        return Asked(verb, command, tuple(argv), bundle, _said(step.prior))

    async def _asked_kept(
        self, step: Step, verb: str, kept: Mapping[str, Any], *, destroys: bool = False
    ) -> Asked:
        bundle = _bundle_of(step, kept)
        manifest = await asyncio.to_thread(read_manifest, bundle)
        command = Command(tuple(kept["run"]), kept["inputs"], from_records(kept["secrets"]))
        argv = await asyncio.to_thread(resolve, command.run, bundle)
        found = _undeclared("destroy" if destroys else verb, manifest)
        if isinstance(argv, Finding):
            found.append(argv)
        if found or isinstance(argv, Finding):
            raise StepFailedError(*found)
        return Asked(verb, command, tuple(argv), bundle, _said(step.prior), destroys=destroys)

    async def _found(self, asked: Asked, bundle: Path | None) -> Asked:
        """Answer the same with the command's files found in the kept bundle."""
        argv = await asyncio.to_thread(resolve, asked.command.run, bundle)
        if isinstance(argv, Finding):
            raise StepFailedError(argv)
        return Asked(asked.verb, asked.command, tuple(argv), bundle, asked.handle)

    async def _repeated(self, step: Step, verb: str, asked: Asked) -> Ended:
        """Run it; where it was lost half-way, run it again if its manifest says that this does no harm."""
        manifest = await asyncio.to_thread(read_manifest, asked.bundle)
        for _ in range(_RUNS_MAX - 1 if manifest.repeatable else 0):
            with contextlib.suppress(ToolLostError):
                return await session.ask(step, verb, asked, repeatable=True)
        return await session.ask(step, verb, asked, repeatable=manifest.repeatable)

    async def _planned(self, step: Step, asked: Asked, kept: Mapping[str, Any] | None) -> PlannedStep:
        manifest = await asyncio.to_thread(read_manifest, asked.bundle)
        if "plan" in manifest.verbs:
            destroys = asked.destroys
            asking = Asked("plan", asked.command, asked.argv, asked.bundle, asked.handle, destroys)
            ended = await self._look(step, asking)
        else:
            ended = _unforetold(asked)
        summary = ended.summary or f"{len(ended.changes) or 'no'} changes"
        digest = await asyncio.to_thread(_plan_digest, asked, kept, ended)
        return PlannedStep(ended.changes, ended.outputs, digest, summary)

    async def _check_plan(self, step: Step, asked: Asked, kept: Mapping[str, Any] | None) -> None:
        """Plan again: what would be done now must be what was planned.

        Raises:
            PlanStaleError: It is not.
        """
        if (await self._planned(step, asked, kept)).digest != step.plan_digest:
            raise PlanStaleError("the script would not do now what was planned")

    async def _look(self, step: Step, asked: Asked) -> Ended:
        look = f"{asked.verb}-{secrets.token_hex(4)}"
        try:
            ended = await session.ask(step, look, asked)
        finally:
            await asyncio.to_thread(
                shutil.rmtree, step.directory / "exchange" / key_of(step) / look, ignore_errors=True
            )
        if ended.findings:
            raise _failure(ended)
        return ended


def _keep(keeper: Keeper, step: Step, asked: Asked, *, standing: bool) -> Path | None:
    """Write down what a destroy will need; answer where the bundle is kept."""
    digest = tree_digest(asked.bundle) if asked.bundle is not None else ""
    bundle = keeper.lay(asked.bundle, digest) if asked.bundle is not None else None
    keeper.begin(
        {
            "key": key_of(step),
            "standing": standing,
            "digest": digest,
            "run": asked.command.run,
            "inputs": asked.command.inputs,
            "secrets": to_records(asked.command.secrets),
        }
    )
    keeper.sweep(digest)
    session.sweep(keeper.root, but=key_of(step))
    return bundle


def _bundle_of(step: Step, kept: Mapping[str, Any]) -> Path | None:
    return Keeper(step.directory).tree(kept["digest"]) if kept["digest"] else None


def _said(prior: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    """Answer what the script itself recorded."""
    return None if prior is None else prior.get("data")


def _undeclared(verb: str, manifest: Manifest) -> list[Finding]:
    if verb in {*manifest.verbs, "plan"}:
        return []
    return [
        Finding(
            f"the script does not know `{verb}`",
            code="VERB_UNDECLARED",
            detail=f"It knows {', '.join(sorted(manifest.verbs))}.",
            remedy=f"Teach the script to {verb}, and name that in its manifest.",
        )
    ]


def _unforetold(asked: Asked) -> Ended:
    """Say of a script that does not plan that it would be run."""
    if asked.destroys:
        action = PlannedChange.ACTION_DELETE
    else:
        action = PlannedChange.ACTION_UPDATE if asked.verb == "update" else PlannedChange.ACTION_CREATE
    change = PlannedChange(action=action, address=asked.command.run[0], detail="the script does not plan")
    return Ended(
        changes=(change,), summary=f"{asked.command.run[0]} would be run; it does not say what changes"
    )


def _plan_digest(asked: Asked, kept: Mapping[str, Any] | None, ended: Ended) -> str:
    """Digest what is planned, and what it was planned from."""
    said = {
        "bundle": tree_digest(asked.bundle) if asked.bundle is not None else "",
        "destroys": asked.destroys,
        "run": asked.command.run,
        "inputs": asked.command.inputs,
        "secrets": to_records(asked.command.secrets),
        "standing": (kept or {}).get("key"),
        "changes": [[change.action, change.address, change.detail] for change in ended.changes],
        "outputs": ended.outputs,
    }
    return f"sha256:{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}"


def _failure(ended: Ended) -> StepFailedError:
    return StepFailedError(
        *ended.findings,
        left_behind=ended.left_behind,
        retryable=ended.retryable,
        retry_after=ended.retry_after,
    )


def _unproven(directory: Path) -> Finding:
    return Finding(
        "what was kept of the script is missing, so nobody can ask it to destroy",
        code="STATE_MISSING",
        detail=f"Expected in {directory}.",
        remedy="Bring the work's directory back from a backup, or remove by hand what was made.",
    )
