"""Which port a service gets.

The engine calls it while it holds the scope's port lock: the records of all services are read, a port that no
record has and nobody listens on is chosen, and it is taken by writing the service's record. A port is free
again when that record is gone. Ports of the kernel's ephemeral range should not be given to it.
"""

import socket
from collections.abc import Callable, Collection


def parse_ports(text: str) -> range:
    """Read `20000-29999`; `ValueError` where it is no range of ports."""
    first, dash, last = text.partition("-")
    ports = range(int(first), int(last if dash else first) + 1)
    if not ports or ports[0] < 1 or ports[-1] > 65535:  # noqa: PLR2004 - the highest port there is
        raise ValueError(f"{text!r} is not a range of ports such as 20000-29999")
    return ports


def choose_port(
    ports: range, taken: Collection[int], *, start: int, is_free: Callable[[int], bool]
) -> int | None:
    """Answer the first port from `start` on, around the range, that is neither taken nor in use.

    None where there is none. Starting anywhere spreads the ports, so that a port that was just given back is
    seldom given to somebody else at once.
    """
    count = len(ports)
    around = (ports[(start + index) % count] for index in range(count))
    return next((port for port in around if port not in taken and is_free(port)), None)


def is_port_free(port: int) -> bool:
    """Say whether nobody listens on a port, at any address."""
    return all(_can_bind(family, port) for family in (socket.AF_INET, socket.AF_INET6))


def _can_bind(family: socket.AddressFamily, port: int) -> bool:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # a machine without this family
        return True
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections do not matter
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(("", port))
            probe.listen(1)  # with SO_REUSEADDR, only this finds another listener
        except OSError:
            return family == socket.AF_INET6 and not socket.has_dualstack_ipv6()
    return True
