"""Names of performance profiles, and of versions in them, which may hold any character.

The control plane's profiles and catalogue, the client and the command call it. Nothing here knows whether
what is named exists.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from enchain.chains.names import ENGINE, STEP, WORKLOAD, IdRule, split

WORD_MAX = 128
"""Characters of a version in a name. Longer ones are cut, and told apart by a digest."""

_KEPT = 96
_DIGEST = 16
_STEP = STEP.pattern.pattern
_WORD = rf"(?:[A-Za-z0-9._~+-]|%[0-9A-F]{{2}}){{1,{WORD_MAX}}}"

PROFILE = IdRule(
    "performance profile id",
    re.compile(rf"{_STEP}(?:\+{_STEP})*\.{ENGINE.pattern.pattern}@{_WORD}"),
    "steps joined by `+`, a dot, an engine, `@` and a version, such as `configure.terraform@1.15.0`",
)


def version_word(version: str) -> str:
    """Answer a version as it stands in names and keys: odd characters as `%2F`, at most 128 in all.

    The word of a word's version is that word.
    """
    word = quote(version, safe="+")
    if len(word) <= WORD_MAX:
        return word
    kept = re.sub(r"[^A-Za-z0-9._+-]", "_", version)[:_KEPT]
    return f"{kept}~{hashlib.sha256(version.encode()).hexdigest()[:_DIGEST]}"


@dataclass(frozen=True, slots=True)
class PerformanceProfileName:
    """`workloads/{workload}/performanceProfiles/{steps}.{engine}@{version}`.

    Attributes:
        workload: The workload's id.
        steps: The steps that one call does, in their order.
        engine: The engine's id.
        version: Its version; a long one as it was cut.
    """

    workload: str
    steps: tuple[str, ...]
    engine: str
    version: str

    @classmethod
    def parse(cls, name: str, field: str = "name") -> "PerformanceProfileName":
        """Take a name apart."""
        form = "workloads/{workload}/performanceProfiles/{profile}"
        return cls._of(*split(name, form, field, (WORKLOAD, PROFILE)))

    @classmethod
    def of_subject(cls, subject: str) -> "PerformanceProfileName | None":
        """Take apart what follows `learned/profiles/` in a key; None where it is no such thing."""
        workload, _, profile = subject.partition("/")
        if not WORKLOAD.pattern.fullmatch(workload) or not PROFILE.pattern.fullmatch(profile):
            return None
        return cls._of(workload, profile)

    @classmethod
    def _of(cls, workload: str, profile: str) -> "PerformanceProfileName":
        what, _, word = profile.partition("@")
        steps, _, engine = what.partition(".")
        return cls(workload, tuple(steps.split("+")), engine, unquote(word))

    @property
    def subject(self) -> str:
        """`{workload}/{steps}.{engine}@{version}`: what follows `learned/profiles/` in its key."""
        return subject_of(self.workload, self.steps, self.engine, self.version)

    def __str__(self) -> str:
        workload, _, profile = self.subject.partition("/")
        return f"workloads/{workload}/performanceProfiles/{profile}"


def subject_of(workload: str, steps: Sequence[str], engine: str, version: str) -> str:
    """Put together what follows `learned/profiles/` in the key of a profile's statistics."""
    return f"{workload}/{'+'.join(steps)}.{engine}@{version_word(version)}"
