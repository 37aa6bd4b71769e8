"""A start of an experiment that waits for instances, or that failed, as one plain sentence. Pure.

Analyses of the control plane and the command say it, so that both use the same words.
"""

from datetime import UTC

from enchain.v1.experiment_pb2 import Experiment


def start_told(experiment: Experiment) -> str:
    """Say what an experiment's start waits for, or why it was not made; empty where neither is so."""
    warming = experiment.warming
    if experiment.state == Experiment.STATE_WARMING:
        until = warming.deadline.ToDatetime(UTC)
        what = "; ".join(warming.waiting) or "its instances"
        return (
            f"Wait: it enrols nobody yet, and is warming until {until:%H:%M:%SZ} at most: waiting for {what}."
        )
    if warming.fault:
        return f"Start it again once this is mended: it was not started, {warming.fault} ({warming.reason})."
    return ""
