"""Values are written as protobuf's own JSON writer would write them, whatever a message holds."""

import json

import pytest
from google.protobuf import any_pb2, json_format, struct_pb2
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from enchain.chains.digests import canonical
from enchain.chains.plain_json import as_json
from enchain.v1 import operation_pb2
from tests.harness.filled_messages import KINDS, filled


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_it_is_what_protobufs_own_writer_makes(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(filled(kind.DESCRIPTOR))
    expected = json_format.MessageToDict(message)

    assert json.dumps(as_json(message)) == json.dumps(expected)
    assert canonical(message) == json.dumps(
        expected, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def test_what_has_a_form_of_its_own_is_written_in_it() -> None:
    packed = any_pb2.Any()
    packed.Pack(operation_pb2.RequestClaim(operation="o"))
    null = struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)

    assert as_json(packed) == json_format.MessageToDict(packed)
    assert as_json(null) is None


@pytest.mark.parametrize("number", [0, 1, 9999])
def test_an_enum_value_that_nobody_knows_is_written_as_its_number(number: int) -> None:
    entry = operation_pb2.OutboxEntry(operation="o", verb=number)  # type: ignore[arg-type]  # unknown

    assert as_json(entry) == json_format.MessageToDict(entry)
