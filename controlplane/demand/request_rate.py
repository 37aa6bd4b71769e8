"""The rate of requests of each workload, minute by minute, folded out of the outbox. Pure.

The leader's folding loop calls it. Whatever the order in which entries come, and however they are split into
batches, the statistics end up the same.
"""

from collections.abc import Collection, Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from enchain.chains.errors import InvalidArgumentError, MalformedError
from enchain.chains.names import workload_id, workload_name
from enchain.v1 import learned_pb2, operation_pb2

Statistics = learned_pb2.RequestRateStatistics
Entry = operation_pb2.OutboxEntry

WINDOW_MINUTES = 24 * 60
"""A day, so that a value stays far below what may be stored: three counts a minute."""

COUNT_MAX = 2**31 - 1

_LISTS: Mapping[int, str] = {
    operation_pb2.VERB_PROVISION: "provisions",
    operation_pb2.VERB_UPDATE: "updates",
    operation_pb2.VERB_DEPROVISION: "deprovisions",
}


class RequestRateReader:
    """Counts requests by workload, verb and minute of admission."""

    name = "request-rate"
    kind = Statistics

    def subjects(self, entry: Entry) -> Collection[str]:
        """The workload's id.

        Raises:
            MalformedError: The entry names no workload.
        """
        try:
            return (workload_id(entry.workload, "workload"),)
        except InvalidArgumentError as error:
            raise MalformedError(f"the entry's workload: {error.message}", reason="NO_WORKLOAD") from error

    def empty(self, subject: str) -> Statistics:
        """Statistics of a workload of which nothing was counted yet."""
        return Statistics(workload=workload_name(subject))

    def fold(self, statistics: Statistics, entries: Sequence[Entry]) -> Statistics:
        """Add entries of one workload."""
        minutes = [_minute(entry.create_time) for entry in entries]
        window = _window(statistics, minutes)
        folded = Statistics(workload=statistics.workload, requests=statistics.requests + len(entries))
        if window:
            folded.first_minute.FromSeconds(window.start * 60)
        for verb, name in _LISTS.items():
            counts = _moved(statistics, name, window)
            for entry, minute in zip(entries, minutes, strict=True):
                if entry.verb == verb and minute in window:
                    counts[minute - window.start] += 1
            fits = not counts or max(counts) <= COUNT_MAX
            getattr(folded, name).extend(counts if fits else [min(count, COUNT_MAX) for count in counts])
        return folded


def _minute(time: Timestamp) -> int:
    return time.seconds // 60


def _covered(statistics: Statistics) -> range:
    """The minutes that statistics have counts for. Hand-edited ones may have lists of any length."""
    first = _minute(statistics.first_minute)
    longest = max(len(getattr(statistics, name)) for name in _LISTS.values())
    return range(first, first + longest)


def _window(statistics: Statistics, minutes: Sequence[int]) -> range:
    """The minutes to have counts for: from the earliest to the newest, at most a day back from that."""
    known = _covered(statistics)
    ends = [*minutes, *((known[0], known[-1]) if known else ())]
    if not ends:
        return range(0)
    newest = max(ends)
    return range(max(min(ends), newest - WINDOW_MINUTES + 1), newest + 1)


def _moved(statistics: Statistics, name: str, window: range) -> list[int]:
    """The counts of one list, moved to a window."""
    moved = window.start - _minute(statistics.first_minute)
    counts = [0] * -moved + list(getattr(statistics, name))[max(moved, 0) :]
    return (counts + [0] * len(window))[: len(window)]
