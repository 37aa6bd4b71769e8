"""What speaks against going back to a chain: a person left it, or a switch to it failed. Pure.

Whoever reads what a plan rests on asks. An objection holds for a time and then no longer. While it holds no
plan goes to that chain, and each plan says why; it must never keep a chain away without a word or an end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controlplane.switching.exploring import explores
from controlplane.switching.records import WORSE, Switch, origin
from controlplane.switching.states import ROLLED_BACK
from enchain.chains.routes import chains_of

OURSELVES = "enchain"
"""Who moves routes by itself; whoever else does is a person."""

HELD = timedelta(days=1)
"""How long what a person did holds, and what was measured; the same as a rejection."""

_SPOKEN = frozenset({"ABORTED", *WORSE})
"""Ends of a switch that say something of its chain. Any other one says that it did not come to it."""


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against a chain.

    Attributes:
        until: It holds until then.
        description: What happened, in words.
    """

    until: datetime
    description: str


def objections(
    newest_first: Sequence[Switch], chains: Iterable[str], cool_down: timedelta, now: datetime
) -> Mapping[str, str]:
    """Answer what speaks against chains now, in words that say until when.

    Args:
        newest_first: Records of the workload's switches, those of `reach` at least.
        chains: Chains that could be taken, with their revisions.
        cool_down: How long a switch that did not come to its chain is not begun again.
        now: What time it is.
    """
    found = {chain: objection(newest_first, chain, cool_down) for chain in chains}
    return {
        chain: f"{each.description}; no plan goes back to it before {each.until:%Y-%m-%d %H:%M} UTC"
        for chain, each in found.items()
        if each is not None and now < each.until
    }


def reach(cool_down: timedelta) -> timedelta:
    """Answer how long ago a switch may have begun that still speaks against a chain: it may last as long."""
    return 2 * max(HELD, cool_down)


def objection(newest_first: Iterable[Switch], chain: str, cool_down: timedelta) -> Objection | None:
    """Answer what spoke last against a chain since the route came to it, whether it still holds or not.

    Args:
        newest_first: Records of the workload's switches.
        chain: The chain with its revision: a new revision is another chain.
        cool_down: How long a switch that did not come to its chain is not begun again.

    Returns:
        Of several the one that holds longest; None where nothing speaks against it.
    """
    found: Objection | None = None
    for switch in newest_first:
        if explores(switch):
            continue
        before, after = chains_of(origin(switch)), chains_of(switch.to)
        goes, leaves = chain in after and chain not in before, chain in before and chain not in after
        if goes and switch.state != ROLLED_BACK:
            break
        each = _failed(switch, cool_down) if goes else _left(switch) if leaves else None
        if each is not None and (found is None or each.until > found.until):
            found = each
    return found


def _left(switch: Switch) -> Objection | None:
    """A person moved the route away from it."""
    if switch.actor.subject == OURSELVES or switch.state == ROLLED_BACK:
        return None
    at = switch.create_time.ToDatetime(UTC)
    who = switch.actor.subject or "somebody"
    chains = ", ".join(each.rpartition("/")[2].partition("@")[0] for each in chains_of(switch.to))
    why = f" ({switch.reason})" if switch.reason else ""
    return Objection(at + HELD, f"{who} moved the route to {chains} on {at:%Y-%m-%d %H:%M} UTC{why}")


def _failed(switch: Switch, cool_down: timedelta) -> Objection:
    """A switch to it was rolled back."""
    at = switch.update_time.ToDatetime(UTC)
    spoken = switch.rollback_reason.partition(":")[0] in _SPOKEN
    why = switch.rollback_reason or "no reason given"
    return Objection(
        at + (HELD if spoken else cool_down),
        f"a switch to it was rolled back on {at:%Y-%m-%d %H:%M} UTC: {why}",
    )
