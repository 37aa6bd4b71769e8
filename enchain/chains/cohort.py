"""Cohorts: which of 10,000 buckets a key falls into, and which share of a route owns that bucket.

Routers call it once for every admission. The hash is GrowthBook's version 2 (FNV-1a, 32 bits, applied
twice), over UTF-8 bytes; beyond ASCII, SDKs that hash other units give other buckets. Buckets are stored
with what they decided and never computed anew, so this may not change: a new hash is a new `hash_version`.
Definition: https://docs.growthbook.io/lib/build-your-own#hashing, sections `hash` and `inNamespace`.
"""

from dataclasses import dataclass

from fnv_hash_fast import fnv1a_32

from enchain.chains.errors import MalformedError
from enchain.v1 import chain_pb2

BUCKETS = 10_000
HASH_VERSION = 2
LAYER_SLOTS = 1_000
"""Parts that a layer is divided into."""


def bucket(seed: str, key: str) -> int:
    """Bucket of a key, 0..9999. Any text at all has one."""
    return fnv1a_32(b"%d" % fnv1a_32(_bytes(seed + key))) % BUCKETS


def layer_slot(layer: str, key: str) -> int:
    """Thousandth of a layer that a key falls into, 0..999, as GrowthBook's `inNamespace`: hash version 1."""
    return fnv1a_32(_bytes(f"{key}__{layer}")) % LAYER_SLOTS


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
