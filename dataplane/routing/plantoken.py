"""Plan tokens: what a plan promised, signed, so that any router with the key can hold a provision to it.

`Plan` makes one, `Provision` and `Update` verify it. The plans themselves lie in the engines' state scopes;
the token carries digests, names and an expiry. Key and time are arguments.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from enchain.chains.errors import PreconditionError

KEY_BYTES_MIN = 32
TOKEN_CHARACTERS_MAX = 8 * 1024
VERSION = "1"


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """What a plan binds.

    Attributes:
        verb: Name of the verb.
        chain: The chain's name with its revision.
        inputs: Fingerprint of the inputs.
        resource: The resource's name.
        resource_uid: Its uid, by which the engines keep their plans.
        etag: The resource as it stood; empty for a provision.
        digests: The engine's plan by step; a step that could not be planned yet is missing.
        scopes: The state scope that keeps the plan, by step.
        expires: Seconds since the epoch.
    """

    verb: str
    chain: str
    inputs: str
    resource: str
    resource_uid: str
    etag: str
    expires: int
    digests: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, str] = field(default_factory=dict)


def sign(work: PlannedWork, key: bytes) -> str:
    """Answer the token of a plan."""
    payload = json.dumps(asdict(work), sort_keys=True, separators=(",", ":")).encode()
    return f"{VERSION}.{_text(payload)}.{_text(_mac(payload, key))}"


def verify(token: str, key: bytes, now: datetime) -> PlannedWork:
    """Answer what a token binds.

    Raises:
        PreconditionError: It was signed with another key, changed, or has expired (`PLAN_STALE`).
    """
    version, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    try:
        payload, mac = _bytes(body), _bytes(signature)
    except (binascii.Error, ValueError) as error:
        raise stale("the plan token cannot be read") from error
    if version != VERSION or len(token) > TOKEN_CHARACTERS_MAX:
        raise stale("the plan token cannot be read")
    if not hmac.compare_digest(mac, _mac(payload, key)):
        raise stale("the plan token was signed with another key")
    work = PlannedWork(**json.loads(payload))
    if now >= datetime.fromtimestamp(work.expires, UTC):
        raise stale("the plan has expired")
    return work


def check(work: PlannedWork, asked: PlannedWork) -> None:
    """Refuse where what is asked now is not what was planned.

    Raises:
        PreconditionError: It differs (`PLAN_STALE`).
    """
    for part, told in (
        ("verb", "another verb"),
        ("chain", "another chain than the route leads to now"),
        ("inputs", "other inputs"),
        ("resource", "another resource"),
        ("etag", "the resource as it was before it changed"),
    ):
        if getattr(work, part) != getattr(asked, part):
            raise stale(f"the plan is for {told}")


def stale(told: str) -> PreconditionError:
    """The error of a plan that cannot be applied."""
    return PreconditionError(told, reason="PLAN_STALE", remedy="Plan again and apply the new plan.")


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.new(key, payload, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
