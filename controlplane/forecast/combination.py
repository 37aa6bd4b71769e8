"""One forecast out of those of all models, with weights, calibration and reasons. Pure.

The leader and the backtest call `combine` for all series of one grid step at once. Tracks say how the members
did before; where there are none the members count equally. It must never use an actual that a track
does not hold, or one measured after the present origin, and never answers quantiles that cross.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast import agreement, clipping, conformal, guard, spread, weighting
from controlplane.forecast.explaining import explained
from controlplane.forecast.losses import mean_loss
from controlplane.forecast.notes import Note
from controlplane.forecast.past import Past, gather
from controlplane.forecast.pooling import Mix, averaged, pool
from controlplane.forecast.quantiles import bounded, ordered
from controlplane.forecast.rules import BUCKETS, NAIVE, RULES, SEASONAL, Rules
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track

__all__ = ["BUCKETS", "Combined", "Note", "Present", "combine"]


@dataclass(frozen=True, slots=True, eq=False)
class Present:
    """What the members forecast now, for n series of one grid step.

    Attributes:
        members: Names of the m models.
        forecasts: Shape (n, m, horizon, levels); NaN where a member has no forecast of a series.
        origins: Shape (n,): time of the last value of each series, seconds since the epoch, UTC.
        highest: Shape (n,): the largest value seen of each series.
        upper: Shape (n,): what no value can exceed, infinite where there is no such bound.
        allowed: Shape (n, m): which members may have weight, such as `controlplane.forecast.ladder` says.
            None allows all.
    """

    members: tuple[str, ...]
    forecasts: FloatArray
    origins: NDArray[np.int64]
    highest: FloatArray
    upper: FloatArray
    allowed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """The combined forecast of n series.

    Attributes:
        quantiles: Shape (n, horizon, levels): ascending, within the bounds; NaN throughout for a series that
            no member forecast.
        members: Names of the m models, as in `Present`.
        buckets: Last step of each of the b horizon buckets.
        weights: Shape (n, b, m): of each member; they sum to one, or are all zero.
        spreads: Shape (n, b, m): what each member's distance from its median was multiplied by.
        notes: Per series, what was done and why.
    """

    quantiles: FloatArray
    members: tuple[str, ...]
    buckets: tuple[int, ...]
    weights: FloatArray
    spreads: FloatArray
    notes: tuple[tuple[Note, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Bucket:
    """The outcome of one horizon bucket.

    Attributes:
        quantiles: Shape (n, steps, levels).
        weights: Shape (n, m).
        spreads: Likewise.
        poor: Likewise: who was dropped for its losses.
        ratios: Likewise: losses by the seasonal naive's.
        guarded: What was handed over to a simple model.
    """

    quantiles: FloatArray
    weights: FloatArray
    spreads: FloatArray
    poor: NDArray[np.bool_]
    ratios: FloatArray
    guarded: guard.Guard


def combine(tracks: Sequence[Track], present: Present, rules: Rules = RULES) -> Combined:
    """Combine the members' forecasts of n series.

    The answer for one series does not depend on the order of the series or of the members.

    Args:
        tracks: One per series, in the order of `present`; an empty one where nothing is known yet. Origins
            from the present one on, and actuals measured after it, are left out; a NaN is not learned from.
        present: What the members forecast now.
        rules: Constants.
    """
    horizon = present.forecasts.shape[2]
    top = clipping.ceiling(present.highest, present.upper, rules)
    missing = np.asarray(~np.isfinite(present.forecasts).all(axis=(2, 3)))
    wild = clipping.exploded(present.forecasts, top)
    barred = np.zeros_like(missing) if present.allowed is None else ~present.allowed
    dropped = missing | wild | barred
    # Rather a wild forecast, clipped, than none.
    dropped = np.where(dropped.all(axis=1, keepdims=True), missing, dropped)
    now = ordered(bounded(present.forecasts, 0.0, top[:, None, None, None]))
    past = gather(tracks, present.members, present.origins, horizon, top)
    buckets, first, done = (*(last for last in BUCKETS if last < horizon), horizon), 1, []
    for last in buckets:
        part = past.bucket(first, last, rules.half_life)
        done.append(_bucket(part, now[:, :, first - 1 : last], dropped, present.members, last, rules))
        first = last + 1
    quantiles = ordered(np.concatenate([each.quantiles for each in done], axis=1))
    weights = np.stack([each.weights for each in done], axis=1)
    return Combined(
        quantiles=bounded(quantiles, 0.0, top[:, None, None]),
        members=present.members,
        buckets=buckets,
        weights=weights,
        spreads=np.stack([each.spreads for each in done], axis=1),
        notes=explained(
            present.members,
            buckets,
            {"missing": missing, "wild": wild & ~missing, "barred": barred & ~missing},
            np.stack([each.poor for each in done], axis=1),
            np.stack([each.ratios for each in done], axis=1),
            tuple(each.guarded for each in done),
            past.known,
        ),
    )


def _bucket(
    past: Past,
    now: FloatArray,
    dropped: NDArray[np.bool_],
    members: tuple[str, ...],
    last: int,
    rules: Rules,
) -> Bucket:
    """Combine one horizon bucket.

    Args:
        past: What was forecast in it, and came.
        now: Shape (n, m, steps, levels), ascending and credible.
        dropped: Shape (n, m): who cannot have weight.
        members: Names.
        last: Last step of the bucket.
        rules: Constants.
    """
    factors, factors_each = spread.factors(past, rules.spread_prior)
    if not rules.stretched:
        factors, factors_each = np.ones_like(factors), np.ones_like(factors_each)
    mix = pool if rules.mixed else averaged
    before = spread.stretched(past.forecasts, factors_each[..., None])
    actuals, known = past.actuals[:, :, None], past.known[:, :, None]
    losses = mean_loss(before, actuals, known) / past.scale[:, None, None]
    losses = weighting.comparable(losses, past)
    poor, ratios = clipping.poor(losses.sum(axis=1), past.count, members, rules)
    # If nobody else is left, a poor member is better than none.
    out = np.where((dropped | poor).all(axis=1, keepdims=True), dropped, dropped | poor)
    weights = weighting.weigh(losses, past, rules)
    chosen = weighting.without(weights.now, out, rules.pooled, rules.equal_share)
    unheard = ~past.usable | (chosen == 0)[:, None]
    each = weighting.without(weights.each, unheard, len(members), rules.equal_share)
    trust = agreement.informed(past, rules)
    credible = np.where(dropped[..., None, None], 0.0, now)
    chosen = agreement.agreeing(credible, chosen, ~dropped, trust, rules)
    each = agreement.agreeing(past.forecasts, each, past.usable & ~dropped[:, None], trust, rules)
    pooled = _pooled(before, each, rules.pooled, mix)
    simple = {
        members.index(name): mean_loss(past.forecasts[:, :, members.index(name)], past.actuals, past.known)
        for name in (SEASONAL, *((NAIVE,) if last <= rules.naive_within else ()))
        if name in members
    }
    guarded = guard.guard(_nan_where_none(pooled, past), simple, past, rules)
    guarded = guard.possible(guarded, dropped)
    if (rows := guarded.share > 0).any():
        chosen, each = guard.handed_over(chosen, guarded), guard.handed_over(each, guarded)
        each = np.where(past.usable, each, 0.0)
        pooled[rows] = _pooled(before[rows], each[rows], rules.pooled + 1, mix)
    scores = conformal.calibration(conformal.score(pooled, past), past.count, rules)
    mixed = mix(np.moveaxis(spread.stretched(now, factors[..., None]), 1, 2), chosen[:, None])
    return Bucket(
        conformal.applied(mixed, scores, past.scale), chosen, factors, poor & ~dropped, ratios, guarded
    )


def _pooled(forecasts: FloatArray, weights: FloatArray, most: int, mix: Mix) -> FloatArray:
    """Answer the pool of each past origin, (n, k, steps, levels), from no more members than have weight."""
    most = min(most, weights.shape[-1])
    heaviest = np.argsort(-weights.sum(axis=1), axis=-1, kind="stable")[:, None, :most]
    taken = np.take_along_axis(forecasts, heaviest[..., None, None], axis=2)
    return mix(np.moveaxis(taken, 2, 3), np.take_along_axis(weights, heaviest, axis=2)[:, :, None])


def _nan_where_none(pooled: FloatArray, past: Past) -> FloatArray:
    """Answer what the pool lost at each origin, NaN where there was no pool or nothing is known."""
    counts = past.known & np.isfinite(pooled).all(axis=-1)
    loss = mean_loss(np.where(counts[..., None], pooled, 0.0), past.actuals, counts)
    return np.where(counts.any(axis=-1), loss, np.nan)
