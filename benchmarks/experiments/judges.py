"""How simulated experiments are judged: by this project's analysis, and by a peer. Called by the simulations.

The peer is the sequential engine of GrowthBook as it is published: asymptotic confidence sequences
(Waudby-Smith et al., arXiv 2103.06476) of the relative difference by the delta method, with operations as
units and its default tuning parameter of 5,000. It is written anew from that
description, and looked at without the smallest numbers below which the product shows nothing.
"""

import numpy as np

from benchmarks.experiments.sums import ArmSums
from controlplane.experiments import confidence, contrasts, msprt, quantiles, rare, tails
from controlplane.experiments.clusters import Moments
from controlplane.experiments.msprt import Floats

PEER_TUNING = 5000.0
SHARE = 0.95


def evidence(kind: str, control: ArmSums, treated: ArmSums, level: float) -> Floats:
    """Answer the logarithm of the evidence of each run against "no difference", as the analysis has it."""
    first, second = control.moments(), treated.moments()
    if kind == "p95":
        below = control.below(), treated.below()
        found = quantiles.scores(*below, SHARE, _likeness(control, treated))
        enough = quantiles.enough(*below, SHARE) & ~(_few_units(first) | _few_units(second))
        return np.where(enough, quantiles.log_evidence(found, level), 0.0)
    if kind == "mean":
        first, second = confidence.borrowing(first, second), confidence.borrowing(second, first)
    plain = confidence.log_evidence(first, second, level)
    least = np.minimum(first.count, second.count)
    many, few = least >= contrasts.OPERATIONS_MIN, _few_units(first) | _few_units(second)
    if kind == "mean":
        return np.where(many & ~few, plain, 0.0)
    events, coin = _events(first, second)
    pooled = (control.total + treated.total) / np.maximum(first.count + second.count, 1)
    coins = (np.minimum(pooled, 1 - pooled) < rare.RARE) | ~many
    return np.where(few, 0.0, np.where(coins, rare.log_evidence(*events, coin), plain))


def evidence_of_harm(control: ArmSums, treated: ArmSums) -> Floats:
    """Answer the same against "rare outcomes are not more frequent in the treated arm"."""
    events, coin = _events(control.moments(), treated.moments())
    return rare.log_evidence_above(*events, coin)


def peer(control: ArmSums, treated: ArmSums, level: float) -> Floats:
    """Answer a number of each run that is at least -log(level) where the peer's interval excludes zero."""
    first, second = _operations(control), _operations(treated)
    base = np.where(first.mean == 0, 1, first.mean)
    variance = second.variance / base**2 + first.variance * second.mean**2 / base**4
    score = np.where(variance > 0, (second.mean / base - 1) / np.sqrt(np.where(variance > 0, variance, 1)), 0)
    return msprt.log_evidence(score, first.count + second.count, level, PEER_TUNING, apart=0)


def _operations(arm: ArmSums) -> Moments:
    number = np.maximum(arm.count, 2)
    mean = arm.total / number
    variance = np.maximum(arm.squares / number - mean**2, 0) / (number - 1)
    return Moments(arm.count, mean, variance, number, number)


def _few_units(arm: Moments) -> Floats:
    return np.asarray(arm.freedom < np.minimum(contrasts.FREEDOM_MIN, arm.count - 1))


def _alike(control: Moments, treated: Moments) -> Floats:
    size = np.maximum(control.size + treated.size, 1e-9)
    return np.asarray(np.maximum((control.count + treated.count) / size, 1.0))


def _likeness(control: ArmSums, treated: ArmSums) -> tails.Likeness:
    if control.tails is None or treated.tails is None:
        return tails.NONE
    means = control.moments(), treated.moments()
    return tails.likeness(control.tails, treated.tails, SHARE, means, _alike(*means))


def _events(control: Moments, treated: Moments) -> tuple[tuple[Floats, Floats], Floats]:
    alike = _alike(control, treated)
    coin = treated.count / np.maximum(control.count + treated.count, 1)
    return (control.mean * control.count / alike, treated.mean * treated.count / alike), coin
