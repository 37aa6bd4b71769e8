"""Values in the store: canonical JSON of the protos, so that `etcdctl get` reads like a report.

Everything that writes or reads a value calls it. Names for enums, RFC 3339 times, sorted keys, no blanks,
UTF-8 as it is: the same message always gives the same bytes, and decoding and encoding again changes none.
"""

from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from enchain.chains.digests import canonical
from enchain.chains.errors import ExhaustedError, MalformedError
from enchain.chains.plain_parsing import parse_plain

__all__ = ["VALUE_BYTES_MAX", "canonical", "decode", "encode"]

VALUE_BYTES_MAX = 64 * 1024
"""The largest value that is written. etcd takes 1.5 MiB a request; a record goes with several others."""

M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """Turn a message into a value.

    Raises:
        ExhaustedError: The value is larger than `VALUE_BYTES_MAX`.
    """
    value = canonical(message).encode()
    if len(value) > VALUE_BYTES_MAX:
        raise ExhaustedError(
            f"{message.DESCRIPTOR.name} takes {len(value)} bytes; at most {VALUE_BYTES_MAX} are stored",
            reason="VALUE_TOO_LARGE",
            metadata={"size": str(len(value)), "limit": str(VALUE_BYTES_MAX)},
        )
    return value


def decode(kind: type[M], value: bytes, *, key: str = "") -> M:
    """Turn a value into a message.

    Raises:
        MalformedError: It is no JSON, or has fields that the message lacks or of another type.
    """
    message = kind()
    if parse_plain(value, message):
        return message
    message = kind()
    try:
        # protobuf's parser would take `[]` for an empty message.
        json_format.Parse(value if value.lstrip()[:1] == b"{" else b"no JSON object", message)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(
            f"the value of {key or 'a key'} is no {kind.DESCRIPTOR.name}: {error}",
            reason="MALFORMED_VALUE",
            metadata={"key": key},
        ) from error
    return message
