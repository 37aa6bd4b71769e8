"""Documents and revisions of a table, for tests of how routers follow it."""

from collections.abc import Mapping

from enchain.chains import routes
from enchain.chains.values import to_struct, to_value_map
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Batch, Event, EventKind, KeyValue
from enchain.v1 import chain_pb2, engine_pb2, workload_pb2


def chain(inputs: str = "${inputs.name}", *, name: str = "") -> chain_pb2.Chain:
    """A chain of one step that takes `name`, as somebody would write it by hand: no digest."""
    schema = chain_pb2.EngineSchema(
        inputs=to_struct({"type": "object", "properties": {"name": {"type": "string"}}}),
        outputs=to_struct({"type": "object", "properties": {"url": {"type": "string"}}}),
    )
    step = chain_pb2.ChainStep(
        steps=["serve"], engine="process", version="1", inputs=to_value_map({"name": inputs}), schema=schema
    )
    return chain_pb2.Chain(
        name=name,
        inputs=to_struct({"type": "object", "properties": {"name": {"type": "string"}}}),
        steps=[step],
        outputs=to_value_map({"url": "${steps.serve.outputs.url}"}),
    )


def chain_name(workload: str, revision: str, chain_id: str = "default") -> str:
    """A chain's full name."""
    return f"workloads/{workload}/chains/{chain_id}@{revision}"


def whole_workload(workload: str, revision: str = "r1") -> dict[str, bytes]:
    """A workload, one chain revision, and the route to it, by key."""
    return {
        keys.workload(workload): encode(workload_pb2.Workload(name=f"workloads/{workload}")),
        keys.chain(workload, "default", revision): encode(chain()),
        keys.route(workload): encode(routes.whole(chain_name(workload, revision))),
    }


def engine(name: str, description: str = "") -> dict[str, bytes]:
    """An engine's document by key."""
    return {keys.engine(name): encode(engine_pb2.Engine(name=f"engines/{name}", description=description))}


def revision_of(
    revision: int, put: Mapping[str, bytes] | None = None, *, gone: tuple[str, ...] = (), resync: bool = False
) -> Batch:
    """One revision that puts and deletes keys."""
    events = [
        Event(EventKind.PUT, KeyValue(key, value, revision, revision)) for key, value in (put or {}).items()
    ]
    events += [Event(EventKind.DELETE, KeyValue(key, b"", 0, revision, version=0)) for key in gone]
    return Batch(revision, tuple(sorted(events, key=lambda event: event.item.key)), resync=resync)
