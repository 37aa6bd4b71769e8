"""The console script `enchain-engine-process`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from enchain.engines.process.engine import DEFAULT_PORTS, ProcessEngine, ProcessSettings
from enchain.engines.process.ports import parse_ports
from enchain.sdk import serve


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the process engine until told to stop."""
    flags = make_flags(os.environ)
    args, _ = flags.parse_known_args(argv)
    settings = ProcessSettings(ports=args.ports, host=args.service_host)
    return serve.main(ProcessEngine(settings), argv, parents=[flags])


def make_flags(env: Mapping[str, str]) -> argparse.ArgumentParser:
    """Answer the flags that this engine has beside those of every engine."""
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    flags.add_argument(
        "--ports",
        type=_ports,
        default=env.get("ENCHAIN_PORTS", f"{DEFAULT_PORTS[0]}-{DEFAULT_PORTS[-1]}"),
        help="what services' ports are chosen from, such as 20000-29999 [ENCHAIN_PORTS]",
    )
    flags.add_argument(
        "--service-host",
        default=env.get("ENCHAIN_SERVICE_HOST", "127.0.0.1"),
        help="address that services are told as ${host} and are probed at [ENCHAIN_SERVICE_HOST]",
    )
    return flags


def _ports(text: str) -> range:
    try:
        return parse_ports(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
