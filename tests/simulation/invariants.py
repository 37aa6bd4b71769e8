"""What must hold of the store at every single revision, whoever wrote it and whatever went wrong.

The store shows every revision to `StoreRules` at once. It keeps its own reading of all keys, as JSON, and
decides nothing by code that is under test.
"""

import json
from collections.abc import Mapping
from typing import Any

from enchain.state import keys
from enchain.state.store import Batch, EventKind
from tests.simulation.stores import LEASE
from tests.simulation.trace import Trace

Json = dict[str, Any]

RUNNING, COMPENSATING, HELD = "STATE_RUNNING", "STATE_COMPENSATING", "STATE_HELD"
FINAL = frozenset({"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"})

MOVES: Mapping[str, frozenset[str]] = {
    RUNNING: frozenset({RUNNING, COMPENSATING, HELD}) | FINAL,
    COMPENSATING: frozenset({COMPENSATING, HELD, "STATE_FAILED", "STATE_CANCELLED"}),
    HELD: frozenset({RUNNING, COMPENSATING, "STATE_FAILED"}),
}
"""The state table: from where to where an operation may go. From its end it goes nowhere."""

FIXED = (
    "name",
    "verb",
    "workload",
    "resource",
    "resourceUid",
    "chain",
    "arm",
    "bucket",
    "requestId",
    "fingerprint",
)
"""What admission writes down and nobody ever changes."""


class StoreRules:
    """Checks every revision.

    Attributes:
        items: Everything that stands in the store, read as JSON.
        events: Every durable event ever committed, by operation and sequence.
        admitted_at: When operations were admitted, by name.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.items: dict[str, Json] = {}
        self.events: dict[tuple[str, int], Json] = {}
        self.admitted_at: dict[str, float] = {}

    def observe(self, batch: Batch, writer: str) -> None:
        """Take in a revision."""
        before = dict(self.items)
        for event in batch.events:
            if event.kind is EventKind.PUT:
                self.items[event.item.key] = json.loads(event.item.value)
            else:
                self.items.pop(event.item.key, None)
        told = ", ".join(
            ("-" if event.kind is EventKind.DELETE else "") + event.item.key.removeprefix(keys.ROOT)
            for event in batch.events
        )
        self._trace.add(writer, "commit", f"{batch.revision}: {told}")
        for event in batch.events:
            self._check(event.item.key, before, writer)

    def _check(self, key: str, before: Mapping[str, Json], writer: str) -> None:
        old, new = before.get(key), self.items.get(key)
        if key.startswith(keys.RECORDS):
            self._record(key, old, new, before, writer)
        elif key.startswith(keys.RESOURCES):
            self._resource(key, old, new)
        elif key.startswith(keys.REQUESTS):
            self._rule(old is None, "a request id has one operation", f"{key} was {old} and is {new}")
        elif key.startswith(keys.ACTIVE):
            self._active(key, old, new)

    def _rule(self, holds: object, rule: str, told: str) -> None:
        if not holds:
            self._trace.violate(rule, told)

    # --- operations

    def _record(
        self, key: str, old: Json | None, new: Json | None, before: Mapping[str, Json], writer: str
    ) -> None:
        self._rule(new is not None, "no record is lost", key)
        if new is None:
            return
        operation = key.rpartition("/")[2]
        self._trace.add(
            writer, "record", f"{operation} {new['state']} #{new.get('lastSequence')} {_steps(new)}"
        )
        if old is None:
            self._admitted(new, before)
        else:
            self._goes_on(operation, old, new)
            self._owned(operation, old, new, before, writer)
        self._numbered(operation, old, new)

    def _admitted(self, new: Json, before: Mapping[str, Json]) -> None:
        self.admitted_at[new["name"]] = self._trace.now()
        route = before.get(keys.route(new["workload"].removeprefix("workloads/")))
        if new["verb"] == "VERB_PROVISION" and route is not None:
            leads = [share["chain"] for share in route["shares"]]
            self._rule(
                new["chain"] in leads,
                "a retired chain admits nothing",
                f"{new['name']} was admitted on {new['chain']} while the route leads to {leads}",
            )

    def _goes_on(self, operation: str, old: Json, new: Json) -> None:
        self._rule(
            new["state"] in MOVES.get(old["state"], ()),
            "an operation keeps to its state table",
            f"{operation} went from {old['state']} to {new['state']}",
        )
        for name in FIXED:
            self._rule(
                old.get(name) == new.get(name),
                "what admission wrote stays",
                f"{name} of {operation} was {old.get(name)} and is {new.get(name)}",
            )
        self._rule(
            int(new["lastSequence"]) >= int(old["lastSequence"]),
            "a record never goes backwards",
            f"{operation} was at {old['lastSequence']} and is at {new['lastSequence']}",
        )
        for then, now in zip(old.get("steps", ()), new.get("steps", ()), strict=True):
            self._rule(
                int(now["generation"]) >= int(then["generation"]),
                "a record never goes backwards",
                f"step {now['steps'][0]} of {operation} went from generation {then['generation']}"
                f" to {now['generation']}",
            )

    def _owned(self, operation: str, old: Json, new: Json, before: Mapping[str, Json], writer: str) -> None:
        owner_key = keys.owner(operation)
        owner, after = before.get(owner_key), self.items.get(owner_key)
        if owner is not None:
            told = f"{writer} wrote {operation}, which {owner['router']} owns"
            self._rule(owner["router"] == f"routers/{writer}", "only the owner writes", told)
            return
        claimed = after is not None and after["router"] == f"routers/{writer}"
        superseded = old["state"] == HELD and new["state"] == "STATE_FAILED"
        self._rule(
            claimed or superseded, "only the owner writes", f"{writer} wrote {operation}, which nobody owns"
        )

    def _numbered(self, operation: str, old: Json | None, new: Json) -> None:
        numbers = [int(event["sequence"]) for event in new["events"]]
        last = int(new["lastSequence"])
        whole = list(range(numbers[0] if numbers else 1, last + 1)) == numbers
        self._rule(whole, "durable events are numbered", f"{operation} has {numbers} of {last}")
        for event in new["events"]:
            known = self.events.setdefault((operation, int(event["sequence"])), event)
            self._rule(
                known == event,
                "a durable event stays what it was",
                f"{event['sequence']} of {operation} was {known} and is {event}",
            )
        if old is not None and int(old["lastSequence"]) < last:
            first = int(old["lastSequence"]) + 1
            self._rule(first in numbers, "durable events are numbered", f"{operation} lost {first}")

    # --- what stands beside them

    def _active(self, key: str, old: Json | None, new: Json | None) -> None:
        operation = key.removeprefix(keys.ACTIVE)
        found = next(
            (self.items[k] for k in self.items if k.startswith(keys.RECORDS) and k.endswith(operation)), None
        )
        self._rule(found is not None, "an active operation has a record", operation)
        if found is None:
            return
        self._rule(
            (new is None) == (found["state"] in FINAL),
            "active stands from admission to the end",
            f"{operation} is {found['state']} and its active key {'is gone' if new is None else 'stands'}",
        )
        del old

    def _resource(self, key: str, old: Json | None, new: Json | None) -> None:
        was, is_now = (old or {}).get("operation", ""), (new or {}).get("operation", "")
        if was == is_now or not was:
            return
        record = self.record_of(was)
        self._rule(
            record is not None and record["state"] in FINAL,
            "one operation at a time has a resource",
            f"{key} went from {was}, which is {record and record['state']}, to {is_now or 'nobody'}",
        )
        self._rule(
            old is None or new is None or old["uid"] == new["uid"],
            "a resource keeps its uid",
            f"{key} was {old and old['uid']} and is {new and new['uid']}",
        )

    def record_of(self, name: str) -> Json | None:
        """An operation's record by its name."""
        _, tenant, _, operation = name.split("/")
        return self.items.get(keys.record(tenant, operation))

    def under(self, prefix: str) -> dict[str, Json]:
        """What stands under a prefix."""
        return {key: item for key, item in self.items.items() if key.startswith(prefix)}


def _steps(record: Json) -> str:
    return " ".join(
        f"{step['steps'][0]}={step['state'].removeprefix('STATE_').lower()}/{step['generation']}"
        f"{':' + step['outcome'].removeprefix('OUTCOME_').lower() if 'outcome' in step else ''}"
        for step in record.get("steps", ())
    )


__all__ = ["LEASE", "StoreRules"]
