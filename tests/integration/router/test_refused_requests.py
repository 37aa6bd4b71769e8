"""Bad requests: what was sent, with which code, reason and field it is refused, and that nothing is written.

The whole prefix is compared byte by byte, with revisions, before and after; only what is leased is left
out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

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
from enchain.chains.values import to_value_map
from enchain.v1 import provisioning_pb2, value_pb2
from tests.harness.routers import (
    SETTINGS,
    Site,
    deprovision_request,
    everything,
    provision_request,
    refusal,
    running_router,
    shown,
    until,
)

Message = Any


@dataclass(frozen=True)
class Case:
    """One bad request.

    Attributes:
        sent: What it is, for the test's name.
        request: Makes it.
        kind: The error.
        reason: Its reason.
        field: The field that it names; empty where it is about none.
    """

    sent: str
    request: Callable[[], Message]
    kind: type[EnchainError]
    reason: str
    field: str = ""


def provision(**changes: Any) -> Message:
    request = provision_request("req-new", "new")
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def with_inputs(**inputs: Any) -> Message:
    return provision_request("req-new", "new", **inputs)


def with_timeout(seconds: float) -> Message:
    request = provision()
    request.timeout.FromMilliseconds(round(seconds * 1000))
    return request


def with_template() -> Message:
    request = provision()
    hole = value_pb2.Template(parts=[value_pb2.TemplatePart(variable="port")])
    request.inputs["name"].CopyFrom(value_pb2.Value(template_value=hole))
    return request


def deprovision(**changes: Any) -> Message:
    request = deprovision_request("gone-new")
    for name, value in changes.items():
        setattr(request, name, value)
    return request


CASES = (
    Case(
        "unknown workload", lambda: provision(workload="workloads/nope"), NotFoundError, "WORKLOAD_NOT_FOUND"
    ),
    Case(
        "malformed workload",
        lambda: provision(workload="Site"),
        InvalidArgumentError,
        "INVALID_NAME",
        "workload",
    ),
    Case("no request id", lambda: provision(request_id=""), InvalidArgumentError, "REQUIRED", "request_id"),
    Case(
        "request id with a slash",
        lambda: provision(request_id="a/b"),
        InvalidArgumentError,
        "INVALID_ID",
        "request_id",
    ),
    Case(
        "request id too long",
        lambda: provision(request_id="x" * 129),
        InvalidArgumentError,
        "INVALID_ID",
        "request_id",
    ),
    Case(
        "malformed resource id",
        lambda: provision(resource_id="New!"),
        InvalidArgumentError,
        "INVALID_ID",
        "resource_id",
    ),
    Case(
        "unknown tenant",
        lambda: provision(parent="tenants/other"),
        InvalidArgumentError,
        "UNKNOWN_TENANT",
        "parent",
    ),
    Case(
        "missing input",
        lambda: with_inputs(size="big"),
        InvalidArgumentError,
        "INVALID_INPUTS",
        "inputs.name",
    ),
    Case(
        "input of another type",
        lambda: with_inputs(name=3),
        InvalidArgumentError,
        "INVALID_INPUTS",
        "inputs.name",
    ),
    Case(
        "unknown input",
        lambda: with_inputs(name="x", more=1),
        InvalidArgumentError,
        "INVALID_INPUTS",
        "inputs.more",
    ),
    Case("hole in an input", with_template, InvalidArgumentError, "INVALID_INPUTS", "inputs.name"),
    Case(
        "oversize input", lambda: with_inputs(name="x" * 17_000), ExhaustedError, "INPUTS_TOO_LARGE", "inputs"
    ),
    Case("deadline too short", lambda: with_timeout(0.5), DeadlineError, "DEADLINE_TOO_SHORT", "timeout"),
    Case("deadline too long", lambda: with_timeout(61), DeadlineError, "DEADLINE_TOO_LONG", "timeout"),
    Case("stale plan", lambda: provision(plan_token="1.e30.e30"), PreconditionError, "PLAN_STALE"),
    Case("reused request id", lambda: provision(request_id="req-1"), AlreadyExistsError, "REQUEST_ID_REUSED"),
    Case("resource that exists", lambda: provision(resource_id="one"), AlreadyExistsError, "RESOURCE_EXISTS"),
    Case("stale etag", lambda: deprovision(etag="1"), ConflictError, "ETAG_MISMATCH"),
    Case(
        "unknown resource",
        lambda: deprovision(name="tenants/default/resources/no"),
        NotFoundError,
        "RESOURCE_NOT_FOUND",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sent)
async def test_a_bad_request_is_refused_and_nothing_is_written(site: Site, case: Case) -> None:
    async with running_router(site.store) as router:
        await shown(router.stub.Provision(provision_request()))
        request = case.request()
        before = await everything(site.store)
        call = (
            router.stub.Provision(request)
            if isinstance(request, provisioning_pb2.ProvisionRequest)
            else router.stub.Deprovision(request)
        )
        error = await refusal(call)

        assert (type(error), error.reason) == (case.kind, case.reason)
        assert case.field in ("", *(violation.field for violation in error.violations))
        assert await everything(site.store) == before


async def test_a_busy_resource_names_who_has_it(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store) as router:
        running = router.stub.Provision(provision_request())
        (first,) = await until(running, "admitted")
        error = await refusal(router.stub.Deprovision(deprovision_request()))
        other = await refusal(router.stub.Provision(provision_request("req-2", "one")))
        site.terraform.gate.set()
        await shown(running)

        assert isinstance(error, ConflictError)
        assert (error.reason, error.metadata["operation"]) == ("RESOURCE_BUSY", first.operation)
        assert other.reason == "RESOURCE_BUSY"


async def test_checking_only_admits_nothing(site: Site) -> None:
    async with running_router(site.store) as router:
        before = await everything(site.store)
        events = await shown(router.stub.Provision(provision(validate_only=True)))

        assert events == []
        assert await everything(site.store) == before


async def test_a_router_that_is_full_says_when_to_come_back(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store, settings=replace(SETTINGS, running_max=1)) as router:
        running = router.stub.Provision(provision_request())
        await running.read()
        error = await refusal(router.stub.Provision(provision_request("req-2", "two")))
        site.terraform.gate.set()
        await shown(running)

        assert isinstance(error, ExhaustedError)
        assert (error.reason, error.retry_after) == ("TOO_MANY_OPERATIONS", 2.0)


async def test_a_retry_of_what_is_not_held_is_refused(site: Site) -> None:
    async with running_router(site.store) as router:
        events = await shown(router.stub.Provision(provision_request()))
        request = provisioning_pb2.RetryOperationRequest(name=events[0].operation)
        error = await refusal(router.stub.RetryOperation(request))

        assert error.reason == "OPERATION_NOT_HELD"


async def test_an_unknown_operation_is_not_found(site: Site) -> None:
    async with running_router(site.store) as router:
        name = "tenants/default/operations/01KAAAAAAAAAAAAAAAAAAAAAAA"
        watched = await refusal(router.stub.WatchOperation(provisioning_pb2.WatchOperationRequest(name=name)))
        got = await refusal(router.stub.GetOperation(provisioning_pb2.GetOperationRequest(name=name)))

        assert watched.reason == got.reason == "OPERATION_NOT_FOUND"


async def test_a_plan_of_other_inputs_is_stale(site: Site) -> None:
    async with running_router(site.store) as router:
        plan = provisioning_pb2.PlanRequest(
            parent="tenants/default",
            workload="workloads/site",
            resource_id="new",
            inputs=to_value_map({"name": "x"}),
        )
        answer = await router.stub.Plan(plan)
        request = with_inputs(name="other")
        request.plan_token = answer.plan_token
        error = await refusal(router.stub.Provision(request))

        assert error.reason == "PLAN_STALE"
