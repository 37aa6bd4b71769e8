"""What goes through the pipe between the leader and its worker: frames of JSON and arrays. Pure.

Both ends call it. A frame is two lengths (4 bytes each, big-endian), a JSON object, and an `npz` archive of
float arrays; never a pickle, so that reading a frame cannot run code.
"""

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from controlplane.forecast.series import FloatArray
from enchain.chains.errors import MalformedError

HEAD = struct.Struct(">II")
HEAD_BYTES = HEAD.size

FRAME_BYTES_MAX = 1024 * 1024 * 1024
"""What a length may say; more is rubbish on the pipe and no frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One message, either way.

    Attributes:
        kind: What is asked (`forecast`, `train`, …) or answered (`progress`, `done`, `failed`).
        number: Of the question; its answers carry the same.
        body: Whatever JSON can say.
        arrays: By name.
    """

    kind: str
    number: int
    body: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, FloatArray] = field(default_factory=dict)


def pack(frame: Frame) -> bytes:
    """Turn a frame into bytes."""
    said = json.dumps({"kind": frame.kind, "number": frame.number, "body": dict(frame.body)}).encode()
    archive = io.BytesIO()
    if frame.arrays:
        np.savez(archive, allow_pickle=False, **frame.arrays)
    data = archive.getvalue()
    return HEAD.pack(len(said), len(data)) + said + data


def lengths(head: bytes) -> tuple[int, int]:
    """Answer how long the two parts are.

    Raises:
        MalformedError: It is no head of a frame.
    """
    if len(head) != HEAD_BYTES:
        raise MalformedError("the worker's pipe ended within a frame", reason="TORN_FRAME")
    said, data = HEAD.unpack(head)
    if said + data > FRAME_BYTES_MAX:
        raise MalformedError(f"a frame of {said + data} bytes is on the worker's pipe", reason="NO_FRAME")
    return said, data


def unpack(said: bytes, data: bytes) -> Frame:
    """Turn the two parts into a frame.

    Raises:
        MalformedError: They are no frame.
    """
    try:
        told = json.loads(said)
        arrays: dict[str, FloatArray] = {}
        if data:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        return Frame(str(told["kind"]), int(told["number"]), dict(told["body"]), arrays)
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise MalformedError(f"rubbish on the worker's pipe: {error}", reason="NO_FRAME") from error
