"""When a series has changed so much that its models are not to be believed, and when they are again. Pure.

The leader calls `checked` at each refresh and keeps the state it answers. The combination's losses against
those of the seasonal naive say whether the models still work; the population stability index says whether
demand itself is other than it was. Falling back takes several bad checks and coming back more good ones, so
that it does not flutter. The state is data: it must hold no clock and no model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.losses import LEAST, mean_loss
from controlplane.forecast.rules import SEASONAL
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track

ALL, LOCAL, SIMPLE = 0, 1, 2
"""Levels of falling back: all models; none that learned over all series long ago; naive models only."""

_SIMPLE = frozenset({"Envelope", "Naive", "SeasonalNaive", "WeeklyNaive"})
_NOT_LOCAL = frozenset({"LSTM", "LightGBM", "Prophet"})
_WORDS = {
    ALL: "all models are used",
    LOCAL: "models that are trained rarely are left out",
    SIMPLE: "only naive models are used",
}

DECILES: FloatArray = np.arange(1, 10) / 10


@dataclass(frozen=True, slots=True)
class DriftRules:
    """When to fall back.

    Attributes:
        poor: Relative loss above which a check is bad.
        shifted: Stability index from which demand counts as changed; then one bad check is enough, and a
            relative loss above 1 is bad.
        patience: Bad checks in a row before a level is fallen.
        fine: Relative loss below which a check is good.
        recovery: Good checks in a row before a level is climbed.
        origins: Over how many newest origins losses are taken.
        least: So many of them must be known; otherwise nothing changes.
    """

    poor: float = 1.1
    shifted: float = 0.5
    patience: int = 3
    fine: float = 0.95
    recovery: int = 6
    origins: int = 8
    least: int = 3


DRIFT_RULES = DriftRules()


@dataclass(frozen=True, slots=True)
class Seen:
    """What one check found.

    Attributes:
        relative: Loss of the combination by that of the seasonal naive, over the newest origins; NaN where
            nothing can be compared.
        origins: Over how many.
        stability: Population stability index of recent values against the history.
    """

    relative: float
    origins: int
    stability: float


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a series has fallen back.

    Attributes:
        level: `ALL`, `LOCAL` or `SIMPLE`.
        bad: Bad checks in a row.
        good: Good checks in a row.
        reason: Why the level is what it is, as a sentence; empty where it never changed.
    """

    level: int = ALL
    bad: int = 0
    good: int = 0
    reason: str = ""


def checked(state: Drift, seen: Seen, rules: DriftRules = DRIFT_RULES) -> Drift:
    """Answer the state after one more check."""
    if seen.origins < rules.least or not np.isfinite(seen.relative):
        return state
    shifted = seen.stability >= rules.shifted
    if seen.relative > (1.0 if shifted else rules.poor):
        if (shifted or state.bad + 1 >= rules.patience) and state.level < SIMPLE:
            return Drift(state.level + 1, reason=_fell(state.level + 1, seen, shifted=shifted))
        return Drift(state.level, bad=state.bad + 1, reason=state.reason)
    if seen.relative >= rules.fine:
        return Drift(state.level, reason=state.reason)
    if state.good + 1 >= rules.recovery and state.level > ALL:
        return Drift(state.level - 1, reason=_climbed(state.level - 1, seen, rules))
    return Drift(state.level, good=state.good + 1, reason=state.reason)


def kept(state: Drift, members: Iterable[str]) -> tuple[str, ...]:
    """Answer which members may have weight; all where none would be left."""
    members = tuple(members)
    if state.level == LOCAL:
        left = tuple(name for name in members if name not in _NOT_LOCAL)
    elif state.level == SIMPLE:
        left = tuple(name for name in members if name in _SIMPLE)
    else:
        left = members
    return left or members


def relative_loss(track: Track, name: str, rules: DriftRules = DRIFT_RULES) -> tuple[float, int]:
    """Answer a member's loss by the seasonal naive's over the newest origins, and over how many.

    Args:
        track: It holds the member, such as `Combined`, and the seasonal naive.
        name: The member.
        rules: How many origins.
    """
    ours, theirs = (track.aligned((each,))[:, 0] for each in (name, SEASONAL))
    known = np.isfinite(track.actuals) & np.isfinite(ours).all(axis=-1) & np.isfinite(theirs).all(axis=-1)
    rows = np.flatnonzero(known.any(axis=1))[-rules.origins :]
    if not len(rows):
        return float("nan"), 0
    actuals, counted = np.where(known, track.actuals, 0.0)[rows], known[rows]
    mine, bar = (
        float(mean_loss(np.where(known[..., None], each, 0.0)[rows], actuals, counted).sum())
        for each in (ours, theirs)
    )
    floor = LEAST * max(float(np.abs(actuals).max()), LEAST)
    return max(mine, floor) / max(bar, floor), len(rows)


def stability(recent: FloatArray, history: FloatArray) -> float:
    """Answer the population stability index of recent values against the history; gaps are left out.

    Over the history's deciles, sum (p - q) ln(p / q) with p and q the shares of recent and former values,
    each with half a value added so that an empty decile is finite. Below .1 nothing changed, from .25
    on much did.
    The recent values should hold whole days, since the night is no drift.
    """
    new, old = recent[np.isfinite(recent)], history[np.isfinite(history)]
    if not new.size or not old.size:
        return 0.0
    edges = np.unique(np.quantile(old, DECILES))
    # Where most of the past is one value, that value has a bin of its own.
    edges = np.unique(np.concatenate([edges, np.nextafter(edges, -np.inf)]))
    p, q = (_shares(values, edges) for values in (new, old))
    return float(((p - q) * np.log(p / q)).sum())


def _shares(values: FloatArray, edges: FloatArray) -> FloatArray:
    bins = len(edges) + 1
    counts = np.bincount(np.searchsorted(edges, values), minlength=bins) + 0.5
    shares: FloatArray = counts / counts.sum()
    return shares


def _fell(level: int, seen: Seen, *, shifted: bool) -> str:
    why = f"the combined forecast lost {seen.relative:.2f} times as much as the seasonal naive"
    if shifted:
        why += f" and demand is other than it was (stability index {seen.stability:.2f})"
    return f"Over {seen.origins} origins {why}: {_WORDS[level]}."


def _climbed(level: int, seen: Seen, rules: DriftRules) -> str:
    why = f"in {rules.recovery} checks the combined forecast was better than the seasonal naive again"
    return f"The relative loss is {seen.relative:.2f}, and {why}: {_WORDS[level]}."
