"""Runs Terraform for one step: `init`, changes that outlive the server, and looks. `engine.py` drives it.

Changes are started with `Step.run`, so that they are joined after a restart. Looks (`output`, `show`, plans)
change nothing; they are children of the server, and what they print is only ever in memory, because it may
hold secrets in plain.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from enchain.engines.terraform.events import Reading, Told
from enchain.engines.terraform.findings import RETRYABLE, ended_badly, from_text
from enchain.engines.terraform.plugins import PluginCache
from enchain.engines.terraform.tool import Tool
from enchain.engines.terraform.work import Work
from enchain.sdk.port import Finding, Step, StepFailedError
from enchain.v1 import diagnostic_pb2

_LINE_BYTES_MAX = 1 << 20
_CLEAN_EXITS = frozenset({0, 2})
"""With -detailed-exitcode 2 means: done, and there are changes."""


@dataclass(slots=True)
class Commands:
    """Terraform in the directory of one step.

    Attributes:
        settings: What every run gets.
        inherited: The rest of the environment of looks; runs get it from the SDK.
        secrets: What is added for runs that need the module's secret variables; never written down.
        reading: What the last change has told.
    """

    step: Step
    work: Work
    tool: Tool
    settings: Mapping[str, str]
    inherited: Mapping[str, str]
    plugins: PluginCache
    secrets: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)

    async def init(self, *, needs_plugins: bool) -> None:
        """Prepare `module/` and its data directory.

        Raises:
            StepFailedError: Terraform refused.
        """
        self.step.progress("Preparing the module")
        async with self.plugins.alone() if needs_plugins else contextlib.nullcontext():
            run = await self.step.run(
                "init", self._argv(*_init_arguments()), cwd=self.work.module, env=self.settings
            )
            lines = [line async for line in run.lines()]
            ended = await run.wait()
        if ended.returncode != 0:
            raise failure("init", ended.returncode, from_text("\n".join(lines)), lines[-5:])

    async def save_state(self) -> None:
        """Put a state in place that an earlier run could not write there.

        Raises:
            StepFailedError: Terraform refused: the state in place is a newer one, or another one.
        """
        errored = self.work.errored_state
        run = await self.step.run(
            "save-state",
            self._argv("state", "push", errored.name),
            cwd=self.work.module,
            env=self.settings,
        )
        lines = [line async for line in run.lines()]
        ended = await run.wait()
        if ended.returncode != 0:
            raise failure("state push", ended.returncode, from_text("\n".join(lines)), lines[-5:])
        errored.unlink(missing_ok=True)

    async def change(self, name: str, arguments: Sequence[str], *, makes: bool) -> None:
        """Run an apply or destroy, telling what goes on, until it has ended well.

        Args:
            name: The run's name within the step.
            arguments: Terraform's.
            makes: Once a resource is touched, what stands is made from what was prepared.

        Raises:
            StepFailedError: It failed.
        """
        self.reading = Reading()
        run = await self.step.run(
            name,
            self._argv(*arguments),
            cwd=self.work.module,
            env=self.settings,
            secret_env=self.secrets,
        )
        async for line in run.lines():
            begun = self.reading.begun
            self._tell(self.reading.feed(line))
            if makes and self.reading.begun and not begun:
                await asyncio.to_thread(self.work.promote)
        ended = await run.wait()
        if ended.returncode < 0:
            await asyncio.to_thread(self.work.note_kill, sorted(self.reading.in_flight))
        if ended.returncode != 0:
            raise failure(arguments[0], ended.returncode, self.reading.findings, self.reading.last_lines)
        if makes:
            await asyncio.to_thread(self.work.promote)

    async def look(self, directory: Path, *arguments: str) -> str:
        """Run something that only looks and answer what it prints.

        Raises:
            StepFailedError: It failed.
        """
        async with self._child(directory, arguments) as process:
            out, err = await process.communicate()
        if process.returncode != 0:
            words = err.decode(errors="replace")
            raise failure(arguments[0], process.returncode or 0, from_text(words), words.splitlines()[-5:])
        return out.decode()

    async def prepare(self, directory: Path, *, needs_plugins: bool) -> None:
        """Prepare a directory to plan in."""
        async with self.plugins.alone() if needs_plugins else contextlib.nullcontext():
            await self.look(directory, *_init_arguments())

    async def plan(self, directory: Path, *arguments: str) -> Reading:
        """Run a plan and answer what it told.

        Raises:
            StepFailedError: It failed.
        """
        reading = Reading()
        async with self._child(directory, ("plan", *arguments)) as process:
            assert process.stdout is not None
            async for line in process.stdout:
                self._tell(reading.feed(line.decode(errors="replace").rstrip("\n")))
            returncode = await process.wait()
        if returncode not in _CLEAN_EXITS:
            raise failure("plan", returncode, reading.findings, reading.last_lines)
        return reading

    def _argv(self, *arguments: str) -> list[str]:
        return [*self.tool.argv, *arguments]

    def _tell(self, told: Told) -> None:
        if told.progress:
            self.step.progress(told.progress, told.fraction)
        if told.log:
            self.step.log(told.log)
        if told.finding and told.finding.severity != diagnostic_pb2.SEVERITY_ERROR:
            self.step.report(told.finding)

    @contextlib.asynccontextmanager
    async def _child(
        self, directory: Path, arguments: Sequence[str]
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start a child that does not outlive its reader."""
        process = await asyncio.create_subprocess_exec(
            *self._argv(*arguments),
            cwd=directory,
            env={**self.inherited, **self.settings, **self.secrets},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if arguments[0] == "plan" else asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def failure(
    command: str, returncode: int, findings: Sequence[Finding], last_lines: Sequence[str]
) -> StepFailedError:
    """Answer the error for a run that failed; whether it left anything is for the caller to say."""
    errors = [finding for finding in findings if finding.severity == diagnostic_pb2.SEVERITY_ERROR]
    told = [replace(finding, exit_code=returncode) for finding in errors if returncode >= 0] or errors
    if not told or returncode < 0:
        told = [ended_badly(command, returncode, "\n".join(last_lines)), *told]
    retryable = any(finding.code in RETRYABLE for finding in told)
    return StepFailedError(*told, retryable=retryable)


def _init_arguments() -> tuple[str, ...]:
    # -reconfigure: the backend is always the one written beside the module, wherever the scope lies now.
    return ("init", "-input=false", "-no-color", "-reconfigure")
