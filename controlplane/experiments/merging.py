"""Arms side by side: costs in one currency. Pure.

`controlplane.catalog.experiment_statistics` calls it. As stored, an arm's costs are kept by currency, since
which one prevails is known at the end only.
"""

from collections import Counter
from collections.abc import Sequence

from enchain.v1 import experiment_pb2

ArmStatistics = experiment_pb2.ArmStatistics

COST = "cost"
_KEPT = f"{COST}."


def in_one_currency(
    arms: Sequence[ArmStatistics], before: Sequence[ArmStatistics]
) -> tuple[tuple[list[ArmStatistics], list[ArmStatistics]], list[str]]:
    """Let `cost` be the cost in the currency that most operations of all arms have; the rest is left out.

    Args:
        arms: Statistics as they are stored.
        before: Those of the time as a draft.

    Returns:
        Both as the analysis takes them, and warnings of what was left out.
    """
    counts: Counter[str] = Counter()
    for each in arms:
        counts.update(each.currencies)
    prevailing = min(counts, key=lambda currency: (-counts[currency], currency), default="")
    return (
        ([_only(each, prevailing) for each in arms], [_only(each, prevailing) for each in before]),
        [
            f"{count} operations cost {currency}: they are left out of the cost, which is in {prevailing}"
            for currency, count in sorted(counts.items())
            if currency != prevailing
        ],
    )


def _only(statistics: ArmStatistics, currency: str) -> ArmStatistics:
    answer = ArmStatistics()
    answer.CopyFrom(statistics)
    for name in list(answer.metrics):
        if name.startswith(_KEPT):
            if name == _KEPT + currency:
                answer.metrics[COST].CopyFrom(answer.metrics[name])
            del answer.metrics[name]
    return answer
