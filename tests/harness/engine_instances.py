"""A served engine as tests see it: stub, runner, and the files that its tool touches."""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from enchain.chains.errors import EnchainError
from enchain.chains.values import to_value_map
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.statuses import from_rpc_error
from enchain.sdk.steps import StepRunner
from enchain.v1 import operation_pb2
from tests.harness.appending import lines_of
from tests.harness.waiting import eventually

WORK = "01uid/append"


@dataclass
class Caller:
    """A caller of a served engine: its stub, and the files of the test."""

    stub: "engine_pb2_grpc.ProvisioningEngineAsyncStub"
    root: Path

    @property
    def effect(self) -> Path:
        """The file that the tool appends to."""
        return self.root / "effect"

    @property
    def gate(self) -> Path:
        """The file that the tool waits for."""
        return self.root / "gate"

    def call(
        self,
        token: int = 1,
        verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
        generation: int = 1,
        work_id: str = WORK,
        seconds: float = 60,
    ) -> engine_pb2.StepCall:
        call = engine_pb2.StepCall(
            work_id=work_id,
            verb=verb,
            generation=generation,
            token=engine_pb2.FencingToken(epoch=1, revision=token),
        )
        call.deadline.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
        return call

    def request(
        self, call: engine_pb2.StepCall, *, gated: bool = True, code: int = 0
    ) -> engine_pb2.ApplyRequest:
        inputs = {"effect": str(self.effect), "code": code, **({"gate": str(self.gate)} if gated else {})}
        return engine_pb2.ApplyRequest(call=call, inputs=to_value_map(inputs))

    async def apply(
        self, call: engine_pb2.StepCall, *, gated: bool = False, code: int = 0
    ) -> engine_pb2.StepEvent:
        events = [event async for event in self.stub.Apply(self.request(call, gated=gated, code=code))]
        assert [event.seq for event in events] == sorted({event.seq for event in events})
        return events[-1]


@dataclass
class Instance(Caller):
    """A caller of an engine that is served in this process."""

    runner: StepRunner


async def begun(instance: Caller) -> None:
    await eventually(lambda: lines_of(instance.effect) == ["begun"])


async def refusal(
    call: AsyncIterable[engine_pb2.StepEvent],
) -> EnchainError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    return from_rpc_error(caught.value)
