"""Names of what the control plane decides: pools, launches, recommendations; beside `enchain.chains.names`.

Planes, client and command call it. Nothing here knows whether what is named exists.
"""

import re
from dataclasses import dataclass

from enchain.chains.names import ENGINE, ULID, WORKLOAD, IdRule, split

UNKNOWN_VERSION = "-"
"""Stands for the version that an engine's command turns out to have, until an instance has told."""

VERSION = IdRule(
    "version",
    re.compile(r"-|[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"),
    "letters, digits, dots, dashes, underscores and plus signs, at most 128 characters, or `-`",
)


EXPERIMENT, ARM, LAYER = (
    IdRule(f"{what} id", WORKLOAD.pattern, WORKLOAD.words) for what in ("experiment", "arm", "layer")
)


@dataclass(frozen=True, slots=True, order=True)
class PoolName:
    """`engines/{engine}/pools/{version}`; the version is `-` until it is known."""

    engine: str
    version: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "PoolName":
        """Take a name apart."""
        return cls(*split(name, "engines/{engine}/pools/{version}", field, (ENGINE, VERSION)))

    def __str__(self) -> str:
        return f"engines/{self.engine}/pools/{self.version}"


@dataclass(frozen=True, slots=True)
class LaunchName:
    """`engines/{engine}/launches/{ulid}`."""

    engine: str
    launch: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "LaunchName":
        """Take a name apart."""
        return cls(*split(name, "engines/{engine}/launches/{launch}", field, (ENGINE, ULID)))

    def __str__(self) -> str:
        return f"engines/{self.engine}/launches/{self.launch}"


@dataclass(frozen=True, slots=True)
class RecommendationName:
    """`workloads/{workload}/recommendations/{ulid}`; `-` instead of the ULID means the newest."""

    workload: str
    recommendation: str

    @classmethod
    def parse(cls, name: str, field: str = "name", *, newest: bool = False) -> "RecommendationName":
        """Take a name apart. With `newest` its id may be `-`."""
        form = "workloads/{workload}/recommendations/{recommendation}"
        parts = split(name, form, field, (WORKLOAD, ULID), every=newest)
        return cls(*parts)

    def __str__(self) -> str:
        return f"workloads/{self.workload}/recommendations/{self.recommendation}"


@dataclass(frozen=True, slots=True, order=True)
class ExperimentName:
    """`workloads/{workload}/experiments/{experiment}`."""

    workload: str
    experiment: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "ExperimentName":
        """Take a name apart."""
        form = "workloads/{workload}/experiments/{experiment}"
        return cls(*split(name, form, field, (WORKLOAD, EXPERIMENT)))

    def __str__(self) -> str:
        return f"workloads/{self.workload}/experiments/{self.experiment}"


_ARMS = "/experiments/-"


def arms_of(workload: str) -> str:
    """Answer the name under which pools keep what the arms of experiments of a workload ask for."""
    return f"{workload}{_ARMS}"


def asked_for(demand: str) -> str:
    """Answer the workload for which something is asked of a pool, for itself or for such arms."""
    return demand.removesuffix(_ARMS)


@dataclass(frozen=True, slots=True, order=True)
class LayerName:
    """`layers/{layer}`."""

    layer: str

    @classmethod
    def parse(cls, name: str, field: str = "layer") -> "LayerName":
        """Take a name apart."""
        return cls(*split(name, "layers/{layer}", field, (LAYER,)))

    def __str__(self) -> str:
        return f"layers/{self.layer}"
