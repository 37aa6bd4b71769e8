"""Waiting until everything rests, and what must be true then.

The world calls it once faults have ended. Everything rests when no operation is active but those that wait
for a person, and every client has its outcome.
"""

from typing import TYPE_CHECKING

from enchain.state import keys
from tests.simulation.invariants import FINAL, HELD, Json
from tests.simulation.plans import CALM_AT

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY_SECONDS = 1.0
SETTLING_SECONDS = 2.0


class Quiescence:
    """The end of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def reached(self, bound: float) -> None:
        """Wait until everything rests, and check it."""
        loop = self._world.loop
        await self._until(CALM_AT + SETTLING_SECONDS)
        rests = 0.0
        while rests < SETTLING_SECONDS and loop.time() < bound:
            await self._until(loop.time() + EVERY_SECONDS)
            rests = 0.0 if self._unrest() else rests + EVERY_SECONDS
        if unrest := self._unrest():
            self._violate("everything ends once faults have ended", unrest)
        self._check()

    async def _until(self, moment: float) -> None:
        loop = self._world.loop
        future = loop.create_future()
        loop.outside(moment - loop.time(), future.set_result, None)
        await future

    def _violate(self, rule: str, told: str) -> None:
        self._world.trace.violate(rule, told)

    def _unrest(self) -> str:
        """What does not rest yet; empty where everything does."""
        rules = self._world.rules
        for key, item in rules.under(keys.ACTIVE).items():
            if not item.get("held"):
                return f"{key} is active"
        for ask in self._world.asks:
            if not ask.done:
                return f"{ask.name} waits for the outcome of {ask.operation or ask.request.request_id}"
        return ""

    def _check(self) -> None:
        self._keys()
        self._clients()
        self._standing()

    def _keys(self) -> None:
        rules = self._world.rules
        for prefix in (keys.OWNERS, keys.SIGNALS):
            left = list(rules.under(prefix))
            if left:
                self._violate("nothing is left over", f"{left}")
        for key, record in rules.under(keys.RECORDS).items():
            operation = key.rpartition("/")[2]
            if record["state"] in FINAL and keys.outbox(operation) not in rules.items:
                self._violate("what ended is told", f"{operation} has no outbox entry")
        for key, resource in rules.under(keys.RESOURCES).items():
            holder = rules.record_of(resource["operation"]) if resource.get("operation") else None
            held = holder is not None and holder["state"] == HELD
            if (resource["state"] == "STATE_HELD") != held or (holder is not None and not held):
                self._violate(
                    "a resource rests or is held",
                    f"{key} is {resource['state']} by {holder and holder['name']}",
                )

    def _clients(self) -> None:
        """Every client was told what the record says."""
        rules = self._world.rules
        for ask in self._world.asks:
            bound = rules.items.get(keys.request("default", ask.request.request_id))
            if ask.refusal is not None:
                mine = bound is not None and not any(
                    other is not ask and other.request.request_id == ask.request.request_id
                    for other in self._world.asks
                )
                # A transaction that nobody answered may come so late that its request was refused meanwhile.
                late = bound is not None and rules.admitted_at[bound["operation"]] >= ask.refused_at
                if mine and not late:
                    self._violate(
                        "what is refused is not done",
                        f"{ask.name} was refused by {ask.refusal.reason}, and {bound} was admitted",
                    )
                continue
            record = rules.record_of(ask.operation) if ask.operation else None
            if record is None or bound is None or bound["operation"] != ask.operation:
                self._violate(
                    "a client gets the outcome", f"{ask.name} was told of {ask.operation}, bound is {bound}"
                )
                continue
            told = int(record["lastSequence"])
            if record["state"] in FINAL and ask.sequence != told and not _was_held(record):
                self._violate(
                    "a client gets the outcome",
                    f"{ask.name} saw {ask.sequence} of {told} of {ask.operation}, which is {record['state']}",
                )

    def _standing(self) -> None:
        """What stands is what the resources say, or belongs to what is held."""
        rules, witness = self._world.rules, self._world.witness
        resources = {item["uid"]: item for item in rules.under(keys.RESOURCES).values()}
        for (scope, work_id), thing in witness.standing.items():
            uid, _, step = work_id.partition("/")
            resource = resources.get(uid)
            if resource is None:
                self._violate("nothing is orphaned", f"{work_id} stands in {scope}, and no resource has it")
            elif not resource.get("operation"):
                made = _made(resource, step)
                if made is None or made["scope"] != scope:
                    self._violate(
                        "nothing is orphaned",
                        f"{work_id} stands in {scope}, and {resource['name']} has {made}",
                    )
                elif resource["inputs"]["value"].get("stringValue") != thing.value:
                    self._violate(
                        "what stands is what was asked for",
                        f"{work_id} has {thing.value}, and {resource['name']} has {resource['inputs']}",
                    )
        for resource in resources.values():
            if resource.get("operation"):
                continue
            for made in resource["steps"]:
                place = (made["scope"], f"{resource['uid']}/{made['steps'][0]}")
                if place not in witness.standing:
                    self._violate("what a resource says stands", f"{place} of {resource['name']} does not")


def _was_held(record: Json) -> bool:
    """Its client may have left when it was held."""
    return any(event.get("stateChanged", {}).get("state") == HELD for event in record["events"])


def _made(resource: Json, step: str) -> Json | None:
    return next((made for made in resource["steps"] if made["steps"][0] == step), None)
