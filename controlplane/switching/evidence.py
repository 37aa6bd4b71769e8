"""How the newest provisions of each chain went, folded out of the outbox. Pure.

The leader's folding loop calls the reader; `controlplane.switching.watching` judges by what it has learned.
The order of entries, and how they are split into batches, makes no difference: the newest by admission are
kept.
"""

from collections.abc import Collection, Iterable, Sequence

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import ChainName
from enchain.v1 import evidence_pb2, operation_pb2

Outcomes = evidence_pb2.ChainOutcomes
Entry = operation_pb2.OutboxEntry

NAME = "switch-evidence"

KEPT_MAX = 400
"""Provisions of a chain; some 12 KiB. What is worse shows within far fewer."""

_COUNTED = frozenset({operation_pb2.Operation.STATE_SUCCEEDED, operation_pb2.Operation.STATE_FAILED})
"""Whoever cancels says nothing about the chain."""


class SwitchEvidenceReader:
    """Keeps admission, duration and failure of the newest provisions of each chain revision."""

    name = NAME
    kind = Outcomes

    def subjects(self, entry: Entry) -> Collection[str]:
        """The chain, as `workload/chain@revision`; none where the entry says nothing about one."""
        if entry.verb != operation_pb2.VERB_PROVISION or entry.state not in _COUNTED:
            return ()
        try:
            return (subject(ChainName.parse(entry.chain, "chain", whole=True)),)
        except InvalidArgumentError:
            return ()

    def empty(self, subject: str) -> Outcomes:
        """Outcomes of a chain of which nothing was counted yet."""
        workload, _, chain = subject.partition("/")
        return Outcomes(chain=f"workloads/{workload}/chains/{chain}")

    def fold(self, statistics: Outcomes, entries: Sequence[Entry]) -> Outcomes:
        """Add entries of one chain."""
        known = zip(statistics.admitted, statistics.seconds, statistics.failed, strict=False)
        rows = sorted([*known, *(_row(entry) for entry in entries)])[-KEPT_MAX:]
        return Outcomes(
            chain=statistics.chain,
            admitted=[row[0] for row in rows],
            seconds=[row[1] for row in rows],
            failed=[row[2] for row in rows],
            operations=statistics.operations + len(entries),
            failures=statistics.failures + sum(_failed(entry) for entry in entries),
        )


def subject(chain: ChainName) -> str:
    """Answer under which name what is learned of a chain lies."""
    return f"{chain.workload}/{chain.chain}@{chain.revision}"


def joined(chains: Iterable[Outcomes], *, since: float = 0.0) -> list[tuple[float, float, bool]]:
    """Answer admission, duration and failure of provisions of several chains, admitted since a time."""
    rows = [row for each in chains for row in zip(each.admitted, each.seconds, each.failed, strict=False)]
    return sorted(row for row in rows if row[0] >= since)


def _row(entry: Entry) -> tuple[float, float, bool]:
    admitted = entry.create_time.ToMilliseconds() / 1000
    took = (entry.end_time.ToMilliseconds() - entry.create_time.ToMilliseconds()) / 1000
    return admitted, max(took, 0.0), _failed(entry)


def _failed(entry: Entry) -> bool:
    return entry.state == operation_pb2.Operation.STATE_FAILED
