"""Digests: the one JSON text of a message, and what a chain and a request are known by.

The codec of the store writes `canonical`; the control plane names revisions by `revision_of`; routers compare
`digest_of` with what a chain says of itself, and `fingerprint_of` with what a request id was used for before.
"""

import hashlib
import json

from google.protobuf.message import Message

from enchain.chains.plain_json import as_json
from enchain.v1 import chain_pb2

REVISION_DIGITS = 12


def canonical(message: Message) -> str:
    """Answer the one JSON text of a message: sorted keys, no blanks, UTF-8 as it is."""
    return json.dumps(as_json(message), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_of(message: Message) -> str:
    """`sha256:{hex}` over the canonical JSON of a message."""
    return f"sha256:{hashlib.sha256(canonical(message).encode()).hexdigest()}"


def digest_of(chain: chain_pb2.Chain) -> str:
    """Digest of what a chain does. Names, times and descriptions change nothing in it."""
    content = chain_pb2.Chain()
    content.CopyFrom(chain)
    content.ClearField("name")
    content.ClearField("etag")
    content.ClearField("digest")
    content.ClearField("create_time")
    content.ClearField("description")
    content.ClearField("workload_etag")
    return sha256_of(content)


def revision_of(digest: str) -> str:
    """The revision that a digest gives: its first 12 hex digits."""
    return digest.removeprefix("sha256:")[:REVISION_DIGITS]


def fingerprint_of(request: Message) -> str:
    """Digest of what a request asks for; its `request_id` is no part of that."""
    asked = type(request)()
    asked.CopyFrom(request)
    if "request_id" in request.DESCRIPTOR.fields_by_name:
        asked.ClearField("request_id")
    return sha256_of(asked)
