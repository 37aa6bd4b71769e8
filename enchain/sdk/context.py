"""What an engine holds while it does a step: `enchain.sdk.port.Step`, over events, runs, ledger and secrets.

`enchain.sdk.work` makes one for each call of an engine. It says nothing that holds a secret it has seen, and
records handles before it returns.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from enchain.chains.errors import EnchainError
from enchain.chains.values import Json, to_python_map, to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock
from enchain.sdk import budgets, templates
from enchain.sdk.calls import Call
from enchain.sdk.events import EventLog
from enchain.sdk.flood import FloodGate
from enchain.sdk.port import CancelledStepError, Finding, SecretStore, StepFailedError, ToolExit, ToolRun
from enchain.sdk.results import Speaker
from enchain.sdk.runs import Run, Runs, Tool
from enchain.sdk.scope import PRIVATE_DIRECTORY, WorkPaths
from enchain.sdk.secrets import SeenSecrets
from enchain.v1 import chain_pb2, diagnostic_pb2

OWN_ENVIRONMENT = "ENCHAIN_"
"""Variables with this prefix are the instance's own, some of them secrets; tools do not get them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an engine is given, checked.

    Attributes:
        inputs: As plain Python.
        artifacts: Unpacked directories by input field.
        schema: What the step takes and gives.
    """

    inputs: Mapping[str, Json] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    schema: chain_pb2.EngineSchema = field(default_factory=chain_pb2.EngineSchema)


class StepContext:
    """One piece of work in the hands of an engine. The attributes are those of the port.

    Args:
        call: What was asked for.
        deadline: Nothing is begun after it.
        record: Makes a handle durable; None where the call makes nothing.

    Attributes:
        begun: A handle was recorded or a tool was started.
        recorded: The newest handle.
        reported: Diagnostics told on the way.
        cancelled: It was told to stop, and begins no further tool.
        was_stopped: A tool was stopped because of that.
    """

    def __init__(
        self,
        call: Call,
        *,
        prepared: Prepared,
        prior: diagnostic_pb2.Handle | None,
        plan_digest: str,
        deadline: datetime,
        paths: WorkPaths,
        secrets: SecretStore,
        events: EventLog,
        speaker: Speaker,
        handle_schema: str,
        clock: Clock,
        make_runs: Callable[[Callable[[Run, ToolExit], None]], Runs],
        record: Callable[[diagnostic_pb2.Handle], Awaitable[None]] | None,
    ) -> None:
        self.work_id = call.work.text
        self.verb = call.key.verb
        self.generation = call.key.generation
        self.tenant = call.work.tenant
        self.workload = call.workload
        self.steps: Sequence[str] = call.steps
        self.deadline = deadline
        self.inputs = prepared.inputs
        self.artifacts = prepared.artifacts
        self.prior: Mapping[str, Json] | None = (
            to_python_map(prior.data, field="handle") if prior is not None else None
        )
        self.plan_digest = plan_digest
        paths.files.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        self.directory = paths.files
        self.seen = SeenSecrets(secrets)
        self.secrets: SecretStore = self.seen
        self.usage = diagnostic_pb2.Usage()
        self.reported: list[diagnostic_pb2.Diagnostic] = []
        self.recorded: diagnostic_pb2.Handle | None = None
        self._traceparent = call.traceparent
        self._events = events
        self._speaker = speaker
        self._handle_schema = handle_schema
        self._clock = clock
        self._gate = FloodGate(clock.monotonic())
        self._runs = make_runs(self._ended)
        self._running: dict[str, Run] = {}
        self._record = record
        self._handles = 0
        self.cancelled = False
        self.was_stopped = False
        self._counted: set[str] = set()
        self._diagnostic_bytes = 0
        self.begun = False

    async def handle(self, data: Mapping[str, Json]) -> None:
        """Record the locator of what is about to be made."""
        if self._record is None:
            raise self._refusal("this call makes nothing, so it has no handle", "HANDLE_NOT_ALLOWED")
        try:
            handle = diagnostic_pb2.Handle(
                schema=self._handle_schema, data=to_value_map(data, field="handle")
            )
        except EnchainError as error:
            raise self._refusal(error.message, "HANDLE_MALFORMED") from error
        if handle.ByteSize() > budgets.HANDLE_BYTES_MAX:
            raise self._refusal(
                f"the handle takes {handle.ByteSize()} bytes; at most {budgets.HANDLE_BYTES_MAX} are kept",
                "HANDLE_TOO_LARGE",
            )
        if self.seen.tells(data):
            raise self._refusal("the handle holds a secret", "SECRET_IN_HANDLE")
        self._handles += 1
        if self._handles > budgets.HANDLES_MAX:
            raise self._refusal(
                f"the step records more than {budgets.HANDLES_MAX} handles", "TOO_MANY_HANDLES"
            )
        await self._record(handle)
        self.begun, self.recorded = True, handle
        self._events.publish(engine_pb2.StepEvent(handle=handle))

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Tell what is going on."""
        text = budgets.cut(self.seen.scrub(message), budgets.LINE_CHARS_MAX)
        self._events.publish(
            engine_pb2.StepEvent(progress=engine_pb2.StepProgressed(message=text, fraction=fraction))
        )

    def log(self, line: str) -> None:
        """Pass on a line, unless there are too many."""
        text = budgets.cut(line, budgets.LINE_CHARS_MAX)
        if self._gate.admit(len(text), self._clock.monotonic()):
            self._log(self.seen.scrub(text), self._gate.take_dropped())

    def report(self, finding: Finding) -> None:
        """Report a finding; beyond the budget it is left out."""
        told = self.speak(finding)
        if self._diagnostic_bytes + told.ByteSize() > budgets.DIAGNOSTIC_BYTES_MAX:
            if self.reported:
                self.reported[-1].truncated = True
            return
        self._diagnostic_bytes += told.ByteSize()
        self.reported.append(told)
        event = engine_pb2.StepEvent()
        event.diagnostic.CopyFrom(told)
        self._events.publish(event)

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
        """Start a tool, or join it."""
        self._refuse_cancelled()
        self.seen.learn((secret_env or {}).values())
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(OWN_ENVIRONMENT)
        }
        environment |= {"TRACEPARENT": self._traceparent} if self._traceparent else {}
        environment |= {**(env or {}), **(secret_env or {})}
        tool = Tool(tuple(argv), cwd or self.directory, environment, repeatable=repeatable)
        run = await self._runs.start(name, tool)
        self.begun = True
        self._running[name] = run
        if self.cancelled:  # it was told to stop while the tool was being started
            run.stop()
        return run

    def fill(self, value: Json, variables: Mapping[str, Json]) -> Json:
        """Complete templates."""
        return templates.fill(value, variables)

    def use(self, usage: diagnostic_pb2.Usage) -> None:
        """Add to what the step has used up; of memory, the highest peak counts."""
        peak = max(self.usage.peak_memory_bytes, usage.peak_memory_bytes)
        duration = self.usage.tool_duration.ToMilliseconds() + usage.tool_duration.ToMilliseconds()
        self.usage.cpu_seconds += usage.cpu_seconds
        self.usage.network_received_bytes += usage.network_received_bytes
        self.usage.network_sent_bytes += usage.network_sent_bytes
        self.usage.peak_memory_bytes = peak
        self.usage.tool_duration.FromMilliseconds(duration)
        if usage.HasField("cost"):
            self.usage.cost.CopyFrom(usage.cost)

    def secret_name(self, output: str) -> str:
        """Name a secret output."""
        return f"{self.work_id}/{output}"

    def speak(self, finding: Finding) -> diagnostic_pb2.Diagnostic:
        """Turn a finding into a diagnostic that tells no secret."""
        told = self._speaker.of_engine(finding)
        self.scrub(told)
        return told

    def scrub(self, told: diagnostic_pb2.Diagnostic) -> None:
        """Take the secrets that were seen out of a diagnostic."""
        told.summary = self.seen.scrub(told.summary)
        told.detail = self.seen.scrub(told.detail)
        told.remedy = self.seen.scrub(told.remedy)

    def cancel(self) -> bool:
        """Stop what runs and begin no more; say whether a tool was told."""
        self.cancelled = True
        for run in self._running.values():
            run.stop()
        return bool(self._running)

    async def settle(self, *, stop: bool) -> None:
        """Wait for tools that the engine left running; a step has not ended before its tools have."""
        for run in list(self._running.values()):
            if stop:
                run.stop()
            async for _ in run.lines():
                pass

    def flush(self) -> int:
        """Tell how many lines were left out at the end, where some were; answer how many were in all."""
        if dropped := self._gate.take_dropped():
            self._log("", dropped)
        return self._gate.dropped_total

    def _log(self, text: str, dropped: int) -> None:
        self._events.publish(engine_pb2.StepEvent(log=engine_pb2.LogLine(line=text, dropped=dropped)))

    def _ended(self, run: Run, how: ToolExit) -> None:
        self._running.pop(run.name, None)
        self.was_stopped = self.was_stopped or run.stopped == "cancelled"
        if run.name not in self._counted:
            self._counted.add(run.name)
            self.use(how.usage)

    def _refuse_cancelled(self) -> None:
        if self.cancelled:
            raise CancelledStepError(left_behind=self.begun)

    def _refusal(self, summary: str, code: str) -> StepFailedError:
        return StepFailedError(Finding(summary, code=code), left_behind=self.begun)
