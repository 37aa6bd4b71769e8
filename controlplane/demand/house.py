"""Everything about demand, put together as one control plane has it.

`controlplane.main` makes one. The parts are the same in every replica; they do something where it leads.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from controlplane.demand.history import History
from controlplane.demand.intake import Intake
from controlplane.demand.loop import DemandLoop, Puller
from controlplane.demand.measured import Demand
from controlplane.demand.workloads import Workloads
from enchain.process.clock import Clock


@dataclass(frozen=True, slots=True)
class DemandHouse:
    """The parts.

    Attributes:
        intake: Takes exports in.
        demand: Reads what was measured.
        loop: What only the leader does.
    """

    intake: Intake
    demand: Demand
    loop: DemandLoop


def furnished(
    history: Path, *, clock: Clock, rng: Random, prometheus: str = "", token_file: Path | None = None
) -> DemandHouse:
    """Put everything together.

    Args:
        history: File of the history.
        clock: Time.
        rng: Jitter.
        prometheus: Address of a Prometheus; empty for none.
        token_file: File with a bearer token for it.
    """
    kept, workloads = History(history, clock=clock), Workloads()
    puller = _puller(kept, prometheus, token_file, clock) if prometheus else None
    loop = DemandLoop(kept, workloads, clock=clock, rng=rng, puller=puller)
    return DemandHouse(Intake(kept, workloads), Demand(kept), loop)


def _puller(history: History, url: str, token_file: Path | None, clock: Clock) -> Puller:
    # Imported here: most control planes have none, and the HTTP client takes a moment to load.
    from controlplane.demand.prometheus import PrometheusSettings, PrometheusSource  # noqa: PLC0415 - see above

    return PrometheusSource(history, PrometheusSettings(url, token_file), clock=clock)
