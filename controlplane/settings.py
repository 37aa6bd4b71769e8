"""What a control plane is told: the settings of every server, and where artifacts lie.

`controlplane.main` parses them once; nothing reads a flag or the environment later.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enchain.process.settings import ServerSettings, add_server_flags, parse_server_args

ARTIFACTS_DEFAULT = "artifacts"

HISTORY_DEFAULT = "history.sqlite"
"""Beside the artifact store, where nothing else is said."""

LEARNED_DEFAULT = "learned"

LEASE_SECONDS = 20
"""It must outlast a failover of etcd."""

LEASE_SECONDS_MIN = 2
"""What etcd takes at its usual election timeout."""


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """Settings of a control plane.

    Attributes:
        server: What every server of ours is told.
        artifacts: Directory of the artifact store. Control planes and engine instances share it.
        lease_seconds: How long the leadership of this replica outlives it.
        advertise: `host:port` under which other replicas reach it; empty for the address it listens on.
        history: File of the history of demand. The replica that leads has it alone.
        learned: Folder of what forecasting has learned: models, and how they did. Likewise.
        prometheus: Address of the Prometheus that workloads' queries are for; empty for none.
        prometheus_token_file: File with a bearer token for it; None where it asks for none.
    """

    server: ServerSettings
    artifacts: Path
    lease_seconds: int = LEASE_SECONDS
    advertise: str = ""
    history: Path = Path(HISTORY_DEFAULT)
    learned: Path = Path(LEARNED_DEFAULT)
    prometheus: str = ""
    prometheus_token_file: Path | None = None


def parse(argv: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> ControlPlaneSettings:
    """Parse a command line; a wrong one ends the process as argparse does."""
    parser = argparse.ArgumentParser(
        prog="enchain-controlplane", description="Serve workloads, engines, chains, routes and artifacts."
    )
    add_server_flags(parser, env)
    parser.add_argument(
        "--artifacts",
        default=env.get("ENCHAIN_ARTIFACTS", ARTIFACTS_DEFAULT),
        metavar="DIR",
        help="directory of the artifact store, shared with the engine instances [ENCHAIN_ARTIFACTS]",
    )
    parser.add_argument(
        "--lease-seconds",
        default=env.get("ENCHAIN_LEASE_SECONDS", str(LEASE_SECONDS)),
        metavar="SECONDS",
        help="how long the leadership of this replica outlives it [ENCHAIN_LEASE_SECONDS]",
    )
    parser.add_argument(
        "--advertise",
        default=env.get("ENCHAIN_ADVERTISE", ""),
        metavar="HOST:PORT",
        help="where other control planes reach this one [ENCHAIN_ADVERTISE]",
    )
    _add_demand_flags(parser, env)
    args, server = parse_server_args(parser, argv)
    seconds = args.lease_seconds
    if not seconds.isdecimal() or int(seconds) < LEASE_SECONDS_MIN:
        parser.error(f"--lease-seconds must be a number of at least {LEASE_SECONDS_MIN}, not {seconds!r}")
    if args.prometheus and not args.prometheus.startswith(("http://", "https://")):
        parser.error(f"--prometheus must begin with http:// or https://, not {args.prometheus!r}")
    return ControlPlaneSettings(
        server=server,
        artifacts=Path(args.artifacts),
        lease_seconds=int(seconds),
        advertise=args.advertise,
        history=Path(args.history or Path(args.artifacts).parent / HISTORY_DEFAULT),
        learned=Path(args.learned or Path(args.artifacts).parent / LEARNED_DEFAULT),
        prometheus=args.prometheus,
        prometheus_token_file=Path(args.prometheus_token_file) if args.prometheus_token_file else None,
    )


def _add_demand_flags(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    parser.add_argument(
        "--history",
        default=env.get("ENCHAIN_HISTORY", ""),
        metavar="FILE",
        help=f"history of demand, used while this replica leads; default {HISTORY_DEFAULT} by the artifacts"
        " [ENCHAIN_HISTORY]",
    )
    parser.add_argument(
        "--learned",
        default=env.get("ENCHAIN_LEARNED", ""),
        metavar="DIR",
        help=f"what forecasting has learned, used while this replica leads; default {LEARNED_DEFAULT} by the"
        " artifacts [ENCHAIN_LEARNED]",
    )
    parser.add_argument(
        "--prometheus",
        default=env.get("ENCHAIN_PROMETHEUS", ""),
        metavar="URL",
        help="Prometheus that workloads' queries are for [ENCHAIN_PROMETHEUS]",
    )
    parser.add_argument(
        "--prometheus-token-file",
        default=env.get("ENCHAIN_PROMETHEUS_TOKEN_FILE", ""),
        metavar="FILE",
        help="file with a bearer token for that Prometheus [ENCHAIN_PROMETHEUS_TOKEN_FILE]",
    )
