"""Whom a certificate names."""

from collections.abc import Mapping

import pytest

from enchain.process.identity import ANONYMOUS, identity_of


class Context:
    """What gRPC would say of a peer."""

    def __init__(self, facts: Mapping[str, list[bytes]]) -> None:
        self._facts = facts

    def auth_context(self) -> Mapping[str, list[bytes]]:
        return self._facts


@pytest.mark.parametrize(
    ("facts", "subject"),
    [
        ({}, ANONYMOUS),
        ({"transport_security_type": [b"ssl"]}, ANONYMOUS),
        ({"x509_common_name": [b"router-1"]}, "router-1"),
        ({"x509_common_name": [b""], "x509_subject_alternative_name": [b"router.local"]}, "router.local"),
        (
            {
                "x509_common_name": [b"router-1"],
                "x509_subject_alternative_name": [b"127.0.0.1", b"spiffe://enchain/router/1"],
            },
            "spiffe://enchain/router/1",
        ),
    ],
)
def test_a_spiffe_id_goes_before_the_common_name(facts: dict[str, list[bytes]], subject: str) -> None:
    assert identity_of(Context(facts)).subject == subject
