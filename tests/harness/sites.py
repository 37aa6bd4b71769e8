"""The workload `site` as tests of chains know it, with the schemas that its engines answer."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from enchain.chains import chains, workloads
from enchain.chains.values import Json, to_struct, to_value, to_value_map
from enchain.v1 import chain_pb2, workload_pb2

M = TypeVar("M", bound=Message)

MODULE = workload_pb2.ArtifactRef(digest=f"sha256:{'a' * 64}", source="./site")

TERRAFORM = chain_pb2.EngineSchema(
    inputs=to_struct(
        {
            "type": "object",
            "properties": {
                "with": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "copies": {"type": "integer"}},
                    "required": ["name"],
                    "additionalProperties": False,
                }
            },
            "required": ["with"],
            "additionalProperties": False,
        }
    ),
    outputs=to_struct(
        {
            "type": "object",
            "properties": {
                "files": {"type": "string"},
                "count": {"type": "integer"},
                "ratio": {"type": "number"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "password": {"type": "string"},
            },
        }
    ),
    secret_outputs=["password"],
)

PROCESS = chain_pb2.EngineSchema(
    inputs=to_struct(
        {
            "type": "object",
            "properties": {
                "run": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "files": {"type": "string"},
                "count": {"type": "integer"},
                "restart": {"enum": ["always", "never"]},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["run"],
            "additionalProperties": False,
        }
    ),
    outputs=to_struct({"type": "object", "properties": {"url": {"type": "string"}}}),
    variables=to_struct({"port": {"type": "integer"}}),
)

SCHEMAS: Mapping[str, chain_pb2.EngineSchema] = {
    "terraform": TERRAFORM,
    "process": PROCESS,
    "script": chain_pb2.EngineSchema(inputs=to_struct({"type": "object"})),
}


def site(
    *,
    name: str = "workloads/site",
    with_: Json = None,
    run: Json = None,
    serve: Mapping[str, Json] | None = None,
    outputs: Mapping[str, Json] | None = None,
) -> workload_pb2.Workload:
    """`configure` by terraform or process (which then does both steps), `serve` by process."""
    serving = {"run": ["python3", "${port}"] if run is None else run}
    serving |= {"files": "${steps.configure.outputs.files}"} if serve is None else dict(serve)
    inputs = {"name": "string", "size": {"type": "string", "default": "small"}}
    return workload_pb2.Workload(
        name=name,
        inputs=to_struct(inputs),
        steps=[
            workload_pb2.Step(
                name="configure",
                implementations=[
                    workload_pb2.Implementation(
                        engine="terraform",
                        artifacts={"module": MODULE},
                        inputs={"with": to_value({"name": "${inputs.name}"} if with_ is None else with_)},
                    ),
                    workload_pb2.Implementation(
                        engine="process",
                        covers=["configure", "serve"],
                        inputs=to_value_map({"run": ["all", "--port=${port}"]}),
                    ),
                    workload_pb2.Implementation(engine="script", inputs=to_value_map({"body": "true"})),
                ],
            ),
            workload_pb2.Step(
                name="serve",
                implementations=[workload_pb2.Implementation(engine="process", inputs=to_value_map(serving))],
            ),
        ],
        outputs=to_value_map({"url": "${steps.serve.outputs.url}"} if outputs is None else outputs),
    )


def edited(message: M, path: str, value: Json) -> M:
    """A copy of a message with one field of its JSON set, such as `steps[0].name`; None takes it away."""
    document = json_format.MessageToDict(message, preserving_proto_field_name=True)
    *way, last = [int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", path)]
    node: Json = document
    for step in way:
        node = node[step]
    if value is None:
        node.pop(last, None) if isinstance(node, dict) else node.pop(last)
    else:
        node[last] = value
    return json_format.ParseDict(document, type(message)())


def answers(needs: Iterable[chains.Need]) -> dict[chains.Need, chains.SchemaAnswer]:
    """What the engines answer."""
    return {need: chains.SchemaAnswer("1.0.0", SCHEMAS[need.engine]) for need in needs}


def derived(workload: workload_pb2.Workload, use: Mapping[str, str] | None = None) -> chain_pb2.Chain:
    """The chain of a workload, as the control plane makes it."""
    checked = workloads.check(workload)
    return chains.derive(checked, "default", use or {}, answers(chains.needs(checked, use or {})))
