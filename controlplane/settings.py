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


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """Settings of a control plane.

    Attributes:
        server: What every server of ours is told.
        artifacts: Directory of the artifact store. Control planes and engine instances share it.
    """

    server: ServerSettings
    artifacts: Path


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
    args, server = parse_server_args(parser, argv)
    return ControlPlaneSettings(server=server, artifacts=Path(args.artifacts))
