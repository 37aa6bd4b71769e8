"""Settings that all servers share: flags, or the environment, into frozen dataclasses.

Each `main.py` adds its own flags beside them. `ENCHAIN_…` variables give the defaults, flags win. Nothing
reads the environment later than this.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.process.tls import TlsFiles

LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """Where the store is.

    Attributes:
        endpoints: `host:port` of one or several members; DNS names may stand for several.
        tls: Certificates for it; None for plain text.
        user: User name; empty where etcd asks for none.
        password_file: File with the password; never a flag, since every user of a machine can see flags.
    """

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    tls: TlsFiles | None = None
    user: str = ""
    password_file: Path | None = None

    def password(self) -> str:
        """Read the password, without the line's end.

        Raises:
            InvalidArgumentError: The file cannot be read.
        """
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise _wrong("etcd-password-file", f"cannot read {self.password_file}") from error


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What every server of ours is told.

    Attributes:
        listen: `host:port`; port 0 takes a free one, which the ready file tells.
        tls: Certificates of the listener and of channels to peers; None for loopback only.
        allow_insecure: Listen without TLS where other machines can reach it.
        etcd: Where the store is.
        otlp: `host:port` of an OTLP/gRPC collector; empty for none. `https://` before it: with `tls`.
        otlp_metrics: The same for something that takes metrics and no traces, such as a control plane.
        metrics_listen: `host:port` of the Prometheus page; empty for none.
        log_level: The least important level that is logged.
        log_json: JSON lines; else text.
        ready_file: Written once the process serves; None for none.
        name: The process's own id; empty to make one up.
    """

    listen: str = "127.0.0.1:0"
    tls: TlsFiles | None = None
    allow_insecure: bool = False
    etcd: EtcdSettings = field(default_factory=EtcdSettings)
    otlp: str = ""
    otlp_metrics: str = ""
    metrics_listen: str = ""
    log_level: str = "info"
    log_json: bool = True
    ready_file: Path | None = None
    name: str = ""

    @property
    def otlp_tls(self) -> TlsFiles | None:
        """Certificates for the collector: the process's own, where `https://` asks for them."""
        return self.tls if self.otlp.startswith("https://") else None

    @property
    def otlp_metrics_tls(self) -> TlsFiles | None:
        """The same for whatever takes metrics only."""
        return self.tls if self.otlp_metrics.startswith("https://") else None

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> "ServerSettings":
        """Read parsed flags.

        Raises:
            InvalidArgumentError: Flags contradict each other; the violations name them.
        """
        return cls(
            listen=args.listen,
            tls=_tls_files("tls", args.tls_cert, args.tls_key, args.tls_ca),
            allow_insecure=args.allow_insecure,
            etcd=EtcdSettings(
                endpoints=_endpoints(args.etcd),
                tls=_tls_files("etcd-tls", args.etcd_tls_cert, args.etcd_tls_key, args.etcd_tls_ca),
                user=args.etcd_user,
                password_file=_path(args.etcd_password_file),
            ),
            otlp=args.otlp,
            otlp_metrics=args.otlp_metrics,
            metrics_listen=args.metrics_listen,
            log_level=args.log_level,
            log_json=args.log_format == "json",
            ready_file=_path(args.ready_file),
            name=args.name,
        )


def add_server_flags(parser: argparse.ArgumentParser, env: Mapping[str, str] = os.environ) -> None:
    """Add the shared flags; `ENCHAIN_LISTEN` gives the default of `--listen`, and so on."""

    def flag(name: str, default: str, text: str, choices: Sequence[str] | None = None) -> None:
        variable = f"ENCHAIN_{name.upper().replace('-', '_')}"
        parser.add_argument(
            f"--{name}",
            default=env.get(variable, default),
            choices=choices,
            help=f"{text} [{variable}]",
            metavar=None if choices else name.rpartition("-")[2].upper(),
        )

    flag("listen", "127.0.0.1:0", "host:port to serve on; port 0 takes a free one")
    flag("etcd", "127.0.0.1:2379", "etcd endpoints, host:port with commas between")
    flag("etcd-tls-cert", "", "certificate for etcd, PEM file")
    flag("etcd-tls-key", "", "private key for etcd, PEM file")
    flag("etcd-tls-ca", "", "authority that etcd's certificate must come from, PEM file")
    flag("etcd-user", "", "user name for etcd")
    flag("etcd-password-file", "", "file with the password for etcd")
    flag("tls-cert", "", "certificate of this process, PEM file")
    flag("tls-key", "", "private key of this process, PEM file")
    flag("tls-ca", "", "authority that peers' certificates must come from, PEM file")
    flag("otlp", "", "OTLP/gRPC collector, host:port; https:// before it for TLS")
    flag("otlp-metrics", "", "takes metrics over OTLP/gRPC and no traces, such as a control plane; host:port")
    flag("metrics-listen", "", "host:port of the Prometheus page")
    flag("log-level", "info", "least important level that is logged", LEVELS)
    flag("log-format", "json", "form of log lines", ("json", "text"))
    flag("ready-file", "", "written as JSON once the process serves")
    flag("name", "", "id of this process; made up where it is empty")
    parser.add_argument(
        "--allow-insecure",
        action="store_true",
        default=env.get("ENCHAIN_ALLOW_INSECURE", "").lower() in ("1", "true", "yes"),
        help="listen without TLS where other machines can reach it [ENCHAIN_ALLOW_INSECURE]",
    )


def parse_server_args(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, ServerSettings]:
    """Parse a command line that has the shared flags; a contradiction ends the process as argparse does."""
    args = parser.parse_args(argv)
    try:
        return args, ServerSettings.from_args(args)
    except InvalidArgumentError as error:
        parser.error(f"{error.message}. {error.remedy}".strip())


def _tls_files(prefix: str, certificate: str, key: str, authority: str) -> TlsFiles | None:
    if not (certificate or key or authority):
        return None
    missing = [name for name, path in (("cert", certificate), ("key", key)) if not path]
    if missing:
        raise _wrong(
            f"{prefix}-{missing[0]}",
            f"--{prefix}-{missing[0]} is missing beside the other --{prefix}-… flags",
        )
    return TlsFiles(Path(certificate), Path(key), _path(authority))


def _endpoints(text: str) -> tuple[str, ...]:
    endpoints = tuple(part.strip() for part in text.split(",") if part.strip())
    if not endpoints:
        raise _wrong("etcd", "--etcd names no endpoint")
    return endpoints


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _wrong(flag: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        message,
        reason="INVALID_FLAG",
        metadata={"flag": flag},
        violations=[Violation(flag, message, "INVALID_FLAG")],
    )
