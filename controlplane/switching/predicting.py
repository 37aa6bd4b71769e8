"""What measured profiles say of a chain: how long a provision takes, and what it costs. Pure.

Dry runs ask it. A chain is predicted only where every call of it was measured; the durations of its calls are
added up as independent ones, and their sum is taken to be lognormal with the same mean and variance (Fenton,
The sum of log-normal probability distributions in scatter transmission systems, 1960).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from enchain.v1.chain_pb2 import Chain, ChainStep, SwitchImpact
from enchain.v1.diagnostic_pb2 import Money
from enchain.v1.engine_pb2 import Engine
from enchain.v1.profile_pb2 import PerformanceProfile, VerbProfile

Z95 = 1.6448536269514722
"""The normal distribution's 95 % quantile."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a provision on a chain is expected to take.

    Attributes:
        p95_seconds: What 95 % of provisions stay below.
        cost: What one costs, beyond its instances' hours.
        currency: Of the cost; empty where nothing costs anything.
    """

    p95_seconds: float
    cost: float
    currency: str


def predict(
    chain: Chain, profiles: Sequence[PerformanceProfile], engines: Mapping[str, Engine]
) -> Predicted | None:
    """Predict provisions on a chain; None where a call of it was never measured to succeed.

    Args:
        chain: It.
        profiles: All of its workload.
        engines: Documents by engine id.
    """
    verbs = [_measured(step, profiles) for step in chain.steps]
    if not verbs or any(verb is None for verb in verbs):
        return None
    known = [verb for verb in verbs if verb is not None]
    prices = [engines[step.engine].price.request for step in chain.steps if step.engine in engines]
    currencies = {price.currency_code for price in prices if _amount(price)}
    currencies |= {verb.currency_code for verb in known if verb.cost}
    if len(currencies) > 1:
        return None
    cost = sum(verb.cost for verb in known) + sum(_amount(price) for price in prices)
    return Predicted(_p95(known), cost, next(iter(currencies), ""))


def write_prediction(impact: SwitchImpact, old: Predicted | None, new: Predicted | None) -> None:
    """Write into an impact what is known of both chains; what is not known stays unset."""
    if old is not None:
        impact.p95_before.FromTimedelta(timedelta(seconds=old.p95_seconds))
    if new is not None:
        impact.p95_after.FromTimedelta(timedelta(seconds=new.p95_seconds))
    if old is not None and new is not None and len({old.currency, new.currency} - {""}) <= 1:
        impact.cost_per_request_change = new.cost - old.cost


def _measured(step: ChainStep, profiles: Sequence[PerformanceProfile]) -> VerbProfile | None:
    for profile in profiles:
        same = (profile.engine, profile.version, list(profile.steps)) == (
            step.engine, step.version, list(step.steps),
        )  # fmt: skip
        if same and profile.provision.duration.weight > 0:
            return profile.provision
    return None


def _p95(verbs: Sequence[VerbProfile]) -> float:
    if len(verbs) == 1:
        return verbs[0].duration.p95.ToTimedelta().total_seconds()
    means = [verb.duration.mean.ToTimedelta().total_seconds() for verb in verbs]
    mean = sum(means)
    if mean <= 0:
        return 0.0
    spread = sum((each * verb.duration.variation) ** 2 for each, verb in zip(means, verbs, strict=True))
    sigma = math.sqrt(math.log1p(spread / mean**2))
    return mean * math.exp(Z95 * sigma - sigma**2 / 2)


def _amount(money: Money) -> float:
    return money.units + money.nanos / 1e9
