"""What is unsafe about a version of etcd, from etcd's own change logs. Pure.

The adapter calls it with what a server says of itself; `StoreStatus.warnings` carries the answer. It never
refuses a server: whoever runs it decides.
"""

from dataclasses import dataclass

Version = tuple[int, int, int]

OLDEST_KNOWN: Version = (3, 4, 0)
"""Watches cannot be asked for progress, nor fragmented, before it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A known fault and, by release line, the first version without it.

    Attributes:
        what: What may happen, as a sentence.
        fixed: By (major, minor): the first patch without it. Lines that are not named never had it.
        since: The first version with it.
    """

    what: str
    fixed: tuple[Version, ...]
    since: Version = OLDEST_KNOWN

    def is_in(self, version: Version) -> bool:
        """Say whether a version has the fault."""
        return version >= self.since and any(
            version[:2] == fixed[:2] and version < fixed for fixed in self.fixed
        )


FAULTS = (
    Fault("it can lose committed writes when it is killed", ((3, 5, 3),), since=(3, 5, 0)),
    Fault(
        "revisions can differ between members after a crash while defragmenting",
        ((3, 5, 6),),
        since=(3, 5, 0),
    ),
    Fault("watches may see events twice", ((3, 4, 24), (3, 5, 8))),
    Fault("watches may go back in time, and progress notifications overtake events", ((3, 4, 25), (3, 5, 8))),
    Fault("watches may lose events after a compaction", ((3, 4, 31), (3, 5, 13))),
    Fault("revisions may decrease after a crash while compacting", ((3, 4, 32),)),
    Fault("a watch opened at the revision of a compaction may miss deletions", ((3, 4, 36), (3, 5, 18))),
    Fault(
        "a snapshot applied during a defragmentation may corrupt data",
        ((3, 5, 23), (3, 6, 5)),
        since=(3, 5, 0),
    ),
    Fault(
        "a user who may read one key can watch every key after it; do not rely on roles",
        ((3, 5, 33), (3, 6, 14), (3, 7, 1)),
    ),
)


def parse(version: str) -> Version | None:
    """Read `3.5.33` or `3.6.0-rc.1`; None for what is no version."""
    numbers = version.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != len(OLDEST_KNOWN) or not all(number.isdecimal() for number in numbers):
        return None
    major, minor, patch = (int(number) for number in numbers)
    return major, minor, patch


def warnings_for(version: str) -> tuple[str, ...]:
    """Say what is unsafe about a version, one sentence each; nothing for a sound one."""
    parsed = parse(version)
    if parsed is None:
        return (f"etcd says that its version is {version!r}, which is none",)
    if parsed < OLDEST_KNOWN:
        return (f"etcd {version} is older than 3.4 and lacks what enchain needs",)
    return tuple(f"etcd {version}: {fault.what}" for fault in FAULTS if fault.is_in(parsed))
