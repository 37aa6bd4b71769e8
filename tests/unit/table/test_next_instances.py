"""The engine instances as they registered themselves."""

import pytest

from dataplane.table.instances import Instances, next_instances
from enchain.state import keys
from enchain.state.codec import encode
from enchain.v1 import engine_pb2
from tests.harness.tables import revision_of


def registration(engine: str, instance: str, address: str = "127.0.0.1:1") -> dict[str, bytes]:
    message = engine_pb2.EngineInstance(
        name=f"engines/{engine}/instances/{instance}", engine=engine, version="1", address=address
    )
    return {keys.instance(engine, instance): encode(message)}


def test_instances_are_grouped_by_engine_in_the_order_of_their_ids() -> None:
    put = {
        **registration("process", "b"),
        **registration("process", "a"),
        **registration("terraform", "t"),
    }

    found, faults = next_instances(Instances(), revision_of(3, put, resync=True))

    assert {engine: [one.name for one in many] for engine, many in found.by_engine.items()} == {
        "process": ["engines/process/instances/a", "engines/process/instances/b"],
        "terraform": ["engines/terraform/instances/t"],
    }
    assert (found.revision, faults) == (3, ())


def test_an_instance_whose_key_is_gone_is_gone() -> None:
    found, _ = next_instances(Instances(), revision_of(3, registration("process", "a")))
    found, _ = next_instances(found, revision_of(4, gone=(keys.instance("process", "a"),)))

    assert (dict(found.by_engine), found.revision) == ({}, 4)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "MALFORMED_VALUE"),
        (registration("other", "a")[keys.instance("other", "a")], "OTHER_INSTANCE"),
        (registration("process", "z")[keys.instance("process", "z")], "OTHER_INSTANCE"),
        (registration("process", "a", address="")[keys.instance("process", "a")], "INCOMPLETE_REGISTRATION"),
    ],
)
def test_a_registration_that_cannot_be_read_changes_nothing_and_is_told(value: bytes, reason: str) -> None:
    before, _ = next_instances(Instances(), revision_of(3, registration("process", "a")))

    found, faults = next_instances(before, revision_of(4, {keys.instance("process", "a"): value}))

    assert found.by_engine == before.by_engine
    assert [fault.reason for fault in faults] == [reason]


def test_a_key_with_too_many_parts_is_no_instance() -> None:
    found, faults = next_instances(Instances(), revision_of(1, {f"{keys.INSTANCES}process/a/b": b"{}"}))

    assert not found.by_engine
    assert len(faults) == 1
