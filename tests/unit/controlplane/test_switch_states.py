"""The table of a chain switch's states."""

import itertools

import pytest

from controlplane.switching.states import (
    AT_ONCE,
    BEFORE,
    DONE,
    ROLLED_BACK,
    TRANSITIONS,
    VALIDATING,
    State,
    advance,
    is_end,
)
from enchain.chains.errors import OurError
from enchain.v1.chain_pb2 import ChainSwitch

STATES = [state for state in ChainSwitch.State.values() if state != ChainSwitch.STATE_UNSPECIFIED]


def test_every_state_of_the_contract_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(STATES)


def test_every_state_is_reached_and_every_state_leads_to_an_end() -> None:
    reached = {VALIDATING}
    for _ in STATES:
        reached |= {following for state in reached for following in TRANSITIONS[state]}
    ending = {DONE, ROLLED_BACK}
    for _ in STATES:
        ending |= {state for state in STATES if TRANSITIONS[state] & ending}

    assert reached == set(STATES)
    assert ending == set(STATES)


@pytest.mark.parametrize(("state", "following"), list(itertools.product(STATES, STATES)))
def test_only_what_the_table_says_may_follow(state: State, following: State) -> None:
    if following in TRANSITIONS[state]:
        assert advance(state, following) == following
    else:
        with pytest.raises(OurError):
            advance(state, following)


def test_a_switch_whose_chain_is_served_takes_a_way_that_the_table_allows() -> None:
    for state, following in itertools.pairwise(AT_ONCE):
        advance(state, following)

    assert AT_ONCE[0] == VALIDATING
    assert AT_ONCE[-1] not in BEFORE
    assert not is_end(AT_ONCE[-1])
