"""What a check holds: the engine under test, its samples, and a memory of what was made, to destroy it again.

`suite` makes one for a run and hands it to every check. Work that several checks only look at is done once
and kept: `good`, `slow`, `failing`, `gone` and `restarted`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from enchain.chains.errors import EnchainError
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock
from enchain.sdk.conformance.calling import Caller, Metadata, RefusedError, Stream
from enchain.sdk.conformance.catalogue import SkippedError, require
from enchain.sdk.conformance.samples import Sample, SuiteInputs
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1 import engine_pb2 as registry_pb2

PROVISION = operation_pb2.VERB_PROVISION
UPDATE = operation_pb2.VERB_UPDATE
DEPROVISION = operation_pb2.VERB_DEPROVISION

DEADLINE_SECONDS = 120.0
"""Deadline of steps that are expected to end by themselves."""

POLL_SECONDS = 0.05
LAST_GENERATION = 1_000_000
LAST_TOKEN = 1_000_000

Restart = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Work:
    """A piece of work of the suite, and the highest token that it was asked for with.

    Attributes:
        sample: What it was begun with.
        stream: The first Apply's events; None before it.
    """

    work_id: str
    sample: Sample
    token: int = 1
    stream: Stream | None = None
    verb: operation_pb2.Verb.ValueType = PROVISION

    def next_token(self) -> int:
        """Answer a token higher than all before."""
        self.token += 1
        return self.token

    @property
    def result(self) -> engine_pb2.StepResult:
        """The result; the check fails where there is none."""
        require(self.stream is not None and self.stream.result is not None, "the work ended in no result")
        assert self.stream is not None
        assert self.stream.result is not None
        return self.stream.result

    @property
    def handle(self) -> diagnostic_pb2.Handle | None:
        """The newest handle."""
        return self.stream.handle if self.stream is not None else None


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was there when the engine server was killed.

    Attributes:
        finished: Work that had ended.
        running: Work that ran, begun with the slow sample; None without one.
        buried: A work id that was only asked for, with token 5.
    """

    finished: Work
    running: Work | None
    buried: str


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who runs the suite allows.

    Attributes:
        restart: Kills the engine server and starts it again at the same address.
        drain: The engine server may be drained at the end.
        timeout_seconds: No call and no check takes longer.
    """

    restart: Restart | None = None
    drain: bool = True
    timeout_seconds: float = 120.0


class Probe:
    """The engine under test.

    Args:
        new_id: Makes ids that nobody has used before.

    Attributes:
        instance: What it said of itself.
        heartbeat_seconds: The interval that it promised.
        drained: It takes no new work any more.
        left_behind: Work ids of what could not be destroyed.
    """

    def __init__(
        self,
        caller: Caller,
        inputs: SuiteInputs,
        options: Options,
        *,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self.caller = caller
        self.inputs = inputs
        self.options = options
        self.clock = clock
        self.instance = registry_pb2.EngineInstance()
        self.heartbeat_seconds = 0.0
        self.drained = False
        self.left_behind: list[str] = []
        self._new_id = new_id
        self._open: dict[str, Work] = {}
        self._kept: dict[str, Work] = {}
        self._restarted: Restarted | None = None

    async def shake_hands(self) -> engine_pb2.HandshakeResponse:
        """Ask who it is and remember it."""
        request = engine_pb2.HandshakeRequest(
            capabilities=registry_pb2.Capability.values()[1:], caller="conformance"
        )
        answer = await self.caller.handshake(request, wait=True)
        self.instance = answer.instance
        self.heartbeat_seconds = answer.heartbeat_interval.ToTimedelta().total_seconds()
        return answer

    def can(self, capability: registry_pb2.Capability.ValueType) -> bool:
        """Say whether the engine declared a capability."""
        return capability in self.instance.capabilities

    def sample(self, name: str) -> Sample:
        """Answer a sample; the check is skipped where the file has none.

        Raises:
            SkippedError: There is none.
        """
        found = self.inputs.samples.get(name)
        if found is None:
            raise SkippedError(f"the suite inputs have no sample `{name}`")
        return found

    def new_work(self, sample: Sample | None = None) -> Work:
        """Name a piece of work that nobody has asked for before."""
        return Work(f"{self._new_id()}/{self.inputs.step}", sample or Sample("nothing"))

    def call(
        self,
        work_id: str,
        *,
        verb: operation_pb2.Verb.ValueType = PROVISION,
        generation: int = 1,
        token: int = 1,
        epoch: int = 1,
        seconds: float = DEADLINE_SECONDS,
    ) -> engine_pb2.StepCall:
        """Make what every call about a step carries."""
        call = engine_pb2.StepCall(
            work_id=work_id,
            verb=verb,
            generation=generation,
            token=engine_pb2.FencingToken(epoch=epoch, revision=token),
            tenant="default",
            operation=f"tenants/default/operations/{work_id.partition('/')[0]}",
            workload="workloads/conformance",
            chain="workloads/conformance/chains/default@000000000000",
            steps=[self.inputs.step],
        )
        call.deadline.FromDatetime(self.clock.now() + timedelta(seconds=seconds))
        return call

    def apply_request(
        self,
        sample: Sample,
        call: engine_pb2.StepCall,
        *,
        prior: diagnostic_pb2.Handle | None = None,
        plan_digest: str = "",
    ) -> engine_pb2.ApplyRequest:
        """Make the request of an Apply."""
        return engine_pb2.ApplyRequest(
            call=call, inputs=sample.values(), artifacts=sample.refs(), prior=prior, plan_digest=plan_digest
        )

    def open(self, work: Work, request: engine_pb2.ApplyRequest, metadata: Metadata = ()) -> Stream:
        """Open an Apply's stream; what it makes is destroyed after the check."""
        stream = self.caller.apply(request, metadata)
        work.token = max(work.token, request.call.token.revision)
        work.stream = work.stream or stream
        self._open[work.work_id] = work
        return stream

    async def apply(
        self, work: Work, *, seconds: float = DEADLINE_SECONDS, sample: Sample | None = None, token: int = 0
    ) -> Stream:
        """Apply the work's first generation and read to the end."""
        call = self.call(work.work_id, token=token or work.token, seconds=seconds)
        return await self.open(work, self.apply_request(sample or work.sample, call)).rest()

    async def begin(self, sample: Sample, *, seconds: float = DEADLINE_SECONDS) -> tuple[Work, Stream]:
        """Open a new work's stream and read until it makes something, or as far as it comes."""
        work = self.new_work(sample)
        stream = self.open(work, self.apply_request(sample, self.call(work.work_id, seconds=seconds)))
        await stream.until("handle", "result")
        require(stream.begun, f"a new work was not taken up: {stream.refusal or 'the stream ended empty'}")
        return work, stream

    async def destroy(
        self,
        work: Work,
        handle: diagnostic_pb2.Handle | None = None,
        *,
        generation: int = 2,
        token: int = 0,
    ) -> Stream:
        """Destroy and read to the end."""
        token = token or work.token
        work.token = max(work.token, token)
        call = self.call(work.work_id, verb=DEPROVISION, generation=generation, token=token)
        stream = await self.caller.destroy(engine_pb2.DestroyRequest(call=call, handle=handle)).rest()
        if succeeded(stream):
            self._open.pop(work.work_id, None)
        return stream

    async def get_step(
        self,
        work: Work,
        *,
        verb: operation_pb2.Verb.ValueType = PROVISION,
        generation: int = 1,
        token: int = 0,
        epoch: int = 1,
    ) -> engine_pb2.GetStepResponse:
        """Ask how a key stands."""
        call = self.call(
            work.work_id, verb=verb, generation=generation, token=token or work.token, epoch=epoch
        )
        return await self.caller.get_step(engine_pb2.GetStepRequest(call=call))

    async def cancel(self, work: Work, *, token: int = 0) -> engine_pb2.CancelStepResponse:
        """Ask the work's first generation to stop."""
        call = self.call(work.work_id, token=token or work.token)
        request = engine_pb2.CancelStepRequest(call=call, reason="the conformance suite asks for it")
        return await self.caller.cancel_step(request)

    async def observe(
        self, work: Work, handle: diagnostic_pb2.Handle | None = None
    ) -> engine_pb2.ObserveResponse:
        """Look at what stands. Only where the engine can."""
        call = self.call(work.work_id, token=work.token)
        return await self.caller.observe(engine_pb2.ObserveRequest(call=call, handle=handle))

    async def still_running(self, work: Work) -> None:
        """Go on only while work runs: a machine that is busy may take longer to ask than work takes.

        Raises:
            SkippedError: It has ended.
        """
        if (await self.get_step(work)).state == engine_pb2.GetStepResponse.STATE_FINISHED:
            raise SkippedError(f"`{work.sample.name}` ended before the check could meet it running")

    async def until_finished(self, work: Work) -> engine_pb2.GetStepResponse:
        """Ask how the work stands until it runs no longer."""
        running = engine_pb2.GetStepResponse.STATE_RUNNING
        while (answer := await self.get_step(work)).state == running:
            await self.clock.sleep(POLL_SECONDS)
        return answer

    async def kept(self, name: str) -> Work:
        """Answer the finished work of a sample, done once for all checks that only look at it."""
        if name not in self._kept:
            work = self.new_work(self.sample(name))
            await self.apply(work)
            self._kept[name] = work
        return self._kept[name]

    async def good(self) -> Work:
        """Answer work that succeeded and stands; the check fails where it did not succeed."""
        work = await self.kept("good")
        require(succeeded(work.stream), f"the good sample did not succeed: {told(work.stream)}")
        return work

    async def gone(self) -> tuple[Work, Stream]:
        """Answer work that stood and was destroyed, with the stream of that Destroy."""
        if "gone" not in self._kept:
            work = self.new_work(self.sample("good"))
            require(
                succeeded(await self.apply(work)), f"the good sample did not succeed: {told(work.stream)}"
            )
            destroyed = Work(work.work_id, work.sample, stream=await self.destroy(work, work.handle))
            self._kept["gone"], self._kept["gone destroyed"] = work, destroyed
        destroyed = self._kept["gone destroyed"]
        assert destroyed.stream is not None
        return self._kept["gone"], destroyed.stream

    async def restarted(self) -> Restarted:
        """Kill the engine server while it works, have it again, and answer what was there before."""
        assert self.options.restart is not None
        if self._restarted is None:
            finished = await self.good()
            buried = self.new_work(finished.sample)
            await self.get_step(buried, token=5)
            running = None
            if "slow" in self.inputs.samples:
                slow = self.sample("slow")
                running, _ = await self.begin(slow)
                self._kept["interrupted"] = running
                await self.clock.sleep(slow.seconds / 3)  # into the middle, where the tool runs
            await self.options.restart()
            await self.shake_hands()
            self._restarted = Restarted(finished, running, buried.work_id)
        return self._restarted

    async def clean_up(self, *, everything: bool = False) -> None:
        """Destroy what checks made; with `everything`, also what was kept for several of them."""
        if self.drained and self._open and self.options.restart is not None:
            with contextlib.suppress(EnchainError, RefusedError):  # then it is told as left behind
                await self.options.restart()
                await self.shake_hands()
                self.drained = False
        kept = set() if everything else {work.work_id for work in self._kept.values()}
        for work_id, work in list(self._open.items()):
            if work_id not in kept:
                del self._open[work_id]
                if work.stream is not None and work.stream.begun and not await self._destroyed(work):
                    self.left_behind.append(work_id)

    async def _destroyed(self, work: Work) -> bool:
        with contextlib.suppress(TimeoutError, RefusedError):
            async with asyncio.timeout(self.options.timeout_seconds):
                stream = await self.destroy(work, work.handle, generation=LAST_GENERATION, token=LAST_TOKEN)
                return succeeded(stream)
        return False


def succeeded(stream: Stream | None) -> bool:
    """Say whether a stream ended in a success."""
    result = stream.result if stream is not None else None
    return result is not None and result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED


def told(stream: Stream | None) -> str:
    """Say for people how a stream ended."""
    if stream is None:
        return "there was no stream"
    if stream.refusal is not None:
        return str(stream.refusal)
    if stream.result is None:
        return f"{stream.method} ended without a result"
    found = [f"{finding.code}: {finding.summary}" for finding in stream.result.diagnostics[:3]]
    outcome = diagnostic_pb2.Outcome.Name(stream.result.outcome)
    return f"{stream.method} ended with {outcome}" + (f" ({'; '.join(found)})" if found else "")


def same(one: engine_pb2.StepResult, other: engine_pb2.StepResult) -> bool:
    """Say whether two results are one and the same."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def names_of(values: Mapping[str, object]) -> str:
    """List names for people."""
    return ", ".join(sorted(values)) or "nothing"
