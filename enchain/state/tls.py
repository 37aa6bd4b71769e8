"""The files of a TLS identity towards etcd.

`etcd.py` and `server.py` call it. It names what it needs instead of importing the process room, so that any
object with three paths will do.
"""

from pathlib import Path
from typing import Protocol

import grpc


class TlsPaths(Protocol):
    """Files of one TLS identity; `enchain.process.tls.TlsFiles` is one."""

    @property
    def certificate(self) -> Path:
        """The certificate chain, PEM."""

    @property
    def key(self) -> Path:
        """The private key of the certificate, PEM."""

    @property
    def authority(self) -> Path:
        """The authorities that the other side's certificate is checked against, PEM."""


def client_credentials(tls: TlsPaths) -> grpc.ChannelCredentials:
    """Read the files of a client's TLS identity."""
    return grpc.ssl_channel_credentials(
        root_certificates=tls.authority.read_bytes(),
        private_key=tls.key.read_bytes(),
        certificate_chain=tls.certificate.read_bytes(),
    )
