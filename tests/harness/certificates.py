"""Certificates made on the spot, for tests of TLS.

Tests call `make_authority` once and `issue` for each process. Keys live in a temporary directory and are
never committed. Elliptic curves, because making RSA keys takes longer than the tests.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from enchain.process.tls import TlsFiles

LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its certificate's file, and what it signs with."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_authority(directory: Path, *, name: str = "enchain test authority") -> Authority:
    """Make an authority of its own; its files, and those it issues, go into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _unsigned(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "authority.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(path, certificate, key)


def issue(
    authority: Authority,
    name: str,
    *,
    hosts: Sequence[str] = LOOPBACK_HOSTS,
    uris: Sequence[str] = (),
    valid_days: int = 1,
) -> TlsFiles:
    """Issue a certificate for a process that is server and client at once.

    Args:
        authority: Who signs.
        name: The common name, and the stem of the files.
        hosts: Addresses and names under which it may be reached.
        uris: URI names, such as a SPIFFE id.
        valid_days: Days until it ends; negative for one that has ended.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names = [_general_name(host) for host in hosts] + [x509.UniformResourceIdentifier(uri) for uri in uris]
    builder = _unsigned(name, _common_name(authority.certificate), key, valid_days=valid_days).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        critical=False,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    directory = authority.path.parent
    files = TlsFiles(directory / f"{name}.pem", directory / f"{name}.key", authority.path)
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    files.key.chmod(0o600)
    return files


def _unsigned(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, valid_days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    ends = now + timedelta(days=valid_days)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - timedelta(hours=1))
        .not_valid_after(ends)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
