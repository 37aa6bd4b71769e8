"""The terraform engine: what it does for each call of the protocol.

The SDK's server calls it. Each work has a directory of its own with module, values and state (`work.py`), so
many works run side by side. Whether a failed change left anything is read from the state, never guessed.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.engines.terraform.commands import Commands
from enchain.engines.terraform.findings import PLAN_STALE, state_missing, unrecorded
from enchain.engines.terraform.inputs import accept, resolve
from enchain.engines.terraform.outputs import known_outputs, output_changes, outputs_of, planned_step
from enchain.engines.terraform.plugins import PluginCache
from enchain.engines.terraform.tool import Tool, child_environment, find, settings
from enchain.engines.terraform.variables import faults, split
from enchain.engines.terraform.work import KeptPlan, Work
from enchain.sdk.port import (
    CancelledStepError,
    Engine,
    Finding,
    Host,
    Json,
    Observation,
    PlannedStep,
    PlanStaleError,
    Step,
    StepFailedError,
)
from enchain.sdk.references import references
from enchain.sdk.schemas import to_struct
from enchain.terraform_modules import schemas
from enchain.terraform_modules.module import Module, read_module, tree_digest
from enchain.v1 import chain_pb2, engine_pb2, operation_pb2

_HANDLE_SCHEMA = "terraform/1"
_MODULES_KEPT = 64
_LOOK_ONLY = ("-json", "-input=false", "-lock=false")
"""A look takes no lock: an apply that begins meanwhile must not fail because of it."""


class TerraformEngine(Engine):
    """Makes, changes and destroys what a Terraform module describes."""

    name = "terraform"
    version = "1.0"
    capabilities = frozenset(
        {
            engine_pb2.CAPABILITY_PLAN,
            engine_pb2.CAPABILITY_OBSERVE,
            engine_pb2.CAPABILITY_CANCEL,
            engine_pb2.CAPABILITY_UPDATE,
            engine_pb2.CAPABILITY_REATTACH,
        }
    )
    artifact_inputs = ("module",)
    handle_schema = _HANDLE_SCHEMA
    repeatable = True  # an apply goes on from the state that the interrupted one left

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._modules: dict[str, Module] = {}
        self._found: Tool | None = None
        self._settings: Mapping[str, str] = {}
        self._plugins = PluginCache(Path())

    async def start(self, host: Host) -> None:
        """Find the tool and lay out what all works of the scope share."""
        root = host.scope / "terraform"
        config = root / "cli.tfrc"
        self._plugins = PluginCache(root / "plugins")
        await asyncio.to_thread(_lay_out, self._plugins, config)
        self._settings = settings(self._environ, cli_config=config, plugins=self._plugins.directory)
        self._found = await find(self._environ, self._settings, root)
        self.tool = self._found.title

    async def schema(self, artifacts: Mapping[str, Path], steps: Sequence[str]) -> chain_pb2.EngineSchema:
        """Answer the module's variables as inputs and its outputs as outputs."""
        del steps  # a module does all the steps that it is given at once
        if "module" not in artifacts:
            raise InvalidArgumentError(
                "the terraform engine needs a module",
                reason="MODULE_MISSING",
                remedy="Name the module's directory as `module`.",
                violations=[Violation("artifacts.module", "is missing", "MODULE_MISSING")],
            )
        module = await self._module(artifacts["module"])
        return chain_pb2.EngineSchema(
            inputs=to_struct(schemas.inputs_schema(module)),
            outputs=to_struct(schemas.outputs_schema(module)),
            secret_outputs=schemas.secret_outputs(module),
            handle_schemas=[_HANDLE_SCHEMA],
        )

    async def validate(self, inputs: Mapping[str, Json], artifacts: Mapping[str, Path]) -> Sequence[Finding]:
        """Find values that would not be passed on."""
        module = await self._module(artifacts["module"])
        return faults(split(inputs.get("with") or {}, module), module)

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Make or change what the module describes; answer its outputs."""
        work = Work(step.directory)
        commands = self._commands(step, work)
        async with _settled(commands):
            module = await self._module(step.artifacts["module"])
            variables = await accept(step, module)
            commands.secrets = await resolve(step, variables)
            kept = await self._kept(step, work)
            await asyncio.to_thread(work.open, step.work_id)
            await step.handle({"work": step.work_id, "tool": commands.tool.title})
            await asyncio.to_thread(work.prepare, step.artifacts["module"], variables)
            await commands.init(needs_plugins=module.plugins)
            await self._recover(commands)
            await self._apply(commands, kept)
            return await outputs_of(commands, module)

    async def destroy(self, step: Step) -> None:
        """Destroy what the state says exists, from the work's own directory alone."""
        work = Work(step.directory)
        if not work.exists():
            _check_absence(work, step)
        elif work.may_hold():
            if not work.state.exists():
                raise StepFailedError(state_missing(str(work.root)))
            commands = self._commands(step, work)
            async with _settled(commands):
                commands.secrets = await resolve(step, await asyncio.to_thread(work.variables))
                await self._destroy(commands, await self._kept(step, work))
        await asyncio.to_thread(work.remove)

    async def plan(self, step: Step) -> PlannedStep:
        """Say what an apply or destroy would do, and keep the plan for exactly that."""
        work = Work(step.directory)
        if step.verb == operation_pb2.VERB_DEPROVISION:
            return await self._plan_destroy(step, work)
        source = step.artifacts["module"]
        module = await self._module(source)
        variables = await accept(step, module)
        commands = self._commands(step, work)
        commands.secrets = await resolve(step, variables)
        if not work.exists():  # nothing stands yet, so the very place of the apply can be used
            await asyncio.to_thread(work.prepare, source, variables)
        beside = source if await asyncio.to_thread(_differs, work, source) else None
        async with _draft(work, beside, variables.plain) as (draft, directory, values):
            if beside or not work.is_initialised():
                await commands.prepare(directory, needs_plugins=module.plugins)
            reading = await commands.plan(
                directory, *_LOOK_ONLY, f"-out={draft / 'plan'}", f"-var-file={values}"
            )
            outputs = await known_outputs(commands, directory, draft / "plan")
            origin = await asyncio.to_thread(_origin, step)
            digest = await asyncio.to_thread(work.keep_plan, draft, origin)
        return planned_step(reading, outputs, digest)

    async def observe(self, step: Step) -> Observation:
        """Look whether what was made still stands as it was made."""
        work = Work(step.directory)
        if not work.exists():
            return Observation(present=False if work.is_absent() or step.prior is None else None)
        standing = await asyncio.to_thread(work.resources)
        if standing is None:
            return Observation(present=None if work.may_hold() else False)
        if not standing:
            return Observation(present=False if work.killed() is None else None)
        commands = self._commands(step, work)
        commands.secrets = await resolve(step, await asyncio.to_thread(work.variables))
        reading = await commands.plan(
            work.module, "-refresh-only", *_LOOK_ONLY, "-detailed-exitcode", f"-var-file={work.values}"
        )
        shown = json.loads(await commands.look(work.module, "output", "-json"))
        outputs = {name: output["value"] for name, output in shown.items() if not output["sensitive"]}
        return Observation(present=True, drift=[*reading.drift, *output_changes(reading)], outputs=outputs)

    async def _apply(self, commands: Commands, kept: KeptPlan | None) -> None:
        values = f"-var-file={commands.work.next_values}"
        arguments = ["apply", "-json", "-input=false"]
        arguments += [str(kept.file)] if kept else ["-auto-approve", values]
        await asyncio.to_thread(commands.work.begin_change)
        try:
            await commands.change("apply", arguments, makes=True)
        except StepFailedError as error:
            if any(finding.code == PLAN_STALE for finding in error.findings):
                raise PlanStaleError from error
            raise
        await asyncio.to_thread(commands.work.drop_plans)

    async def _destroy(self, commands: Commands, kept: KeptPlan | None) -> None:
        work = commands.work
        if await asyncio.to_thread(work.resources) != []:
            await asyncio.to_thread(work.restore)
            module = await self._module(work.source)
            await commands.init(needs_plugins=module.plugins)
            await self._recover(commands)
            values = f"-var-file={work.values}"
            arguments = ["apply", "-json", "-input=false", str(kept.file)] if kept else []
            arguments = arguments or ["destroy", "-json", "-input=false", "-auto-approve", values]
            await commands.change("destroy", arguments, makes=False)
        if (in_flight := await asyncio.to_thread(work.killed)) is not None:
            raise StepFailedError(unrecorded(in_flight, str(work.kill_note)))

    async def _recover(self, commands: Commands) -> None:
        """Take note of what an earlier, killed run left behind, and save a state that it could not write."""
        work = commands.work
        if await asyncio.to_thread(work.was_killed):
            await asyncio.to_thread(work.note_kill, [])
        if await asyncio.to_thread(work.errored_state.exists):
            await commands.save_state()

    async def _plan_destroy(self, step: Step, work: Work) -> PlannedStep:
        if not await asyncio.to_thread(work.resources):
            return PlannedStep(summary="nothing is left to destroy")
        variables = await asyncio.to_thread(work.variables)
        commands = self._commands(step, work)
        commands.secrets = await resolve(step, variables)
        async with _draft(work, None, variables.plain) as (draft, directory, values):
            reading = await commands.plan(
                directory, "-destroy", *_LOOK_ONLY, f"-out={draft / 'plan'}", f"-var-file={values}"
            )
            digest = await asyncio.to_thread(work.keep_plan, draft, "destroy")
        return planned_step(reading, {}, digest)

    async def _kept(self, step: Step, work: Work) -> KeptPlan | None:
        """Find the plan that the step must carry out exactly.

        Raises:
            PlanStaleError: It is gone, or was made from something else.
        """
        if not step.plan_digest:
            return None
        kept = await asyncio.to_thread(work.plan, step.plan_digest)
        destroys = step.verb == operation_pb2.VERB_DEPROVISION
        origin = "destroy" if destroys else await asyncio.to_thread(_origin, step)
        if kept is None or kept.origin != origin:
            raise PlanStaleError
        return kept

    async def _module(self, directory: Path) -> Module:
        digest = await asyncio.to_thread(tree_digest, directory)
        if digest not in self._modules:
            opentofu = self._found is not None and self._found.name == "opentofu"
            module = await asyncio.to_thread(read_module, directory, opentofu=opentofu)
            while len(self._modules) >= _MODULES_KEPT:
                self._modules.pop(next(iter(self._modules)))
            self._modules[digest] = module
        return self._modules[digest]

    def _commands(self, step: Step, work: Work) -> Commands:
        assert self._found is not None
        inherited = child_environment(self._environ)
        return Commands(step, work, self._found, self._settings, inherited, self._plugins)


@contextlib.asynccontextmanager
async def _settled(commands: Commands) -> AsyncIterator[None]:
    """Once a change has ended, however it did, protect the state and say truly whether anything is left."""
    work = commands.work
    try:
        yield
    except PlanStaleError:
        await asyncio.to_thread(work.restore)
        raise
    except (StepFailedError, CancelledStepError) as error:
        error.left_behind = await asyncio.to_thread(work.may_hold, begun=commands.reading.begun)
        if not error.left_behind and work.exists():
            await asyncio.to_thread(work.remove)
        elif not commands.reading.begun:
            await asyncio.to_thread(work.restore)
        raise
    finally:
        await asyncio.to_thread(work.protect_state)


@contextlib.asynccontextmanager
async def _draft(
    work: Work, source: Path | None, plain: Mapping[str, Json]
) -> AsyncIterator[tuple[Path, Path, Path]]:
    """Hand out a place to plan in, and delete what is left of it."""
    draft, directory, values = await asyncio.to_thread(work.begin_draft, source, plain)
    try:
        yield draft, directory, values
    finally:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)


def _lay_out(plugins: PluginCache, config: Path) -> None:
    plugins.create()
    config.touch(mode=0o600)


def _differs(work: Work, source: Path) -> bool:
    return work.live_digest() != tree_digest(source)


def _origin(step: Step) -> str:
    """Digest what a plan is made from: the module and the inputs, secrets by reference."""
    inputs = step.inputs.get("with") or {}
    said = {"inputs": inputs, "secrets": [[list(path), ref.ref] for path, ref in references(inputs)]}
    text = json.dumps(said, sort_keys=True, default=repr)
    return hashlib.sha256(f"{tree_digest(step.artifacts['module'])}\n{text}".encode()).hexdigest()


def _check_absence(work: Work, step: Step) -> None:
    """Let only proof pass for absence.

    Raises:
        StepFailedError: Something was made once, and where it was recorded is gone.
    """
    if step.prior is not None and not work.is_absent():
        raise StepFailedError(state_missing(str(work.root)))
