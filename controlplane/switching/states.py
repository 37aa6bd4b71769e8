"""The states of a chain switch, as a table.

Whoever carries out a switch asks `advance` before it stores the next state. A switch goes forward only;
until it retires what it does not need any more, it may end in ROLLED_BACK instead, with its reason. States
that have nothing to do are left out, never pretended: where every instance runs already there is nothing to
warm.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from enchain.chains.errors import OurError
from enchain.v1.chain_pb2 import ChainSwitch

State: TypeAlias = ChainSwitch.State.ValueType

VALIDATING = ChainSwitch.STATE_VALIDATING
"""Is every step served, and whom does it touch?"""
WARMING = ChainSwitch.STATE_WARMING
"""Instances are launched, registered and healthy before anything is sent to them."""
ACTIVATING = ChainSwitch.STATE_ACTIVATING
"""The compare-and-swap of the route."""
CONVERGING = ChainSwitch.STATE_CONVERGING
"""Routers report that they follow. It informs; admission protects."""
DRAINING = ChainSwitch.STATE_DRAINING
"""Operations on the old chain end, by the journal, or the deadline's policy does. The new one is watched."""
RETIRING = ChainSwitch.STATE_RETIRING
"""Instances that nothing needs any more stop."""
DONE = ChainSwitch.STATE_DONE
ROLLED_BACK = ChainSwitch.STATE_ROLLED_BACK

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        VALIDATING: frozenset({WARMING, ACTIVATING, ROLLED_BACK}),
        WARMING: frozenset({ACTIVATING, ROLLED_BACK}),
        ACTIVATING: frozenset({CONVERGING, ROLLED_BACK}),
        CONVERGING: frozenset({DRAINING, ROLLED_BACK}),
        DRAINING: frozenset({RETIRING, ROLLED_BACK}),
        RETIRING: frozenset({DONE}),
        DONE: frozenset(),
        ROLLED_BACK: frozenset(),
    }
)
"""What may follow what. Retiring cannot be undone: the old chain's instances may be gone."""

AT_ONCE: Sequence[State] = (VALIDATING, ACTIVATING, CONVERGING)
"""The way of a switch whose chain is served already: one transaction."""

BEFORE: frozenset[State] = frozenset({VALIDATING, WARMING, ACTIVATING})
"""The route is still where it was."""

HOLDING: frozenset[State] = frozenset({WARMING, ACTIVATING, CONVERGING, DRAINING})
"""Pools keep the instances of both chains."""


def advance(state: State, following: State) -> State:
    """Answer the following state.

    Raises:
        OurError: It may not follow.
    """
    if following not in TRANSITIONS.get(state, frozenset()):
        names = ChainSwitch.State.Name(state), ChainSwitch.State.Name(following)
        raise OurError(
            f"a chain switch does not go from {names[0]} to {names[1]}", reason="ILLEGAL_TRANSITION"
        )
    return following


def is_end(state: State) -> bool:
    """Say whether nothing follows."""
    return not TRANSITIONS.get(state, frozenset())
