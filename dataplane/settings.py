"""Settings of a router: its own flags beside those that all servers share.

`main` reads them once. Every flag has a variable `ENCHAIN_…` that gives its default.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from dataplane.journal.pruning import Retention
from dataplane.routing.plantoken import KEY_BYTES_MIN
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.process.settings import ServerSettings, add_server_flags, parse_server_args
from enchain.v1 import origin_pb2

LEASE_SECONDS = 20
"""It must outlast a failover of etcd. Development uses 10."""

LEASE_SECONDS_MIN = 5


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """What a router is told.

    Attributes:
        server: What all servers are told.
        advertise: `host:port` under which peers reach it; empty for the address it listens on.
        lease_seconds: How long its ownerships outlive it.
        running_max: Operations that it runs at once.
        plan_key_file: File with the key of plan tokens, the same on all routers; None for one of its own.
        retention: How long what has ended is kept.
        locality: Where it runs.
        drain_seconds: How long it waits at its end for calls to end.
        scan_seconds: How often it looks for operations without an owner.
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    advertise: str = ""
    lease_seconds: int = LEASE_SECONDS
    running_max: int = 1000
    plan_key_file: Path | None = None
    retention: Retention = field(default_factory=Retention)
    locality: origin_pb2.Locality | None = None
    drain_seconds: float = 10.0
    scan_seconds: float = 30.0

    def plan_key(self) -> bytes | None:
        """Read the key of plan tokens; None where none is given.

        Raises:
            InvalidArgumentError: The file cannot be read or is too short.
        """
        if self.plan_key_file is None:
            return None
        try:
            key = self.plan_key_file.read_bytes().strip()
        except OSError as error:
            raise _wrong(f"cannot read {self.plan_key_file}: {error.strerror}") from error
        if len(key) < KEY_BYTES_MIN:
            raise _wrong(f"{self.plan_key_file} holds {len(key)} bytes; at least {KEY_BYTES_MIN} are needed")
        return key


def _wrong(told: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        told,
        reason="INVALID_PLAN_KEY",
        remedy="Make one with: openssl rand -hex 32",
        violations=[Violation("plan_key_file", told, "INVALID_PLAN_KEY")],
    )


def parse(argv: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> RouterSettings:
    """Read a router's command line."""
    parser = argparse.ArgumentParser(
        prog="enchain-router", description="Carries provisioning requests through the chain in force."
    )
    add_server_flags(parser, env)

    def flag(name: str, default: str, text: str) -> None:
        variable = f"ENCHAIN_{name.upper().replace('-', '_')}"
        metavar = name.rpartition("-")[2].upper()
        parser.add_argument(
            f"--{name}", default=env.get(variable, default), help=f"{text} [{variable}]", metavar=metavar
        )

    flag("advertise", "", "host:port under which peers reach this router")
    flag("lease-seconds", str(LEASE_SECONDS), "how long ownerships outlive this router")
    flag("running-max", "1000", "operations that run at once")
    flag("plan-key-file", "", "key that signs plan tokens, the same on all routers")
    flag("keep-days", "7", "days for which ended operations are kept, at least 1")
    flag("region", "", "region in which this router runs")
    flag("zone", "", "zone in which this router runs")
    args, server = parse_server_args(parser, argv)
    try:
        return _settings(args, server)
    except ValueError as error:
        parser.error(str(error))


def _settings(args: argparse.Namespace, server: ServerSettings) -> RouterSettings:
    days = _number(args.keep_days, "keep-days", 1)
    located = args.region or args.zone
    return RouterSettings(
        server=server,
        advertise=args.advertise,
        lease_seconds=_number(args.lease_seconds, "lease-seconds", LEASE_SECONDS_MIN),
        running_max=_number(args.running_max, "running-max", 1),
        plan_key_file=Path(args.plan_key_file) if args.plan_key_file else None,
        retention=Retention(age=timedelta(days=days), outbox_age=timedelta(days=days)),
        locality=origin_pb2.Locality(region=args.region, zone=args.zone) if located else None,
    )


def _number(text: str, flag: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise ValueError(f"--{flag} must be a number of at least {least}, not {text!r}")
    return int(text)
