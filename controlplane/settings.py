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

LAUNCHES_DEFAULT = "launches"

SCOPES_DEFAULT = "scopes"
"""One folder for each engine that is launched here."""

START_SECONDS = 120.0

PLANNING_SECONDS = 30.0
EXPERIMENTS_SECONDS = 5.0
DRAIN_SECONDS = 600.0

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
        launches: Folder of the engine instances that are started here. Replicas of one machine share it.
        scopes: Folder of their state scopes.
        start_seconds: How long an instance may take to come up.
        drain_seconds: How long one may take to end.
        forecasting: Forecast demand here. Otherwise somebody else writes the forecasts that are planned from.
        planning_seconds: Between two rounds of planning.
        experiments_seconds: Between two looks at experiments.
    """

    server: ServerSettings
    artifacts: Path
    lease_seconds: int = LEASE_SECONDS
    advertise: str = ""
    history: Path = Path(HISTORY_DEFAULT)
    learned: Path = Path(LEARNED_DEFAULT)
    prometheus: str = ""
    prometheus_token_file: Path | None = None
    launches: Path = Path(LAUNCHES_DEFAULT)
    scopes: Path = Path(SCOPES_DEFAULT)
    start_seconds: float = START_SECONDS
    drain_seconds: float = DRAIN_SECONDS
    forecasting: bool = True
    planning_seconds: float = PLANNING_SECONDS
    experiments_seconds: float = EXPERIMENTS_SECONDS


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
    _add_launch_flags(parser, env)
    _add_planning_flags(parser, env)
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
        launches=Path(args.launches or Path(args.artifacts).parent / LAUNCHES_DEFAULT),
        scopes=Path(args.scopes or Path(args.artifacts).parent / SCOPES_DEFAULT),
        start_seconds=args.start_seconds,
        drain_seconds=args.drain_seconds,
        forecasting=not args.no_forecasting,
        planning_seconds=args.planning_seconds,
        experiments_seconds=args.experiments_seconds,
    )


def _add_launch_flags(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    parser.add_argument(
        "--launches",
        default=env.get("ENCHAIN_LAUNCHES", ""),
        metavar="DIR",
        help=f"engine instances that are started here, a folder for each; default {LAUNCHES_DEFAULT} by the"
        " artifacts [ENCHAIN_LAUNCHES]",
    )
    parser.add_argument(
        "--scopes",
        default=env.get("ENCHAIN_SCOPES", ""),
        metavar="DIR",
        help=f"their state scopes, a folder for each engine; default {SCOPES_DEFAULT} by the artifacts"
        " [ENCHAIN_SCOPES]",
    )
    parser.add_argument(
        "--start-seconds",
        default=env.get("ENCHAIN_START_SECONDS", str(START_SECONDS)),
        type=float,
        metavar="SECONDS",
        help="how long an engine instance may take to come up [ENCHAIN_START_SECONDS]",
    )
    parser.add_argument(
        "--drain-seconds",
        default=env.get("ENCHAIN_DRAIN_SECONDS", str(DRAIN_SECONDS)),
        type=float,
        metavar="SECONDS",
        help="how long one that is not wanted may take to end its work, before it is killed"
        " [ENCHAIN_DRAIN_SECONDS]",
    )


def _add_planning_flags(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    parser.add_argument(
        "--planning-seconds",
        default=env.get("ENCHAIN_PLANNING_SECONDS", str(PLANNING_SECONDS)),
        type=float,
        metavar="SECONDS",
        help="time between two rounds of planning [ENCHAIN_PLANNING_SECONDS]",
    )
    parser.add_argument(
        "--experiments-seconds",
        default=env.get("ENCHAIN_EXPERIMENTS_SECONDS", str(EXPERIMENTS_SECONDS)),
        type=float,
        metavar="SECONDS",
        help="time between two looks at experiments [ENCHAIN_EXPERIMENTS_SECONDS]",
    )
    parser.add_argument(
        "--no-forecasting",
        action="store_true",
        default=env.get("ENCHAIN_NO_FORECASTING", "") == "1",
        help="forecast nothing: somebody else writes learned/forecasts/ [ENCHAIN_NO_FORECASTING=1]",
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
