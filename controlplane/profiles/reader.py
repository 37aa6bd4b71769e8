"""The reader of the outbox that learns performance profiles. Pure.

The leader's folding loop calls it. An operation adds to as many statistics as it called engines: one for each
workload, steps done by one call, engine and version.
"""

from collections.abc import Collection, Sequence

from controlplane.profiles.measured import measured
from controlplane.profiles.statistics import Statistics, fold
from enchain.chains.errors import InvalidArgumentError, MalformedError
from enchain.chains.names import workload_id, workload_name
from enchain.chains.profile_names import PerformanceProfileName, subject_of
from enchain.v1 import operation_pb2

Entry = operation_pb2.OutboxEntry


class ProfileReader:
    """Adds what engines were measured to do to the sums of their performance profiles."""

    name = "profiles"
    kind = Statistics

    def subjects(self, entry: Entry) -> Collection[str]:
        """The profiles that an entry adds to.

        Raises:
            MalformedError: The entry names no workload.
        """
        return {call.subject for call in measured(entry, _workload(entry))}

    def empty(self, subject: str) -> Statistics:
        """Statistics of a profile of which nothing was counted yet.

        Raises:
            MalformedError: It is no profile's subject.
        """
        name = PerformanceProfileName.of_subject(subject)
        if name is None:
            raise MalformedError(f"{subject} names no performance profile", reason="NO_PROFILE")
        return Statistics(
            workload=workload_name(name.workload), steps=name.steps, engine=name.engine, version=name.version
        )

    def fold(self, statistics: Statistics, entries: Sequence[Entry]) -> Statistics:
        """Add what entries tell of one profile.

        Raises:
            MalformedError: The statistics say that they are another profile's; somebody has edited them.
        """
        workload = statistics.workload.removeprefix("workloads/")
        subject = subject_of(workload, statistics.steps, statistics.engine, statistics.version)
        calls = [
            call for entry in entries for call in measured(entry, _workload(entry)) if call.subject == subject
        ]
        if entries and not calls:
            raise MalformedError(f"statistics of {subject} lie under another's key", reason="OTHER_PROFILE")
        return fold(statistics, calls)


def _workload(entry: Entry) -> str:
    try:
        return workload_id(entry.workload, "workload")
    except InvalidArgumentError as error:
        raise MalformedError(f"the entry's workload: {error.message}", reason="NO_WORKLOAD") from error
