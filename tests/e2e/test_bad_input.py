"""Bad input: what is sent, what is answered, and that nothing is written.

One table. Each row is sent to a running enchain as a user would send it; then everything under `/enchain/`
but the leased keys must be byte for byte what it was. What rogue engines do stands in
`test_rogue_engines.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from enchain.chains.errors import (
    AlreadyExistsError,
    ConflictError,
    DeadlineError,
    EnchainError,
    ExhaustedError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
)
from enchain.cli.documents import save
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import read
from enchain.client import Client
from enchain.process.channels import open_channel
from enchain.process.statuses import from_rpc_error
from enchain.v1 import chain_pb2, operation_pb2, provisioning_pb2, provisioning_pb2_grpc, value_pb2
from tests.e2e.conftest import House


@dataclass(frozen=True, slots=True)
class Setting:
    """What rows are sent with: a client, a router's stub, and one good resource with its request id."""

    client: Client
    router: "provisioning_pb2_grpc.ProvisioningServiceAsyncStub"
    resource: str
    request_id: str
    plan_token: str


Send = Callable[[Setting], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Row:
    """One bad input.

    Attributes:
        what: What is wrong with it, as a sentence.
        send: Sends it.
        kind: The error, by whose fault it is.
        reason: Its stable code.
        field: The field that it names; empty where it is about none.
    """

    what: str
    send: Send
    kind: type[EnchainError]
    reason: str
    field: str = ""


def provision(**changed: Any) -> Send:
    """Send a provision of `site` in which something is wrong."""

    async def send(setting: Setting) -> None:
        fields: dict[str, Any] = {
            "parent": "tenants/default",
            "workload": "workloads/site",
            "request_id": "bad-input",
            "inputs": {"name": value_pb2.Value(string_value="x")},
        }
        fields |= changed
        async for _ in setting.router.Provision(provisioning_pb2.ProvisionRequest(**fields)):
            pass

    return send


def text(value: str) -> value_pb2.Value:
    """Make a value of text."""
    return value_pb2.Value(string_value=value)


def document(yaml: str) -> Send:
    """Apply a document in which something is wrong."""

    async def send(setting: Setting) -> None:
        for item in [parse(found) for found in read(Path("w.yaml"), yaml)]:
            await save(setting.client, item, dry_run=False)

    return send


async def reuse_a_request_id(setting: Setting) -> None:
    """Ask for something else with a request id that is taken."""
    await provision(request_id=setting.request_id, inputs={"name": text("other")})(setting)


async def stale_etag_of_a_route(setting: Setting) -> None:
    """Switch with an etag that was never the route's."""
    await setting.client.chains.SwitchChain(
        chain_pb2.SwitchChainRequest(
            name="workloads/site/route", chain="workloads/site/chains/all-in-one", etag="0123456789abcdef"
        )
    )


async def stale_etag_of_a_resource(setting: Setting) -> None:
    """Update with an etag that was never the resource's."""
    request = provisioning_pb2.UpdateRequest(
        name=setting.resource, request_id="bad-etag", etag="0123456789abcdef", inputs={"name": text("y")}
    )
    async for _ in setting.router.Update(request):
        pass


async def stale_plan(setting: Setting) -> None:
    """Provision with a plan that was made for other inputs."""
    await provision(plan_token=setting.plan_token, inputs={"name": text("another")})(setting)


async def deprovision_of_nothing(setting: Setting) -> None:
    """Deprovision a resource that is not there."""
    request = provisioning_pb2.DeprovisionRequest(
        name="tenants/default/resources/nothing", request_id="bad-nothing"
    )
    async for _ in setting.router.Deprovision(request):
        pass


async def switch_to_nothing(setting: Setting) -> None:
    """Switch to a chain that is not there."""
    await setting.client.chains.SwitchChain(
        chain_pb2.SwitchChainRequest(name="workloads/site/route", chain="workloads/site/chains/nothing")
    )


async def unsigned_plan(setting: Setting) -> None:
    """Provision with a token that no router signed."""
    await provision(plan_token="bm90LWEtdG9rZW4.bm90LWEtc2lnbmF0dXJl")(setting)


async def watch_of_nothing(setting: Setting) -> None:
    """Watch an operation that is not there."""
    name = "tenants/default/operations/01M85TNPZZTSKR077AJ7GTEZ1H"
    async for _ in setting.router.WatchOperation(provisioning_pb2.WatchOperationRequest(name=name)):
        pass


STEP = "kind: Workload\nname: bad\ninputs: {n: string}\nsteps:\n"
LATER = "- name: a\n  by:\n    process: {run: [echo, '${steps.serve.outputs.url}']}\n"
SERVE = "- name: serve\n  by:\n    process: {run: [sleep, '1']}\n"

ROWS = [
    Row("an unknown workload", provision(workload="workloads/nope"), NotFoundError, "WORKLOAD_NOT_FOUND"),
    Row("an input that the schema lacks", provision(inputs={"name": text("x"), "nmae": text("y")}),
        InvalidArgumentError, "INVALID_INPUTS", "inputs.nmae"),
    Row("a missing input", provision(inputs={}), InvalidArgumentError, "INVALID_INPUTS", "inputs.name"),
    Row("an input of another type", provision(inputs={"name": value_pb2.Value(int_value=3)}),
        InvalidArgumentError, "INVALID_INPUTS", "inputs.name"),
    Row("an input without a kind", provision(inputs={"name": value_pb2.Value()}),
        InvalidArgumentError, "INVALID_VALUE", "inputs.name"),
    Row("an oversize input", provision(inputs={"name": text("x" * 20_000)}),
        ExhaustedError, "INPUTS_TOO_LARGE", "inputs"),
    Row("no request id", provision(request_id=""), InvalidArgumentError, "REQUIRED", "request_id"),
    Row("a resource id with a slash", provision(resource_id="../x"),
        InvalidArgumentError, "INVALID_ID", "resource_id"),
    Row("a deadline too short", provision(timeout={"nanos": 1_000_000}),
        DeadlineError, "DEADLINE_TOO_SHORT", "timeout"),
    Row("a deadline longer than the workload's", provision(timeout={"seconds": 360_000}),
        DeadlineError, "DEADLINE_TOO_LONG", "timeout"),
    Row("a request id reused with other inputs", reuse_a_request_id, AlreadyExistsError, "REQUEST_ID_REUSED"),
    Row("a stale etag of a route", stale_etag_of_a_route, ConflictError, "ETAG_MISMATCH"),
    Row("a stale etag of a resource", stale_etag_of_a_resource, ConflictError, "ETAG_MISMATCH"),
    Row("a plan for other inputs", stale_plan, PreconditionError, "PLAN_STALE"),
    Row("a plan that nobody signed", unsigned_plan, PreconditionError, "PLAN_STALE"),
    Row("a deprovision of nothing", deprovision_of_nothing, NotFoundError, "RESOURCE_NOT_FOUND"),
    Row("a watch of nothing", watch_of_nothing, NotFoundError, "OPERATION_NOT_FOUND"),
    Row("a switch to nothing", switch_to_nothing, NotFoundError, "CHAIN_NOT_FOUND"),
    Row("an unquoted ${ in YAML", document(STEP + "- name: a\n  by: {process: {run: ${inputs.n}}}\n"),
        InvalidArgumentError, "BAD_DOCUMENT", "run"),
    Row("an expression to a later step",
        document(STEP + LATER + SERVE),
        InvalidArgumentError, "LATER_STEP", "w.yaml:7: steps[0].by.process.run[1]"),
    Row("an expression to an input that is not there",
        document(STEP + "- name: a\n  by:\n    process: {run: [echo, '${inputs.m}']}\n"),
        InvalidArgumentError, "UNKNOWN_FIELD", "w.yaml:7: steps[0].by.process.run[1]"),
    Row("a chain whose engine does not do the step",
        document("kind: Chain\nworkload: site\nname: c\nuse: {serve: terraform}\n"),
        InvalidArgumentError, "UNKNOWN_ENGINE", "w.yaml:4: use.serve"),
    Row("a chain with a missing step", document(STEP + "- name: a\n  by: {}\n"),
        InvalidArgumentError, "MISSING_IMPLEMENTATION", "w.yaml:5: steps[0].implementations"),
    Row("a version that no instance has",
        document(STEP + "- name: a\n  by:\n    process: {version: '99', run: [sleep, '1']}\n"),
        PreconditionError, "NO_ENGINE_INSTANCE"),
    Row("an engine that has no instance", document(STEP + "- name: a\n  by:\n    crystal-ball: {see: all}\n"),
        PreconditionError, "NO_ENGINE_INSTANCE"),
    Row("an engine input of another type", document(STEP + "- name: a\n  by:\n    process: {run: all}\n"),
        InvalidArgumentError, "TYPE_MISMATCH", "w.yaml:7: steps[0].by.process.run"),
]  # fmt: skip


@pytest.fixture
async def setting(house: House) -> Any:
    """One good resource, made by a known request, and a plan for known inputs."""
    async with house.client() as client, open_channel(house.cluster.routers[0]) as channel:
        async for _ in client.provision("site", {"name": "good"}, resource_id="good", request_id="good-1"):
            pass
        plan = await client.plan("site", {"name": "planned"})
        yield Setting(
            client,
            provisioning_pb2_grpc.ProvisioningServiceStub(channel),
            "tenants/default/resources/good",
            "good-1",
            plan.plan_token,
        )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
async def test_bad_input_is_refused_precisely_and_nothing_is_written(
    row: Row, setting: Setting, house: House
) -> None:
    before = await house.everything()

    with pytest.raises((EnchainError, grpc.aio.AioRpcError)) as caught:
        await row.send(setting)

    error = caught.value
    found = from_rpc_error(error) if isinstance(error, grpc.aio.AioRpcError) else error
    assert isinstance(found, row.kind), repr(found)
    assert found.reason == row.reason or row.reason in {v.reason for v in found.violations}, found.reason
    if row.field:
        assert row.field in [violation.field for violation in found.violations]
    assert found.message
    assert await house.everything() == before


async def test_a_busy_resource_is_refused_with_the_name_of_its_holder(setting: Setting, house: House) -> None:
    holder = ""
    update = setting.client.update("good", {"name": "busy"})
    async for event in update:
        if isinstance(event, operation_pb2.OperationEvent) and event.WhichOneof("kind") == "admitted":
            holder = event.operation
            break

    with pytest.raises(ConflictError) as caught:
        async for _ in setting.client.update("good", {"name": "busier"}):
            pass

    assert caught.value.reason == "RESOURCE_BUSY"
    assert holder in caught.value.metadata.values()
    async for _ in setting.client.watch(holder):
        pass
