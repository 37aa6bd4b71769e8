"""Which chain a request gets: an experiment's arm, or else the route's share, looked up in a table.

Admission, plans and ExplainRoute call it. The answer is written into the operation and never computed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from enchain.chains import cohort
from enchain.chains.assignment import Assignment, Place, words
from enchain.chains.enrolment import Enrolment
from enchain.chains.errors import NotFoundError, PreconditionError
from enchain.chains.names import ChainName, workload_name
from enchain.chains.units import Attributes
from enchain.v1 import chain_pb2


class RouteTable(Protocol):
    """What choosing needs of a table: routes and experiments by workload id, chains by name with revision."""

    @property
    def routes(self) -> Mapping[str, chain_pb2.Route]:
        """The route of each workload, by the workload's id."""

    @property
    def chains(self) -> Mapping[str, chain_pb2.Chain]:
        """Every chain revision, by its full name."""

    @property
    def enrolments(self) -> Mapping[str, Enrolment]:
        """Experiments in force, by the workload's id."""


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request goes, and why.

    Attributes:
        chain: The chain's name with its revision.
        content: The chain itself.
        arm: The experiment's arm; `default` outside experiments.
        bucket: The bucket of the key.
        key: What was hashed: the unit's value in an experiment, else the routing key.
        route: The route in force.
        start: First bucket of the arm or share.
        end: First bucket after it.
        assignment: What the workload's experiments say; None where there are none.
    """

    chain: str
    content: chain_pb2.Chain
    arm: str
    bucket: int
    key: str
    route: chain_pb2.Route
    start: int
    end: int
    assignment: Assignment | None = None

    @property
    def enrolled(self) -> Assignment | None:
        """What put the request into an experiment; None where the route decided."""
        return self.assignment if self.assignment is not None and self.assignment.place else None

    @property
    def reason(self) -> str:
        """The answer in words."""
        if self.enrolled is not None:
            return f"{self.enrolled.experiment}: {words(self.enrolled)}"
        short = ChainName.parse(self.chain)
        whole = self.start == 0 and self.end == cohort.BUCKETS
        why = (
            "the route gives every bucket to it"
            if whole
            else f"the route gives it the buckets {self.start} to {self.end - 1}"
        )
        told = f"key {self.key!r} falls into bucket {self.bucket}; {why}: {short.chain}@{short.revision}"
        return f"{told}; no experiment has it: {words(self.assignment)}" if self.assignment else told


def choose(table: RouteTable, workload: str, attributes: Attributes) -> Routed:
    """Choose the chain of a request.

    Args:
        table: What the router follows.
        workload: The workload's id.
        attributes: What the request is; the cohort is hashed from its routing key.

    Raises:
        NotFoundError: There is no such workload, or it has no route.
        PreconditionError: The route or the experiment leads to a chain that is not in the table.
    """
    enrolment = table.enrolments.get(workload)
    assignment = enrolment.of_request(attributes) if enrolment is not None else None
    return _routed(table, workload, attributes.routing_key, assignment)


def choose_by_key(table: RouteTable, workload: str, key: str, attributes: Attributes | None = None) -> Routed:
    """Choose the chain by a key, unit and routing key alike; without attributes eligibility is not asked.

    Raises:
        NotFoundError: There is no such workload, or it has no route.
        PreconditionError: The route or the experiment leads to a chain that is not in the table.
    """
    enrolment = table.enrolments.get(workload)
    assignment = enrolment.of_key(key, attributes) if enrolment is not None else None
    return _routed(table, workload, key, assignment)


def _routed(table: RouteTable, workload: str, key: str, assignment: Assignment | None) -> Routed:
    route = table.routes.get(workload)
    if route is None:
        raise NotFoundError(
            f"no route leads to {workload_name(workload)}",
            reason="WORKLOAD_NOT_FOUND",
            remedy="Apply the workload, or correct its name.",
            metadata={"workload": workload},
        )
    if assignment is not None and assignment.place is not None:
        return _by_experiment(table, workload, route, assignment, assignment.place)
    choice = cohort.choose(route, key)
    return Routed(
        chain=choice.chain,
        content=_content(table, workload, choice.chain),
        arm=choice.arm,
        bucket=choice.bucket,
        key=key,
        route=route,
        start=choice.start,
        end=choice.end,
        assignment=assignment,
    )


def _by_experiment(
    table: RouteTable, workload: str, route: chain_pb2.Route, assignment: Assignment, place: Place
) -> Routed:
    return Routed(
        chain=place.chain,
        content=_content(table, workload, place.chain),
        arm=place.arm,
        bucket=assignment.bucket,
        key=assignment.key,
        route=route,
        start=place.start,
        end=place.end,
        assignment=assignment,
    )


def _content(table: RouteTable, workload: str, name: str) -> chain_pb2.Chain:
    chain = table.chains.get(name)
    if chain is None:
        raise PreconditionError(
            f"requests for {workload} lead to {name}, which is not in the table",
            reason="CHAIN_MISSING",
            remedy="Switch the route to a chain that exists.",
            metadata={"workload": workload, "chain": name},
        )
    return chain
