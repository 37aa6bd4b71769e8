"""Where the command finds the planes.

Flags win, then the environment, then what `enchain dev` serves on this machine. `enchain.cli.main` fills it;
commands call `client()`. Nothing else reads the environment, but for `enchain.cli.tracing`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from enchain.client import Client

DEFAULT_CONTROL = "127.0.0.1:7400"
DEFAULT_ROUTERS = ("127.0.0.1:7401", "127.0.0.1:7402")
"""What `enchain dev` listens on."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the planes.

    Attributes:
        control: `host:port` of the control plane.
        routers: `host:port` of each router.
        tls: Certificate, key and authority; empty without TLS.
        tenant: Whose operations and resources are meant.
    """

    control: str = DEFAULT_CONTROL
    routers: tuple[str, ...] = DEFAULT_ROUTERS
    tls: tuple[str, ...] = ()
    tenant: str = "default"

    @classmethod
    def chosen(
        cls,
        control: str | None,
        routers: str | None,
        tls: tuple[str | None, str | None, str | None],
        tenant: str,
    ) -> "Connection":
        """Take what was given, and defaults for the rest."""
        given = tuple(file for file in tls if file)
        if given and len(given) != len(tls):
            raise click.UsageError("--tls-cert, --tls-key and --tls-ca go together.")
        addresses = tuple(part.strip() for part in (routers or "").split(",") if part.strip())
        return cls(control or DEFAULT_CONTROL, addresses or DEFAULT_ROUTERS, given, tenant)

    def client(self) -> "Client":
        """Open a client. Imports gRPC, so call it when a command runs."""
        from enchain.client import Client  # noqa: PLC0415 - `--help` must not import gRPC
        from enchain.process.tls import TlsFiles  # noqa: PLC0415 - likewise

        files = TlsFiles(*(Path(file) for file in self.tls)) if self.tls else None
        return Client(control=self.control, routers=self.routers, tls=files, tenant=self.tenant)
