"""What was really done, written down by the tools themselves, and what must never happen there.

Scopes report to it: tokens that they saw, works that they began, effects that their tools had. It is
append-only, it knows nothing of stores or routers, and no code under test reads it.
"""

from dataclasses import dataclass, field

from enchain.sdk.calls import Token
from enchain.sdk.ledger import Ask, Decision, Verdict
from tests.simulation.trace import Trace


@dataclass(frozen=True, slots=True)
class Thing:
    """What stands at one place."""

    generation: int
    value: str


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a tool did."""

    at: float
    scope: str
    work_id: str
    key: str


@dataclass(slots=True)
class Witness:
    """The log of effects, and what stands.

    Attributes:
        effects: All effects, in order.
        standing: What stands, by scope and work id.
        tokens: The highest token ever shown, by scope and work id.
        done: Effects that must not come again: scope, work id and key.
    """

    trace: Trace
    effects: list[Effect] = field(default_factory=list)
    standing: dict[tuple[str, str], Thing] = field(default_factory=dict)
    tokens: dict[tuple[str, str], Token] = field(default_factory=dict)
    done: set[tuple[str, str, str]] = field(default_factory=set)

    def asked(self, scope: str, work_id: str, ask: Ask, decision: Decision) -> None:
        """A ledger was asked."""
        highest = self.tokens.get((scope, work_id), Token())
        if decision.verdict is not Verdict.REFUSE and ask.token < highest:
            self.trace.violate(
                "an engine refuses older callers",
                f"{scope} let a caller with {ask.token} {ask.method.value} {ask.key.text} of {work_id}"
                f" ({decision.verdict.name}) after it had seen {highest}",
            )
        self.tokens[scope, work_id] = max(highest, ask.token)

    def made(self, scope: str, work_id: str, key: str, thing: Thing, *, over: bool) -> None:
        """A tool made something; `over`: it was told of what stood before."""
        self._log(scope, work_id, key)
        if (scope, work_id, key) in self.done:
            self.trace.violate("no step is applied twice", f"{key} of {work_id} in {scope}")
        self.done.add((scope, work_id, key))
        elsewhere = [place for place in self.standing if place[1] == work_id]
        if elsewhere and not over:
            self.trace.violate(
                "nothing is made twice", f"{key} of {work_id} in {scope} while it stands in {elsewhere[0][0]}"
            )
        self.standing[scope, work_id] = thing

    def destroyed(self, scope: str, work_id: str, key: str) -> None:
        """A tool destroyed what stood, if anything did. Doing that twice is harmless."""
        self._log(scope, work_id, key)
        self.standing.pop((scope, work_id), None)

    def _log(self, scope: str, work_id: str, key: str) -> None:
        effect = Effect(self.trace.now(), scope, work_id, key)
        self.effects.append(effect)
        self.trace.add(scope, "effect", f"{key} of {work_id}")
