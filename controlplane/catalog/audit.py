"""Audit records: what was changed, by whom, and what it was before.

Every decision that writes makes one. They are written in the transaction of the change itself, so there is no
change without a record and no record without a change.
"""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message

from controlplane.catalog.changes import Stamp
from enchain.process.redaction import redacted
from enchain.state import keys
from enchain.state.codec import canonical, encode
from enchain.state.store import Put
from enchain.v1 import origin_pb2, presence_pb2

SNAPSHOT_BYTES_MAX = 24 * 1024
"""What `before` and `after` may take each, so that the record stays under the store's 64 KiB."""

REASON_CHARACTERS_MAX = 1024
"""Longer reasons are cut: people write them, nothing reads them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a change, through which method, and why."""

    method: str
    actor: origin_pb2.Identity = field(default_factory=origin_pb2.Identity)
    request_id: str = ""
    reason: str = ""


def record(
    stamp: Stamp, caller: Caller, target: str, *, before: Message | None, after: Message | None
) -> Put:
    """Make the record of one change; `before` or `after` is None where there is nothing."""
    entry = presence_pb2.AuditRecord(
        name=f"audit/{stamp.ulid}",
        actor=caller.actor,
        method=caller.method,
        target=target,
        request_id=caller.request_id,
        etag_before=getattr(before, "etag", ""),
        reason=caller.reason[:REASON_CHARACTERS_MAX],
    )
    entry.time.FromDatetime(stamp.now)
    if before is not None:
        entry.before.CopyFrom(snapshot(before))
    if after is not None:
        entry.after.CopyFrom(snapshot(after))
    return Put(keys.audit(stamp.ulid), encode(entry))


def snapshot(message: Message) -> struct_pb2.Struct:
    """Answer a message without its secrets; only its name and etag where it is too large to be kept twice."""
    clean = redacted(message)
    shown: dict[str, Any] = json_format.MessageToDict(clean)
    if len(canonical(clean).encode()) > SNAPSHOT_BYTES_MAX:
        shown = {key: shown[key] for key in ("name", "etag") if key in shown} | {"truncated": True}
    struct = struct_pb2.Struct()
    struct.update(shown)
    return struct
