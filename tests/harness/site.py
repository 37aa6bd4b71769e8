"""The workload `site` on a test's control plane: how it looks, and the calls about it.

Tests of the control plane use it with a `Plane`.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import field_mask_pb2

from enchain.v1 import chain_pb2, workload_pb2
from tests.harness.controlplane import Plane, struct
from tests.harness.waiting import eventually

PARENT = "workloads/site"
ROUTE = "workloads/site/route"
VIA = "workloads/site/chains/via-files"


def site_workload(**changes: Any) -> workload_pb2.Workload:
    """A workload of two steps: `configure` by `files`, or by `serving`; `serve` by `serving`."""
    workload = workload_pb2.Workload(
        description="A small web site",
        inputs=struct({"name": "string", "size": {"type": "string", "default": "small"}}),
        steps=[
            workload_pb2.Step(
                name="configure",
                implementations=[
                    implementation("files", {"name": "${inputs.name}"}),
                ],
            ),
            workload_pb2.Step(
                name="serve",
                implementations=[
                    implementation("serving", {"files": "${steps.configure.outputs.files}"}),
                    implementation("files", {"name": "${inputs.name}-served"}),
                ],
            ),
        ],
    )
    workload.outputs["url"].string_value = "${steps.serve.outputs.url}"
    workload.MergeFrom(workload_pb2.Workload(**changes))
    return workload


def implementation(engine: str, inputs: Mapping[str, str]) -> workload_pb2.Implementation:
    """One implementation with string inputs."""
    made = workload_pb2.Implementation(engine=engine)
    for name, text in inputs.items():
        made.inputs[name].string_value = text
    return made


async def save_site(plane: Plane, **changes: Any) -> workload_pb2.Workload:
    """Create the workload `site`."""
    saved: workload_pb2.Workload = await plane.workloads.CreateWorkload(
        workload_pb2.CreateWorkloadRequest(workload_id="site", workload=site_workload(**changes))
    )
    return saved


async def update(plane: Plane, workload: workload_pb2.Workload, *paths: str, **fields: Any) -> Any:
    """Update `site`: the fields at `paths`, or all of them."""
    workload.name = PARENT
    return await plane.workloads.UpdateWorkload(
        workload_pb2.UpdateWorkloadRequest(
            workload=workload, update_mask=field_mask_pb2.FieldMask(paths=paths), **fields
        )
    )


async def edit_site(plane: Plane) -> Any:
    """Update `site` so that every chain of it changes."""
    edited = site_workload()
    edited.steps[0].implementations[0].inputs["size"].string_value = "large"
    return await update(plane, edited)


async def create_chain(
    plane: Plane, chain_id: str, use: Mapping[str, str] | None = None, *, validate_only: bool = False
) -> Any:
    """Save a chain of `site`."""
    return await plane.chains.CreateChain(
        chain_pb2.CreateChainRequest(
            parent=PARENT, chain_id=chain_id, chain=chain_pb2.Chain(use=use), validate_only=validate_only
        )
    )


async def get_chain(plane: Plane, chain: str = "default") -> Any:
    """Answer the newest revision of a chain of `site`."""
    return await plane.chains.GetChain(chain_pb2.GetChainRequest(name=f"{PARENT}/chains/{chain}"))


async def get_route(plane: Plane) -> Any:
    """Answer the route of `site`."""
    return await plane.chains.GetRoute(chain_pb2.GetRouteRequest(name=ROUTE))


async def routed_to(plane: Plane) -> str:
    """Answer the chain that the route of `site` leads to."""
    return str((await get_route(plane)).shares[0].chain)


async def switch(plane: Plane, chain: str = VIA, **fields: Any) -> Any:
    """Switch `site` to a chain."""
    return await plane.chains.SwitchChain(chain_pb2.SwitchChainRequest(name=ROUTE, chain=chain, **fields))


async def rollback(plane: Plane, **fields: Any) -> Any:
    """Roll `site` back."""
    return await plane.chains.RollbackChain(chain_pb2.RollbackChainRequest(name=ROUTE, **fields))


async def ended(plane: Plane, name: str) -> Any:
    """Wait until a switch of `site` has ended, and answer it."""

    async def check() -> Any:
        found = await plane.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=name))
        return found if found.state in _ENDS else None

    return await eventually(check)


_ENDS = {chain_pb2.ChainSwitch.STATE_DONE, chain_pb2.ChainSwitch.STATE_ROLLED_BACK}
