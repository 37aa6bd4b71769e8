"""The states of an experiment, as a table: what may be done in which state, and where it leads. Pure.

Catalogue and leader's loop ask `advance` before they change an experiment. Conclusions are final: whoever
wants to go on creates another experiment.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from enchain.chains.errors import PreconditionError
from enchain.v1.experiment_pb2 import Experiment

State: TypeAlias = Experiment.State.ValueType

DRAFT = Experiment.STATE_DRAFT
RUNNING = Experiment.STATE_RUNNING
PAUSED = Experiment.STATE_PAUSED
CONCLUDED = Experiment.STATE_CONCLUDED
WARMING = Experiment.STATE_WARMING

OWNING: frozenset[State] = frozenset({WARMING, RUNNING, PAUSED})
"""In one of these it stands in its workload's route, and keeps its part of the layer and its chains."""


class Act(StrEnum):
    """What may be done to an experiment. The values are what its history calls them."""

    CREATE = "CREATED"
    UPDATE = "UPDATED"
    WARM = "WARMING"
    START = "STARTED"
    COOL = "NOT_STARTED"
    PAUSE = "PAUSED"
    RESUME = "RESUMED"
    COVERAGE = "COVERAGE"
    WEIGHTS = "WEIGHTS"
    CONCLUDE = "CONCLUDED"
    DELETE = "DELETED"


TRANSITIONS: Mapping[Act, Mapping[State, State]] = MappingProxyType(
    {
        Act.UPDATE: {each: each for each in (DRAFT, WARMING, RUNNING, PAUSED, CONCLUDED)},
        Act.WARM: {DRAFT: WARMING},
        Act.START: {DRAFT: RUNNING, WARMING: RUNNING},
        Act.COOL: {WARMING: DRAFT},
        Act.PAUSE: {RUNNING: PAUSED},
        Act.RESUME: {PAUSED: RUNNING},
        Act.COVERAGE: {RUNNING: RUNNING, PAUSED: PAUSED},
        Act.WEIGHTS: {RUNNING: RUNNING, PAUSED: PAUSED},
        Act.CONCLUDE: {WARMING: CONCLUDED, RUNNING: CONCLUDED, PAUSED: CONCLUDED},
        # Deleting leads nowhere: the state is the one that it is deleted in.
        Act.DELETE: {DRAFT: DRAFT, CONCLUDED: CONCLUDED},
    }
)
"""By act: from which states, to which."""

WORDS: Mapping[Act, str] = MappingProxyType(
    {
        Act.UPDATE: "update",
        Act.WARM: "start",
        Act.START: "start",
        Act.COOL: "give up the start of",
        Act.PAUSE: "pause",
        Act.RESUME: "resume",
        Act.COVERAGE: "change the coverage of",
        Act.WEIGHTS: "change the weights of",
        Act.CONCLUDE: "conclude",
        Act.DELETE: "delete",
    }
)

_REMEDIES: Mapping[State, str] = MappingProxyType(
    {
        DRAFT: "Start it first (enchain experiments start), or change the document and apply it again.",
        WARMING: "Wait until it runs, or conclude it (enchain experiments conclude).",
        RUNNING: "Pause or conclude it first (enchain experiments pause, enchain experiments conclude).",
        PAUSED: "Resume or conclude it first (enchain experiments resume, enchain experiments conclude).",
        CONCLUDED: "A conclusion is final: create another experiment.",
    }
)


def advance(experiment: Experiment, act: Act) -> State:
    """Answer the state that an act leads to.

    Raises:
        PreconditionError: The act is not possible in this state.
    """
    state = experiment.state or DRAFT
    following = TRANSITIONS[act].get(state)
    if following is None:
        raise PreconditionError(
            f"{experiment.name} is {word(state)}: nobody can {WORDS[act]} it now",
            reason="WRONG_STATE",
            remedy=_REMEDIES[state],
            metadata={"name": experiment.name, "state": word(state), "act": WORDS[act]},
        )
    return following


def owns(experiment: Experiment | None) -> bool:
    """Say whether it takes part of its workload's requests, or keeps the right to."""
    return experiment is not None and experiment.state in OWNING


def word(state: State) -> str:
    """The state as people say it."""
    return Experiment.State.Name(state).removeprefix("STATE_").lower()
