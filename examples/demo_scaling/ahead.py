"""Was a switch made ahead of the demand that needed it? Pure: asked of the planner itself, afterwards.

A switch is ahead where, at the demand of the half hour in which it was decided, the planner would have taken
the old chain still, and within the hours of the trace that the forecast covers demand came for which it takes
the new one.
"""

from collections.abc import Callable, Sequence

from controlplane.planning.documents import problem_of
from controlplane.planning.plan import plan
from enchain.v1 import recommendation_pb2

HOUR = 3600.0

Taken = Callable[[float], str]
"""Answers the chain that is taken at a constant demand, in requests a second."""


def taken_at(inputs: recommendation_pb2.PlanningInputs) -> Taken:
    """Answer which chain the planner takes where demand stays as it is, from what it knew otherwise."""

    def taken(rate: float) -> str:
        steady = recommendation_pb2.PlanningInputs()
        steady.CopyFrom(inputs)
        steady.reactive_rate = 0.0
        del steady.demand[:]
        for _ in inputs.demand:
            steady.demand.add(values=[HOUR * rate] * len(inputs.levels))
        # What is in force, when it was switched to and what was settled then may not matter: only the demand.
        steady.current_chain = ""
        steady.settled_chain = ""
        steady.ClearField("switch_time")
        chosen = plan(problem_of(steady)).chosen
        return "" if chosen is None else chosen.chain

    return taken


def needed_at(taken: Taken, chain: str, rates: Sequence[float], decided: int, reach: int) -> int | None:
    """Answer the first step from the decision on whose demand takes a chain; None where none does.

    Args:
        taken: Which chain suits a demand.
        chain: The new chain.
        rates: Demand by step, in requests a second, each the mean of the half hour that ends with it.
        decided: The step in which the switch was decided; demand of the step before was known.
        reach: Steps that are looked at.
    """
    steps = range(max(0, decided - 1), min(len(rates), decided + reach))
    return next((step for step in steps if taken(rates[step]) == chain), None)
