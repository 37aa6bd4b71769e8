"""Which chain a request gets: the cohort's choice, looked up in a table.

Admission and ExplainRoute call it. The answer is written into the operation and never computed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from enchain.chains import cohort
from enchain.chains.errors import NotFoundError, PreconditionError
from enchain.chains.names import ChainName, workload_name
from enchain.v1 import chain_pb2


class RouteTable(Protocol):
    """What choosing needs of a table: routes by workload id, chains by name with revision."""

    @property
    def routes(self) -> Mapping[str, chain_pb2.Route]:
        """The route of each workload, by the workload's id."""

    @property
    def chains(self) -> Mapping[str, chain_pb2.Chain]:
        """Every chain revision, by its full name."""


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a key goes, and why.

    Attributes:
        chain: The chain's name with its revision.
        content: The chain itself.
        arm: The experiment's arm; `default` outside experiments.
        bucket: The cohort bucket of the key.
        route: The route that said so.
        start: First bucket of the share.
        end: First bucket after the share.
        reason: The answer in words.
    """

    chain: str
    content: chain_pb2.Chain
    arm: str
    bucket: int
    route: chain_pb2.Route
    start: int
    end: int
    reason: str


def choose(table: RouteTable, workload: str, key: str) -> Routed:
    """Choose the chain of a key.

    Args:
        table: What the router follows.
        workload: The workload's id.
        key: What the cohort is hashed from.

    Raises:
        NotFoundError: There is no such workload, or it has no route.
        PreconditionError: The route leads to a chain that is not in the table.
    """
    route = table.routes.get(workload)
    if route is None:
        raise NotFoundError(
            f"no route leads to {workload_name(workload)}",
            reason="WORKLOAD_NOT_FOUND",
            remedy="Apply the workload, or correct its name.",
            metadata={"workload": workload},
        )
    choice = cohort.choose(route, key)
    chain = table.chains.get(choice.chain)
    if chain is None:
        raise PreconditionError(
            f"the route of {workload} leads to {choice.chain}, which is not in the table",
            reason="CHAIN_MISSING",
            remedy="Switch the route to a chain that exists.",
            metadata={"workload": workload, "chain": choice.chain},
        )
    return Routed(
        chain=choice.chain,
        content=chain,
        arm=choice.arm,
        bucket=choice.bucket,
        route=route,
        start=choice.start,
        end=choice.end,
        reason=_words(choice, key),
    )


def _words(choice: cohort.Choice, key: str) -> str:
    short = ChainName.parse(choice.chain)
    whole = choice.start == 0 and choice.end == cohort.BUCKETS
    why = (
        "the route gives every bucket to it"
        if whole
        else f"the route gives it the buckets {choice.start} to {choice.end - 1}"
    )
    return f"key {key!r} falls into bucket {choice.bucket}; {why}: {short.chain}@{short.revision}"
