"""The table of a simulated world: a workload, two chains over two engines, a route between them."""

import atexit
import json
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from dataplane.table import documents as routers_documents
from dataplane.table.documents import Document
from enchain.chains import routes
from enchain.chains.values import to_struct, to_value_map
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import KeyValue, Put, Txn
from enchain.v1 import chain_pb2, workload_pb2
from tests.simulation.plans import Plan

STEPS = ("configure", "serve")

CHAINS = ("default", "other")
"""Their first step is by alpha and by beta."""

_ANY = {"type": "object"}


def chain_name(chain: str) -> str:
    """A chain's full name."""
    return f"workloads/site/chains/{chain}@r1"


def _step(name: str, engine: str, value: str) -> chain_pb2.ChainStep:
    schema = chain_pb2.EngineSchema(inputs=to_struct(_ANY), outputs=to_struct(_ANY))
    retry = workload_pb2.Retry(max_attempts=2)
    retry.initial_backoff.FromMilliseconds(500)
    return chain_pb2.ChainStep(
        steps=[name],
        engine=engine,
        version="1",
        inputs=to_value_map({"value": value}),
        schema=schema,
        retry=retry,
    )


def _chain(plan: Plan, first: str, second: str) -> chain_pb2.Chain:
    one = _step("configure", first, "${inputs.value}")
    if plan.falls_back:
        one.fallback.CopyFrom(_step("configure", second, "${inputs.value}"))
    two = _step("serve", second, "${steps.configure.outputs.out}")
    policy = workload_pb2.ON_FAILURE_HOLD if plan.holds else workload_pb2.ON_FAILURE_COMPENSATE
    chain = chain_pb2.Chain(
        inputs=to_struct(_ANY),
        steps=[one, two],
        outputs=to_value_map({"out": "${steps.serve.outputs.out}"}),
        on_failure=policy,
    )
    chain.timeout.FromSeconds(plan.timeout_seconds)
    return chain


def tables(plan: Plan) -> Txn:
    """The transaction that fills the table."""
    chains = {"default": _chain(plan, "alpha", "beta"), "other": _chain(plan, "beta", "alpha")}
    puts = [Put(keys.chain("site", name, "r1"), encode(chain)) for name, chain in chains.items()]
    return Txn(success=(*puts, Put(keys.route("site"), encode(routes.whole(chain_name("default"))))))


def route_to(chain: str) -> Txn:
    """The transaction that moves the route."""
    return Txn(success=(Put(keys.route("site"), encode(routes.whole(chain_name(chain)))),))


@lru_cache(maxsize=256)
def _read(key: str, value: bytes) -> Document:
    return routers_documents.read(KeyValue(key, value, 1, 1))


def read(item: KeyValue) -> Document:
    """Read and check a document; all routers of all seeds share what was found and change none of it."""
    return replace(_read(item.key, item.value), revision=item.mod_revision)


def json_of(message: Message) -> Any:
    """A message as the store has it."""
    return json.loads(json.dumps(json_format.MessageToDict(message)))


def _key_file() -> Path:
    """A key for plan tokens, which nobody uses here; without one every router would say so."""
    folder = tempfile.TemporaryDirectory(prefix="simulation-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "plan.key"
    path.write_bytes(b"0" * 64)
    return path


PLAN_KEY_FILE = _key_file()
