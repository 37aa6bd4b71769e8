"""Update masks: which fields of a sent message replace those of the stored one.

Update decisions call it. Pure. Paths are checked against the message's descriptor; fields that are output
only are left alone whether named or not, as AIP-203 has it.
"""

from collections.abc import Collection, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from enchain.chains.errors import InvalidArgumentError, Violation

M = TypeVar("M", bound=Message)


def merged(stored: M, sent: M, paths: Sequence[str], *, output_only: Collection[str]) -> M:
    """Answer `stored` with the fields at `paths` taken from `sent`. No path, or `*`: all of them.

    Raises:
        InvalidArgumentError: A path names no field.
    """
    if not paths or "*" in paths:
        paths = [field.name for field in sent.DESCRIPTOR.fields]
    result = type(stored)()
    result.CopyFrom(stored)
    for path in paths:
        names = path.split(".")
        if names[0] not in output_only:
            _take(result, sent, names, path)
    return result


def without(message: M, fields: Collection[str]) -> M:
    """Answer a message without some fields: what people wrote, without what we add."""
    content = type(message)()
    content.CopyFrom(message)
    for field in fields:
        content.ClearField(field)
    return content


def _take(target: Message, source: Message, names: Sequence[str], path: str) -> None:
    """Replace one field of `target`, however deep it lies."""
    field = target.DESCRIPTOR.fields_by_name.get(names[0])
    if field is None or (len(names) > 1 and (field.message_type is None or field.is_repeated)):
        raise InvalidArgumentError(
            f"update_mask names {path}, which is no field of {type(target).__name__}",
            reason="INVALID_UPDATE_MASK",
            metadata={"path": path},
            violations=[Violation("update_mask", f"{path} is no field", "INVALID_UPDATE_MASK")],
        )
    if len(names) > 1:
        _take(getattr(target, names[0]), getattr(source, names[0]), names[1:], path)
        return
    target.ClearField(names[0])
    others = [other.name for other in source.DESCRIPTOR.fields if other.name != names[0]]
    target.MergeFrom(without(source, others))
