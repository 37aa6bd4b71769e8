"""Values are read as protobuf's own parser would read them, and refused where it refuses them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from enchain.chains.plain_parsing import parse_plain
from enchain.v1 import learned_pb2, operation_pb2
from tests.harness.filled_messages import KINDS, filled

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.just("12")
    | st.just("1.5s"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def told(kind: type[Message], value: bytes) -> Message | None:
    """What protobuf's parser makes of a value; None where it refuses it."""
    message = kind()
    try:
        json_format.Parse(value, message)
    except (json_format.ParseError, UnicodeDecodeError):
        return None
    return message


def agrees(kind: type[Message], value: bytes) -> bool:
    """Whether what is parsed here, if it is, is what protobuf's parser says."""
    message = kind()
    if not parse_plain(value, message):
        return True
    expected = told(kind, value)
    return expected is not None and message.SerializeToString(
        deterministic=True
    ) == expected.SerializeToString(deterministic=True)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_what_our_writer_writes_is_read_as_protobuf_reads_it(
    kind: type[Message], data: st.DataObject
) -> None:
    value = json_format.MessageToJson(data.draw(filled(kind.DESCRIPTOR)), indent=None).encode()

    assert agrees(kind, value)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), odd=JSON)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_so_is_whatever_else_somebody_wrote(kind: type[Message], data: st.DataObject, odd: Any) -> None:
    content = json_format.MessageToDict(data.draw(filled(kind.DESCRIPTOR)))
    places = list(_places(content, lambda _: None))
    data.draw(st.sampled_from(places))(odd)

    assert agrees(kind, json.dumps(content).encode())


def _places(content: Any, replace: Callable[[Any], None]) -> Any:
    """Yield what replaces each part of JSON data by something else."""
    yield replace
    if isinstance(content, dict):
        yield lambda odd: content.__setitem__("unknown", odd)
        for key in content:
            yield from _places(content[key], lambda odd, key=key: content.__setitem__(key, odd))  # type: ignore[misc]  # bound at once
    elif isinstance(content, list):
        for place, each in enumerate(content):
            yield from _places(each, lambda odd, place=place: content.__setitem__(place, odd))  # type: ignore[misc]  # bound at once


@pytest.mark.parametrize(
    "value",
    [
        b"", b"[]", b"null", b"{", b"\xff\xfe", '{"tenant":"a"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"tenant":"a"}', b'{"tenant":"a","tenant":"b"}', b'{"measures":{"a":1,"a":2}}',
        b'{"measures":{"a":NaN}}', b'{"measures":{"a":1e400}}', b'{"measures":{"a":"Infinity"}}',
        b'{"bucket":1.0}', b'{"bucket":"1"}', b'{"bucket":2147483648}', b'{"bucket":true}', b'{"verb":2}',
        b'{"verb":"VERB_DANCE"}', b'{"verb":null}', b'{"create_time":"2026-03-01T12:00:00Z"}',
        b'{"createTime":"yesterday"}', b'{"createTime":1}', b'{"steps":{}}', b'{"steps":[null]}',
        b'{"steps":[[]]}', b'{"tenant":"\\ud800"}', b'{"tenant":"\\u0000"}',
        b'{"steps":[{"usage":{"peakMemoryBytes":"99999999999999999999"}}]}',
        b'{"steps":[{"usage":{"peakMemoryBytes":" 1"}}]}', b'{"steps":[{"usage":{"peakMemoryBytes":1}}]}',
    ],
)  # fmt: skip
def test_so_is_what_people_and_faults_write(value: bytes) -> None:
    assert agrees(operation_pb2.OutboxEntry, value)


def test_only_one_of_several_alternatives_may_be_given() -> None:
    two = b'{"admitted":{},"ended":{}}'

    assert not parse_plain(two, operation_pb2.OperationEvent())
    assert parse_plain(b'{"ended":{}}', operation_pb2.OperationEvent())


def test_the_values_that_are_read_most_are_plain() -> None:
    entry = json.dumps(
        {
            "operation": "o",
            "verb": "VERB_PROVISION",
            "createTime": "2026-03-01T12:00:00.5Z",
            "measures": {"size": 3},
            "steps": [{"step": "a", "duration": "1.25s", "usage": {"peakMemoryBytes": "12"}}],
        }
    ).encode()
    hours = b'{"week":"2930","provision":{"failures":{"A":0.5},"hours":[{"hour":"1","count":"2"}]}}'

    assert parse_plain(entry, operation_pb2.OutboxEntry())
    assert parse_plain(hours, learned_pb2.ProfileStatistics())
