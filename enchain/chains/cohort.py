"""Cohorts: which of 10,000 buckets a key falls into, and which share of a route owns that bucket.

Routers call it once for every admission. The hash is GrowthBook's version 2 (FNV-1a, 32 bits, applied
twice), over UTF-8 bytes; beyond ASCII, SDKs that hash other units give other buckets. Buckets are stored
with what they decided and never computed anew, so this may not change: a new hash is a new `hash_version`.
Definition: https://docs.growthbook.io/lib/build-your-own#hashing, sections `hash` and `inNamespace`.
"""

from dataclasses import dataclass

from enchain.chains.errors import MalformedError
from enchain.v1 import chain_pb2

BUCKETS = 10_000
HASH_VERSION = 2
LAYER_SLOTS = 1_000
"""Parts that a layer is divided into."""

_OFFSET, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF

_HEAD = 4
_heads: dict[bytes, int] = {}
"""State of the hash by the first digits of a number; at most 10,000 of them."""


def fnv1a32(data: bytes, state: int = _OFFSET) -> int:
    """FNV-1a hash of 32 bits; goes on from what was hashed before where `state` is its result."""
    for byte in data:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def seeded(seed: str) -> int:
    """State of the hash after a seed, which many keys have in common; for `bucket_after`."""
    return fnv1a32(_bytes(seed))


def bucket_after(state: int, key: str) -> int:
    """Bucket of a key, 0..9999, under the seed that `state` was made of."""
    for byte in _bytes(key):
        state = ((state ^ byte) * _PRIME) & _MASK
    digits = b"%d" % state
    state = _heads.get(digits[:_HEAD]) or _head(digits[:_HEAD])
    for byte in digits[_HEAD:]:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state % BUCKETS


def _head(digits: bytes) -> int:
    """Hash the first digits, of which there are few, once for all keys."""
    state = _heads[digits] = fnv1a32(digits)
    return state


def bucket(seed: str, key: str) -> int:
    """Bucket of a key, 0..9999. Any text at all has one."""
    return bucket_after(seeded(seed), key)


def layer_slot(layer: str, key: str) -> int:
    """Thousandth of a layer that a key falls into, 0..999, as GrowthBook's `inNamespace`: hash version 1."""
    return fnv1a32(_bytes(f"{key}__{layer}")) % LAYER_SLOTS


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a key goes: chain (with its revision), arm, bucket, and the share that said so."""

    chain: str
    arm: str
    bucket: int
    start: int
    end: int


def choose(route: chain_pb2.Route, key: str) -> Choice:
    """Choose by a route that `routes.check` has passed.

    Raises:
        MalformedError: No share holds the key's bucket.
    """
    number = bucket(route.seed, key)
    for share in route.shares:
        if share.start <= number < share.end:
            return Choice(share.chain, share.arm, number, share.start, share.end)
    raise MalformedError(f"no share of {route.name} holds bucket {number}", reason="ROUTE_HAS_GAP")
