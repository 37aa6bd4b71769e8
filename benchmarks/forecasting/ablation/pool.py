"""Ways to combine the members with one part left out. Pure.

The command calls it with what the members forecast. Every variant goes through the code that the service
runs, with other constants or fewer members; none runs a model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.pooled import Found, combined
from controlplane.forecast.registry import LIGHT
from controlplane.forecast.rules import RULES, Rules

WHOLE = "everything"
"""What variants are compared with."""

ENDLESS = 1e9
"""A constant so large switches off what it bounds: of so many origins a prior leaves nothing of what is
learned, and nobody stands so far apart."""

UNCALIBRATED = replace(
    RULES, shape_prior=ENDLESS, width_prior=ENDLESS, skew_prior=ENDLESS, doubt=0.0, adaptation=0.0
)

LEFT_OUT = {
    "LSTM": ("LSTM",),
    "LightGBM": ("LightGBM",),
    "LSTM and LightGBM": ("LSTM", "LightGBM"),
    "Prophet": ("Prophet",),
    "Ridge": ("Ridge",),
    "MSTL": ("MSTL",),
    "Theta": ("Theta",),
    "MSTL and Theta": ("MSTL", "Theta"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to combine.

    Attributes:
        name: As it is shown.
        members: Who is combined.
        rules: Constants.
    """

    name: str
    members: tuple[str, ...]
    rules: Rules = RULES


def variants(members: Sequence[str]) -> list[Variant]:
    """Answer the whole combination of these members first, then what lacks a part of it."""
    every = tuple(members)
    rules = {
        WHOLE: RULES,
        "quantiles averaged, not mixed": replace(RULES, mixed=False),
        "equal weights": replace(RULES, power=0.0, pooled=len(every), apart=ENDLESS),
        "the same weights for all series": replace(RULES, weight_prior=ENDLESS),
        "the same weight however far apart": replace(RULES, apart=ENDLESS),
        "without spread calibration": replace(RULES, stretched=False),
        "without conformal calibration": UNCALIBRATED,
        "without either calibration": replace(UNCALIBRATED, stretched=False),
        "without the guard": replace(RULES, guard_slope=ENDLESS),
    }
    made = [Variant(name, every, each) for name, each in rules.items()]
    for name, left_out in LEFT_OUT.items():
        if set(left_out) <= set(every):
            made.append(Variant(f"without {name}", tuple(each for each in every if each not in left_out)))
    light = tuple(name for name in every if name in LIGHT)
    return [*made, *([Variant("models of numpy alone", light)] if light != every else [])]


def pooled(
    cases: Sequence[Case], plan: Plan, wanted: Sequence[Variant], found: Found
) -> Mapping[tuple[str, str], MemberForecasts]:
    """Answer what each variant forecasts from the scored origins, by series and the variant's name."""
    made = {}
    for variant in wanted:
        for (series, _), one in combined(cases, plan, variant.members, found, variant.rules).items():
            made[series, variant.name] = replace(one, model=variant.name)
    return made
