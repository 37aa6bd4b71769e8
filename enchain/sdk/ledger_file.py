"""The ledger on disk: read under a lock, decided by `enchain.sdk.ledger`, written whole before work begins.

The step runner calls it in a thread, because locks and fsync block. It decides nothing itself.
"""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from enchain.chains.errors import MalformedError
from enchain.sdk.calls import Token
from enchain.sdk.ledger import Ask, Decision, Entry, Ledger, Standing, decide
from enchain.sdk.scope import FileLock, WorkPaths, is_held, read_record, write_whole

TOMBSTONE_AGE = timedelta(days=1)
"""How long a ledger stays after the latest deadline it ever saw, once everything in it is destroyed."""


class LedgerFile:
    """The ledger of one piece of work."""

    def __init__(self, paths: WorkPaths, work_id: str) -> None:
        self._paths = paths
        self._work_id = work_id

    def ask(self, ask: Ask) -> Decision:
        """Decide about a call and record what follows, in one critical section."""
        lock = FileLock(self._paths.ledger_lock)
        lock.acquire()
        try:
            alive = is_held(self._paths.task_lock) or is_held(self._paths.tool_lock)
            decision = decide(self.read(), dataclasses.replace(ask, busy=alive))
            if decision.ledger is not None:
                self._write(decision.ledger)
            return decision
        finally:
            lock.release()

    def change(self, transition: Callable[[Ledger], Ledger]) -> Ledger:
        """Read, change and write, in one critical section; answer the ledger as it is then."""
        lock = FileLock(self._paths.ledger_lock)
        lock.acquire()
        try:
            before = self.read()
            after = transition(before)
            if after is not before:
                self._write(after)
            return after
        finally:
            lock.release()

    def read(self) -> Ledger:
        """Read the ledger; an empty one where there is none. Needs no lock: it is replaced whole."""
        record = read_record(self._paths.ledger)
        if record is None:
            return Ledger(self._work_id)
        try:
            return _from_record(record)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedError(
                f"the ledger of {self._work_id} cannot be read",
                reason="MALFORMED_LEDGER",
                remedy=f"Look at {self._paths.ledger}; nothing is done for this work until it is mended.",
            ) from error

    def _write(self, ledger: Ledger) -> None:
        write_whole(self._paths.ledger, json.dumps(_to_record(ledger), sort_keys=True, indent=1).encode())


def is_spent(ledger: Ledger, now: datetime) -> bool:
    """Say whether a ledger may be swept: all is destroyed, and no call that it must refuse can still come."""
    if ledger.latest is not None and ledger.latest + TOMBSTONE_AGE > now:
        return False
    newest = max(ledger.entries.values(), key=lambda entry: entry.generation, default=None)
    return newest is None or (
        newest.verb == "VERB_DEPROVISION" and (newest.result or {}).get("outcome") == "OUTCOME_SUCCEEDED"
    )


def _to_record(ledger: Ledger) -> dict[str, Any]:
    return {
        "work_id": ledger.work_id,
        "token": [ledger.token.epoch, ledger.token.revision],
        "latest": ledger.latest.isoformat() if ledger.latest else None,
        "floor": ledger.floor,
        "entries": {
            key: {
                "generation": entry.generation,
                "verb": entry.verb,
                "standing": entry.standing.value,
                "token": [entry.token.epoch, entry.token.revision],
                "fingerprint": entry.fingerprint,
                "deadline": entry.deadline.isoformat() if entry.deadline else None,
                "instance": entry.instance,
                "takeovers": entry.takeovers,
                "cancelled": entry.cancelled,
                "handle": entry.handle,
                "result": entry.result,
            }
            for key, entry in ledger.entries.items()
        },
    }


def _from_record(record: dict[str, Any]) -> Ledger:
    return Ledger(
        work_id=record["work_id"],
        token=Token(*record["token"]),
        latest=_time(record["latest"]),
        floor=record["floor"],
        entries={
            key: Entry(
                generation=entry["generation"],
                verb=entry["verb"],
                standing=Standing(entry["standing"]),
                token=Token(*entry["token"]),
                fingerprint=entry["fingerprint"],
                deadline=_time(entry["deadline"]),
                instance=entry["instance"],
                takeovers=entry["takeovers"],
                cancelled=entry["cancelled"],
                handle=entry["handle"],
                result=entry["result"],
            )
            for key, entry in record["entries"].items()
        },
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
