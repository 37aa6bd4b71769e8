"""The ledger: what was asked about a piece of work, what was begun, and how it ended. Pure.

`enchain.sdk.ledger_file` keeps one ledger per piece of work in the state scope and is the only caller of
`decide` and the other transitions. Nothing here reads a file or the time.

The rules, in one place:

* A token lower than the highest recorded is refused. Every other call records its token, known key or not:
  what it finds absent stays closed to older callers.
* A key is begun once. A known key joins; with other parameters it is refused.
* Nothing begins after its deadline, nor for a generation that has been left behind.
* Finishing happens once: the first result recorded is the result.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from enchain.chains.errors import AlreadyExistsError, ConflictError, DeadlineError, EnchainError
from enchain.sdk.calls import Key, Token
from enchain.v1 import operation_pb2

ENTRIES_MAX = 16
"""Keys kept of a piece of work. Older ones are forgotten, and their generations stay closed."""

BUSY_RETRY_SECONDS = 1.0


class Standing(Enum):
    """How a key stands in the ledger."""

    UNSEEN = "UNSEEN"
    STARTED = "STARTED"
    FINISHED = "FINISHED"


class Method(Enum):
    """What is asked about a key."""

    APPLY = "apply"
    DESTROY = "destroy"
    GET = "get"
    CANCEL = "cancel"


class Verdict(Enum):
    """What the caller of `decide` has to do, after it has written the decision's ledger."""

    REFUSE = "raise the error; nothing is to be written"
    BEGIN = "begin the work"
    JOIN = "join the work, resume it, or replay its result"
    ABSENT = "say that the key was never seen"
    ANSWER = "say how the entry stands"
    SIGNAL = "tell the running work to stop"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key.

    Attributes:
        fingerprint: Of the parameters; empty where the key was cancelled before it was begun.
        token: The newest token with which this very key was asked for. A key whose token is older than the
            ledger's has been left behind by its callers and begins nothing more.
        deadline: Nothing is begun after it. A later caller of the key may move it on.
        instance: The instance that took it up last.
        takeovers: How often it was taken up again.
        cancelled: Somebody asked to stop it: it begins no further run.
        handle: The newest handle, as JSON.
        result: Set when finished, as JSON.
    """

    generation: int
    verb: str
    standing: Standing
    token: Token
    fingerprint: str = ""
    deadline: datetime | None = None
    instance: str = ""
    takeovers: int = 0
    cancelled: bool = False
    handle: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is known of a piece of work.

    Attributes:
        token: The highest ever seen.
        latest: The latest deadline ever seen. Tombstones stay until it is long past.
        floor: The highest generation that was forgotten.
    """

    work_id: str
    token: Token = field(default_factory=Token)
    latest: datetime | None = None
    floor: int = 0
    entries: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the ledger.

    Attributes:
        busy: A task or a tool of this work lives, in whatever instance.
        cancelled: The result to record for a key that is cancelled before it was begun, as JSON.
    """

    method: Method
    key: Key
    token: Token
    now: datetime
    deadline: datetime | None = None
    fingerprint: str = ""
    instance: str = ""
    busy: bool = False
    cancelled: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a question.

    Attributes:
        ledger: What to write before anything else; None where nothing changed.
        entry: The key's entry as it is then.
        superseded: Keys that were begun and may do no more; their tools are to be stopped.
        error: What to raise, for `REFUSE`.
    """

    verdict: Verdict
    ledger: Ledger | None = None
    entry: Entry | None = None
    superseded: tuple[str, ...] = ()
    error: EnchainError | None = None


def decide(ledger: Ledger, ask: Ask) -> Decision:
    """Answer what becomes of a call."""
    if ask.token < ledger.token:
        return _refuse(stale_token(ledger, ask.token))
    entry = ledger.entries.get(ask.key.text)
    standing = entry.standing if entry else Standing.UNSEEN
    return _TABLE[ask.method, standing](_seen(ledger, ask), ask)


def stale_token(ledger: Ledger, token: Token) -> ConflictError:
    """Answer the error for a caller that was overtaken."""
    return ConflictError(
        f"{ledger.work_id} is held by a newer caller",
        reason="STALE_TOKEN",
        metadata={
            "work_id": ledger.work_id,
            "token": f"{token.epoch}.{token.revision}",
            "highest": f"{ledger.token.epoch}.{ledger.token.revision}",
        },
        remedy="Stop: another router owns the operation now.",
    )


def _refuse(error: EnchainError) -> Decision:
    return Decision(Verdict.REFUSE, error=error)


def _seen(ledger: Ledger, ask: Ask) -> Ledger:
    """Record token and deadline; raise the token of the key asked for, where it is known."""
    entries = dict(ledger.entries)
    if entry := entries.get(ask.key.text):
        begins = ask.method in (Method.APPLY, Method.DESTROY)
        deadline = _later(entry.deadline, ask.deadline) if begins else entry.deadline
        entries[ask.key.text] = dataclasses.replace(entry, token=ask.token, deadline=deadline)
    latest = _later(ledger.latest, ask.deadline)
    return dataclasses.replace(ledger, token=ask.token, latest=latest, entries=entries)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at), default=None)


def _begin(ledger: Ledger, ask: Ask) -> Decision:
    if fault := _unbeginnable(ledger, ask):
        return _refuse(fault)
    others = [key for key, entry in ledger.entries.items() if entry.standing is Standing.STARTED]
    if others and ask.busy and ask.method is Method.APPLY:
        return _refuse(
            ConflictError(
                f"{others[0]} of {ledger.work_id} still runs",
                reason="WORK_RUNNING",
                metadata={"work_id": ledger.work_id, "key": others[0]},
                retry_after=BUSY_RETRY_SECONDS,
            )
        )
    entries = dict(ledger.entries)
    for key in others:
        # Nobody knows how it ended, and nobody will ask: what it left is the new key's to deal with.
        entries[key] = dataclasses.replace(
            entries[key], standing=Standing.FINISHED, result={"outcome": "OUTCOME_UNKNOWN"}
        )
    entry = Entry(
        ask.key.generation,
        operation_pb2.Verb.Name(ask.key.verb),
        Standing.STARTED,
        ask.token,
        ask.fingerprint,
        ask.deadline,
        ask.instance,
    )
    entries[ask.key.text] = entry
    kept = _pruned(dataclasses.replace(ledger, entries=entries))
    return Decision(Verdict.BEGIN, kept, entry, tuple(others))


def _unbeginnable(ledger: Ledger, ask: Ask) -> EnchainError | None:
    if ask.deadline is not None and ask.deadline <= ask.now:
        return DeadlineError(
            f"the deadline of {ask.key.text} of {ledger.work_id} is past",
            reason="DEADLINE_PAST",
            metadata={"work_id": ledger.work_id, "deadline": ask.deadline.isoformat()},
        )
    newest = max((entry.generation for entry in ledger.entries.values()), default=0)
    if ask.key.generation < max(newest, ledger.floor + 1) or _is_destroyed(ledger, ask):
        return _stale_generation(ledger, ask)
    return None


def _is_destroyed(ledger: Ledger, ask: Ask) -> bool:
    """Say whether a destroy of this or a later generation was begun: after it, no apply comes in."""
    return ask.method is Method.APPLY and any(
        entry.verb == "VERB_DEPROVISION" and entry.fingerprint and entry.generation >= ask.key.generation
        for entry in ledger.entries.values()
    )


def _stale_generation(ledger: Ledger, ask: Ask) -> ConflictError:
    return ConflictError(
        f"generation {ask.key.generation} of {ledger.work_id} has been left behind",
        reason="STALE_GENERATION",
        metadata={"work_id": ledger.work_id, "generation": str(ask.key.generation)},
    )


def _join(ledger: Ledger, ask: Ask) -> Decision:
    entry = ledger.entries[ask.key.text]
    if entry.fingerprint and entry.fingerprint != ask.fingerprint:
        return _refuse(
            AlreadyExistsError(
                f"{ask.key.text} of {ledger.work_id} was begun with other parameters",
                reason="PARAMETERS_DIFFER",
                metadata={"work_id": ledger.work_id, "key": ask.key.text},
                remedy="Take the next generation for other parameters.",
            )
        )
    if _is_destroyed(ledger, ask):
        return _refuse(_stale_generation(ledger, ask))
    return Decision(Verdict.JOIN, ledger, entry)


def _absent(ledger: Ledger, _ask: Ask) -> Decision:
    return Decision(Verdict.ABSENT, ledger)


def _answer(ledger: Ledger, ask: Ask) -> Decision:
    return Decision(Verdict.ANSWER, ledger, ledger.entries[ask.key.text])


def _signal(ledger: Ledger, ask: Ask) -> Decision:
    told = _replaced(ledger, ask.key, cancelled=True)
    return Decision(Verdict.SIGNAL, told, told.entries[ask.key.text])


def _bury(ledger: Ledger, ask: Ask) -> Decision:
    """Record a key that was cancelled before it was begun: whoever begins it learns that it is cancelled."""
    entry = Entry(
        ask.key.generation,
        operation_pb2.Verb.Name(ask.key.verb),
        Standing.FINISHED,
        ask.token,
        deadline=ask.deadline,
        result=ask.cancelled,
    )
    entries = {**ledger.entries, ask.key.text: entry}
    return Decision(Verdict.ABSENT, _pruned(dataclasses.replace(ledger, entries=entries)), entry)


_TABLE: Mapping[tuple[Method, Standing], Callable[[Ledger, Ask], Decision]] = {
    (Method.APPLY, Standing.UNSEEN): _begin,
    (Method.APPLY, Standing.STARTED): _join,
    (Method.APPLY, Standing.FINISHED): _join,
    (Method.DESTROY, Standing.UNSEEN): _begin,
    (Method.DESTROY, Standing.STARTED): _join,
    (Method.DESTROY, Standing.FINISHED): _join,
    (Method.GET, Standing.UNSEEN): _absent,
    (Method.GET, Standing.STARTED): _answer,
    (Method.GET, Standing.FINISHED): _answer,
    (Method.CANCEL, Standing.UNSEEN): _bury,
    (Method.CANCEL, Standing.STARTED): _signal,
    (Method.CANCEL, Standing.FINISHED): _answer,
}


def _pruned(ledger: Ledger) -> Ledger:
    """Forget the oldest finished keys beyond the bound; their generations stay closed."""
    surplus = len(ledger.entries) - ENTRIES_MAX
    if surplus <= 0:
        return ledger
    finished = [key for key, entry in ledger.entries.items() if entry.standing is Standing.FINISHED]
    gone = sorted(finished, key=lambda key: ledger.entries[key].generation)[:surplus]
    floor = max([ledger.floor, *(ledger.entries[key].generation for key in gone)])
    entries = {key: entry for key, entry in ledger.entries.items() if key not in gone}
    return dataclasses.replace(ledger, floor=floor, entries=entries)


def fault_of_run(ledger: Ledger, key: Key, now: datetime) -> EnchainError | None:
    """Answer why a key may begin no further run, or None where it may."""
    entry = ledger.entries.get(key.text)
    if entry is None or entry.standing is not Standing.STARTED or entry.token < ledger.token:
        return stale_token(ledger, entry.token if entry else Token())
    if entry.deadline is not None and entry.deadline <= now:
        return DeadlineError("the step's deadline is past", reason="DEADLINE_PAST")
    return None


def with_handle(ledger: Ledger, key: Key, handle: Mapping[str, Any]) -> Ledger:
    """Record the newest handle of a key that runs."""
    return _replaced(ledger, key, handle=handle)


def taken_over(ledger: Ledger, key: Key, instance: str) -> Ledger:
    """Record that an instance takes a key up again."""
    entry = ledger.entries[key.text]
    return _replaced(ledger, key, instance=instance, takeovers=entry.takeovers + 1)


def finished(ledger: Ledger, key: Key, result: Mapping[str, Any]) -> Ledger:
    """Record a key's result, unless it has one."""
    entry = ledger.entries.get(key.text)
    if entry is None or entry.standing is Standing.FINISHED:
        return ledger
    return _replaced(ledger, key, standing=Standing.FINISHED, result=result)


def _replaced(ledger: Ledger, key: Key, **changes: Any) -> Ledger:
    entry = dataclasses.replace(ledger.entries[key.text], **changes)
    return dataclasses.replace(ledger, entries={**ledger.entries, key.text: entry})


def newest_handle(ledger: Ledger, key: Key) -> Mapping[str, Any] | None:
    """Answer the newest handle that a key other than `key` recorded, unless it is destroyed.

    What failed clean made nothing, and its handle leads nowhere.
    """
    for entry in _newest_first(ledger, key):
        if _destroyed(entry):
            return None
        if entry.handle is not None and not _made_nothing(entry):
            return entry.handle
    return None


def is_gone(ledger: Ledger, but: Key | None = None) -> bool:
    """Say whether nothing is left of the keys, `but` left out: handles that callers still hold are void."""
    others = _newest_first(ledger, but)
    for entry in others:
        if not _made_nothing(entry):
            return _destroyed(entry)
    return len(others) > 0 and ledger.floor == 0


def _newest_first(ledger: Ledger, but: Key | None) -> list[Entry]:
    others = [
        (entry.generation, text) for text, entry in ledger.entries.items() if not but or text != but.text
    ]
    return [ledger.entries[text] for _, text in sorted(others, reverse=True)]


def _destroyed(entry: Entry) -> bool:
    return entry.verb == "VERB_DEPROVISION" and _outcome(entry) == "OUTCOME_SUCCEEDED"


def _made_nothing(entry: Entry) -> bool:
    return _outcome(entry) == "OUTCOME_FAILED_CLEAN"


def _outcome(entry: Entry) -> str:
    return str((entry.result or {}).get("outcome", ""))
