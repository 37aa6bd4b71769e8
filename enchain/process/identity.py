"""Who is calling: identity from the client's certificate.

Servicers call it once per request. The tenant is `default` until roles and tokens are built. It believes only
what TLS has verified, never a field of the request.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from enchain.v1 import origin_pb2

DEFAULT_TENANT = "default"
ANONYMOUS = "anonymous"

_COMMON_NAME = "x509_common_name"
_ALTERNATIVE_NAMES = "x509_subject_alternative_name"


class AuthenticatedContext(Protocol):
    """The part of gRPC's servicer context that is needed here."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Answer what TLS has found out about the peer."""


def identity_of(context: AuthenticatedContext) -> origin_pb2.Identity:
    """Answer the caller's identity: SPIFFE id, else common name, else `anonymous`."""
    facts = context.auth_context()
    subject = _subject(_texts(facts, _COMMON_NAME), _texts(facts, _ALTERNATIVE_NAMES))
    # No issuer: gRPC does not tell it, and a listener believes the authorities of one file only.
    return origin_pb2.Identity(subject=subject or ANONYMOUS)


def _subject(common_names: list[str], alternative_names: list[str]) -> str:
    spiffe = [name for name in alternative_names if name.startswith("spiffe://")]
    return next(iter([*spiffe, *common_names, *alternative_names]), "")


def _texts(facts: Mapping[str, Iterable[bytes]], name: str) -> list[str]:
    return [value.decode(errors="replace") for value in facts.get(name, ()) if value]
