"""The key space and the values in it."""

from pathlib import Path

import pytest

from enchain.chains.errors import ExhaustedError, MalformedError
from enchain.state import keys
from enchain.state.codec import VALUE_BYTES_MAX, decode, encode
from enchain.state.store import is_prefix
from enchain.v1 import chain_pb2, presence_pb2

KEYS_PAGE = Path(__file__).parents[3] / "docs" / "keys.md"

PREFIXES = {
    name: value
    for name, value in vars(keys).items()
    if name.isupper() and isinstance(value, str) and name != "EPOCH"
}


@pytest.mark.parametrize("name", PREFIXES)
def test_every_prefix_lies_under_the_root_and_ends_with_a_slash(name: str) -> None:
    assert PREFIXES[name].startswith(keys.ROOT)
    assert is_prefix(PREFIXES[name])


@pytest.mark.parametrize("name", sorted({*PREFIXES, "EPOCH"} - {"ROOT"}))
def test_the_page_about_keys_names_every_prefix(name: str) -> None:
    prefix = getattr(keys, name).removeprefix(keys.ROOT)

    assert f"`{prefix}" in KEYS_PAGE.read_text()


def test_a_key_is_taken_apart_as_it_was_put_together() -> None:
    key = keys.chain("site", "default", "0123456789ab")

    assert keys.parts(key, keys.CHAINS) == ("site", "default", "0123456789ab")
    with pytest.raises(ValueError, match="does not lie under"):
        keys.parts(key, keys.ROUTES)


def test_the_same_message_is_always_the_same_bytes() -> None:
    route = chain_pb2.Route(name="workloads/größe/route", hash_version=2)
    route.shares.add(chain="workloads/größe/chains/default@0123456789ab", end=10_000)

    value = encode(route)

    assert (
        value
        == (
            '{"hashVersion":2,"name":"workloads/größe/route",'
            '"shares":[{"chain":"workloads/größe/chains/default@0123456789ab","end":10000}]}'
        ).encode()
    )
    assert encode(decode(chain_pb2.Route, value)) == value


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b'{"nope":1}', b'{"epoch":"x"}', b"\xff\xfe", b"[" * 5000, b"null"]
)
def test_a_value_that_is_no_such_message_is_malformed_and_names_its_key(value: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        decode(presence_pb2.StoreEpoch, value, key=keys.EPOCH)

    assert caught.value.metadata["key"] == keys.EPOCH


def test_a_value_that_is_too_large_is_not_written() -> None:
    with pytest.raises(ExhaustedError) as caught:
        encode(presence_pb2.StoreEpoch(reason="x" * VALUE_BYTES_MAX))

    assert caught.value.metadata["limit"] == str(VALUE_BYTES_MAX)
