"""The verdict: everything that is not as promised, each as a sentence. Pure.

It compares three accounts that know nothing of each other: what clients were told, what etcd, the disk and
the kernel say, and what the tools wrote in the witness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.chaos.faulting import Done
from benchmarks.chaos.plan import KINDS
from benchmarks.chaos.standing import Standing
from benchmarks.chaos.telling import Told
from benchmarks.chaos.witness import Seen
from enchain.v1 import operation_pb2

Operation = operation_pb2.Operation
StepRun = operation_pb2.StepRun

AS_MEANT_MIN = 0.95
FOUND_MIN = 10 / 11
"""Of the faults planned, how many must have found somebody to hit: at the very end nothing runs any more."""

HITS_MIN = 2 / 3
ADOPTED_MIN = 1 / 2
EACH_KIND_MIN = 1 / 4
FEW_FAULTS = 20
"""Among so few, half as many adoptions will do: how many operations one router runs is chance."""
SCRIPTED = frozenset({"script"})
"""Engines whose tools know the generation; of the others the witness has the client's mark."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is known when all is quiet.

    Attributes:
        got: The state that `GetOperation` answers, by operation.
    """

    told: Sequence[Told]
    faults: Sequence[Done]
    seen: Seen
    standing: Standing
    got: dict[str, str]
    ended: Sequence[str]


def judge(account: Account) -> list[str]:
    """Answer all that is wrong."""
    return [
        *_clients(account),
        *_policies(account),
        *_effects(account),
        *_orphans(account),
        *_missing(account),
        *_books(account),
        *_faults(account),
        *account.ended,
    ]


def _clients(account: Account) -> Iterator[str]:
    """Every client that asks gets the outcome, and everybody gets the same.

    What is held ends as failed once another operation has deprovisioned what it left.
    """
    newest = {told.operation: told for told in account.told if told.operation}
    gone = {told.story for told in account.told if told.move == "deprovision" and told.as_meant}
    for told in account.told:
        if told.error or not told.state:
            yield f"the client of {told.story} {told.move} got no outcome: {told.error or told.state}"
    for name, told in newest.items():
        superseded = told.state == "STATE_HELD" and told.story in gone
        if told.state and account.got.get(name) != ("STATE_FAILED" if superseded else told.state):
            yield f"{name} was told {told.state} and is {account.got.get(name)}"


def _policies(account: Account) -> Iterator[str]:
    """Most end as meant; the rest as their policy says."""
    meant = len([told for told in account.told if told.as_meant])
    if meant < AS_MEANT_MIN * len(account.told):
        yield f"only {meant} of {len(account.told)} ended as they were meant to"
    for told in account.told:
        if told.as_meant or told.error:
            continue
        if told.state not in {"STATE_FAILED", "STATE_HELD"}:
            yield f"{told.story} {told.move} ended {told.state}"
        if told.state == "STATE_FAILED" and told.workload == "held":
            yield f"{told.story} failed although its policy is to hold"


def _effects(account: Account) -> Iterator[str]:
    """No step was applied twice; what succeeded was applied once."""
    yield from account.seen.repeated
    made = account.seen.made
    for told in account.told:
        operation = account.standing.operations.get(told.operation)
        if operation is None or told.state != "STATE_SUCCEEDED" or told.move == "deprovision":
            continue
        for step in operation.steps:
            work = f"{operation.resource_uid}/{step.steps[0]}"
            mark = str(step.generation) if step.engine in SCRIPTED else told.round
            if made[work, mark] != 1:
                yield f"{told.story} {told.move}: {work} {mark} had its effect {made[work, mark]} times"


def _orphans(account: Account) -> Iterator[str]:
    """Every thing that stands belongs to a resource."""
    steps = {
        f"{resource.uid}/{step.steps[0]}": resource
        for resource in account.standing.resources.values()
        for step in resource.steps
    }
    for work in {**account.standing.things, **account.standing.services}:
        if work not in steps:
            yield f"{work} stands and belongs to nobody"
    for work, marks in account.standing.services.items():
        if len(marks) != 1:
            yield f"{work} is served {len(marks)} times"
    for tool in account.standing.tools:
        yield f"a tool is left: {tool}"


def _missing(account: Account) -> Iterator[str]:
    """Every resource that is ready stands whole, as its last successful operation asked for."""
    for resource in account.standing.resources.values():
        if resource.state != operation_pb2.Resource.STATE_READY:
            continue
        asked = resource.inputs["round"].string_value
        for step in resource.steps:
            work = f"{resource.uid}/{step.steps[0]}"
            if step.engine == "process":
                there = account.standing.services.get(work, ["nothing"])[0]
            else:
                there = account.standing.things.get(work, "nothing")
            if there != asked:
                yield f"{resource.name} is ready; its {work} holds {there}, not {asked}"


def _books(account: Account) -> Iterator[str]:
    """Nothing runs any more, and every held operation holds its resource."""
    yield from (f"{key} has an owner still" for key in account.standing.owners)
    yield from (f"{name} is active still" for name, held in account.standing.active.items() if not held)
    for resource in account.standing.resources.values():
        holder = account.standing.operations.get(resource.operation)
        if resource.operation and (holder is None or holder.state != Operation.STATE_HELD):
            yield f"{resource.name} is held by {resource.operation}, which is not held"
        if resource.state not in {operation_pb2.Resource.STATE_READY, operation_pb2.Resource.STATE_HELD}:
            yield f"{resource.name} is {operation_pb2.Resource.State.Name(resource.state)}"


def _faults(account: Account) -> Iterator[str]:
    """The run was hard enough to prove something."""
    count = len(account.faults)
    found = len([done for done in account.faults if done.target])
    if found < int(FOUND_MIN * count):
        yield f"only {found} of {count} faults found somebody to hit"
    hits = len([done for done in account.faults if done.hit])
    if hits < HITS_MIN * count:
        yield f"only {hits} of {count} faults hit a step that ran"
    for kind in KINDS:
        of_kind = len([done for done in account.faults if done.fault.kind == kind and done.target])
        if of_kind < EACH_KIND_MIN * count:
            yield f"only {of_kind} of {count} faults were of the kind {kind}"
    adopted = len({told.operation for told in account.told if told.adopted})
    if adopted < ADOPTED_MIN * count / (2 if count < FEW_FAULTS else 1):
        yield f"only {adopted} operations were adopted under {count} faults"
