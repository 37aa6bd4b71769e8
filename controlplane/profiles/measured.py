"""What an ended operation tells of the engines that worked on it. Pure.

`reader.py` calls it. Here is decided what counts as a success or a failure of an engine, and what does not
count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from enchain.chains.names import ENGINE, STEP
from enchain.chains.profile_names import subject_of
from enchain.v1 import diagnostic_pb2, operation_pb2

Entry = operation_pb2.OutboxEntry
OutboxStep = operation_pb2.OutboxStep

STEPS_MAX = 24
"""Steps of one entry that are looked at: each adds to statistics of its own, and a transaction writes few."""

OTHER = "OTHER"
"""Stands for codes that are none, and for those beyond the cap."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_VERBS = frozenset({operation_pb2.VERB_PROVISION, operation_pb2.VERB_UPDATE, operation_pb2.VERB_DEPROVISION})
_FAILED = frozenset({diagnostic_pb2.OUTCOME_FAILED_PARTIAL, diagnostic_pb2.OUTCOME_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Measured:
    """One call of an engine that counts.

    Attributes:
        subject: Whose statistics it adds to: `{workload}/{steps}.{engine}@{version}`.
        step: What the entry says of it.
        verb: What was asked for.
        at: When its operation ended, in seconds from 1970 on.
        succeeded: It did what was asked for.
        code: Why it did not; empty where it did.
        seconds: How long it took; None where that is not known.
    """

    subject: str
    step: OutboxStep
    verb: operation_pb2.Verb.ValueType
    at: int
    succeeded: bool
    code: str
    seconds: float | None


def measured(entry: Entry, workload: str) -> Iterator[Measured]:
    """Yield the calls of an entry that count, each with its subject.

    Args:
        entry: What an operation left.
        workload: The workload's id.
    """
    if entry.verb not in _VERBS:
        return
    at = max(entry.create_time.seconds, entry.end_time.seconds)
    for step in entry.steps[:STEPS_MAX]:
        if not _counts(step, entry.state):
            continue
        succeeded = step.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
        yield Measured(
            subject=subject_of(workload, _steps(step), step.engine, step.version),
            step=step,
            verb=entry.verb,
            at=at,
            succeeded=succeeded,
            code="" if succeeded else _code(step),
            seconds=step.duration.seconds + step.duration.nanos / 1e9 if step.HasField("duration") else None,
        )


def _counts(step: OutboxStep, state: operation_pb2.Operation.State.ValueType) -> bool:
    """Whether it says something of an engine: one that can be named, and that was called."""
    names = _steps(step)
    if not step.version or not ENGINE.pattern.fullmatch(step.engine):
        return False
    if not all(STEP.pattern.fullmatch(name) for name in names):
        return False
    match step.outcome:
        case diagnostic_pb2.OUTCOME_SUCCEEDED:
            return True
        case diagnostic_pb2.OUTCOME_FAILED_CLEAN:
            # What failed before its engine was called was not timed.
            return step.HasField("duration")
        case diagnostic_pb2.OUTCOME_CANCELLED:
            # Nobody but the deadline cancels an operation that counts as failed.
            return state != operation_pb2.Operation.STATE_CANCELLED
        case outcome:
            return outcome in _FAILED


def _steps(step: OutboxStep) -> tuple[str, ...]:
    return tuple(step.steps) or (step.step,)


def _code(step: OutboxStep) -> str:
    if not step.code:
        return diagnostic_pb2.Outcome.Name(step.outcome).removeprefix("OUTCOME_")
    return step.code if _CODE.fullmatch(step.code) else OTHER
