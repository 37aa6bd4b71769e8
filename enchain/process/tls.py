"""TLS from files: the one place that turns paths into gRPC credentials.

Servers, channels, the store adapter and telemetry call it. Without TLS a process listens on loopback only,
and `require_safe` says so. Nothing here generates keys or logs what it read.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from enchain.chains.errors import InvalidArgumentError, Violation


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a process finds its own certificate and whom it believes.

    Attributes:
        certificate: PEM chain of this process, leaf first.
        key: PEM private key of this process.
        authority: PEM certificates of the authorities whose peers are believed. A server asks every client
            for a certificate of one of them; without it a server asks for none, and a channel believes the
            system's authorities.
    """

    certificate: Path
    key: Path
    authority: Path | None = None


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Read the files of a listener; with an authority, clients must show a certificate (mutual TLS).

    They are read again for every new connection, so that certificates can be renewed under a running server.
    Where they cannot be read then, the earlier ones go on.

    Raises:
        InvalidArgumentError: A file cannot be read or holds no PEM.
    """

    def again() -> grpc.ServerCertificateConfiguration | None:
        try:
            return _configuration(files)
        except InvalidArgumentError:
            return None  # half-way through being replaced; gRPC keeps what it has

    return grpc.dynamic_ssl_server_credentials(
        _configuration(files),
        again,  # type: ignore[arg-type]  # its stub knows nothing of None
        require_client_authentication=files.authority is not None,
    )


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Read the files of a channel; it shows its own certificate.

    Raises:
        InvalidArgumentError: A file cannot be read or holds no PEM.
    """
    return grpc.ssl_channel_credentials(
        root_certificates=_pem(files.authority, "tls.authority") if files.authority else None,
        private_key=_pem(files.key, "tls.key"),
        certificate_chain=_pem(files.certificate, "tls.certificate"),
    )


def is_loopback(address: str) -> bool:
    """Say whether only this machine can reach `host:port` (or `unix:path`)."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_safe(listen: str, tls: TlsFiles | None, *, allow_insecure: bool, field: str = "listen") -> None:
    """Refuse to listen where others could read along.

    Raises:
        InvalidArgumentError: The address is not loopback, there is no TLS, and nobody said that it is meant.
    """
    if tls is not None or allow_insecure or is_loopback(listen):
        return
    raise InvalidArgumentError(
        f"refusing to listen on {listen} without TLS: other machines could reach it, and read along",
        reason="INSECURE_LISTENER",
        remedy="Give --tls-cert, --tls-key and --tls-ca, listen on 127.0.0.1, or say --allow-insecure.",
        metadata={"listen": listen},
        violations=[Violation(field, f"{listen} is not loopback and TLS is off", "INSECURE_LISTENER")],
    )


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    pair = (_pem(files.key, "tls.key"), _pem(files.certificate, "tls.certificate"))
    authority = _pem(files.authority, "tls.authority") if files.authority else None
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=authority)


def _pem(path: Path, field: str) -> bytes:
    """Read one file. gRPC itself would tell of a bad one only at the first handshake, and in riddles."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, field, error.strerror or "it cannot be read") from error
    if b"-----BEGIN " not in content:
        raise _unusable(path, field, "it holds no PEM block")
    return content


def _unusable(path: Path, field: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"cannot use {path}: {why}",
        reason="TLS_FILE_UNUSABLE",
        remedy="Point it at a readable PEM file.",
        metadata={"path": str(path)},
        violations=[Violation(field, f"{path}: {why}", "TLS_FILE_UNUSABLE")],
    )
