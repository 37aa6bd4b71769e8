"""Cohorts: which of 10,000 buckets a key falls into, and which share of a route owns that bucket.

Routers call it once for every admission. The hash is GrowthBook's version 2 (FNV-1a, 32 bits, applied
twice), over UTF-8 bytes; beyond ASCII, SDKs that hash other units give other buckets. Buckets are stored
with what they decided and never computed anew, so this may not change: a new hash is a new `hash_version`.
"""

from dataclasses import dataclass

from enchain.chains.errors import MalformedError
from enchain.v1 import chain_pb2

BUCKETS = 10_000
HASH_VERSION = 2

_OFFSET, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def fnv1a32(data: bytes) -> int:
    """FNV-1a hash of 32 bits."""
    state = _OFFSET
    for byte in data:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def bucket(seed: str, key: str) -> int:
    """Bucket of a key, 0..9999. `surrogatepass`: any text at all has a bucket."""
    inner = fnv1a32(f"{seed}{key}".encode("utf-8", "surrogatepass"))
    return fnv1a32(str(inner).encode()) % BUCKETS


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
