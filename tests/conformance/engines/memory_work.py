"""How the in-memory engine does a key: handle, time, effect, result; stopped by a cancel or its deadline."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

from enchain.chains.values import to_value
from enchain.engine.v1 import engine_pb2
from enchain.v1 import diagnostic_pb2, value_pb2
from tests.conformance.engines.memory_calls import SECRETS, number_of
from tests.conformance.engines.memory_scope import Entry, Memory, Place

HANDLE_BYTES_MAX = 8 * 1024
OUTPUT_BYTES_MAX = 16 * 1024

Result = engine_pb2.StepResult


class MemoryWork:
    """Does keys in tasks.

    Args:
        wrong: Says whether the engine has the fault that a check has to find.
    """

    def __init__(self, memory: Memory, wrong: Callable[[str], bool], heartbeat_seconds: float) -> None:
        self._memory = memory
        self._wrong = wrong
        self._heartbeat_seconds = heartbeat_seconds

    def begin(self, place: Place, entry: Entry, *, blind: bool = False) -> None:
        """Begin a key."""
        if self._wrong("accepted-comes-first"):
            entry.publish(engine_pb2.StepEvent(progress=engine_pb2.StepProgressed(message="here we go")))
        entry.publish(engine_pb2.StepEvent(accepted=engine_pb2.StepAccepted(instance="one")))
        entry.task = asyncio.create_task(self._do(place, entry, blind=blind), name="work in memory")

    def take_up(self, place: Place, entry: Entry) -> None:
        """Go on with a key that is joined: it runs, has ended, or was interrupted."""
        again = self._wrong("known-key-is-joined") and entry.result is not None
        if (entry.result is None and entry.task is None) or again:
            entry.result, entry.log = None, []
            entry.takeovers += 1
            self.begin(place, entry)

    async def _do(self, place: Place, entry: Entry, *, blind: bool) -> None:
        heart = asyncio.create_task(self._beat(entry), name="heart")
        try:
            result = await (
                self._destroy(place, blind=blind) if entry.destroys else self._apply(place, entry)
            )
        finally:
            heart.cancel()
        if entry.handle is not None:
            result.handle.CopyFrom(entry.handle)
        entry.result = result
        seq = 7 if self._wrong("seq-grows-strictly") else None
        entry.publish(engine_pb2.StepEvent(result=result), seq)
        if self._wrong("one-result-comes-last"):
            entry.publish(engine_pb2.StepEvent(result=result))

    async def _beat(self, entry: Entry) -> None:
        while not self._wrong("heartbeats-come"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), self._heartbeat_seconds)
            entry.publish(engine_pb2.StepEvent(heartbeat=engine_pb2.Heartbeat()))

    async def _destroy(self, place: Place, *, blind: bool) -> Result:
        failed = any(
            other.result is not None and other.result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
            for other in place.entries.values()
        )
        if not self._wrong("destroy-ends-running-work"):
            for other in place.entries.values():
                if other.running and not other.destroys and other.task is not None:
                    other.cancelled.set()
                    await asyncio.wait({other.task})
        if self._wrong("destroy-clears-a-failure") and failed:
            return _failed("BROKEN", "it failed before")
        if self._wrong("destroy-is-idempotent") and place.standing is None and place.entries:
            return _failed("MISSING", "it is not there")
        if not (blind or self._wrong("destroy-removes")):
            place.standing = None
        return Result(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED)

    async def _apply(self, place: Place, entry: Entry) -> Result:
        secret = self._secret(entry)
        if secret is None:
            return _failed("SECRET_MISSING", "there is no such secret", clean=True)
        data = {"name": entry.inputs["name"]} if "name" in entry.inputs else {}
        if padding := int(number_of(entry.inputs, "handle_bytes")):
            data["padding"] = to_value("x" * padding)
        handle = diagnostic_pb2.Handle(schema="memory/1", data=data)
        if handle.ByteSize() > HANDLE_BYTES_MAX and not self._wrong("oversize-handle-is-refused"):
            return _failed("HANDLE_TOO_LARGE", "the handle is too large", clean=True)
        entry.handle = handle
        if not self._wrong("handle-comes-before-result"):
            entry.publish(engine_pb2.StepEvent(handle=handle))
        self._talk(entry, secret)
        if why := await self._stopped(entry):
            return why
        self._memory.runs += 1
        place.standing = entry.inputs
        if entry.inputs.get("fail", value_pb2.Value()).bool_value:
            return _failed("ASKED_TO", "it was asked to fail")
        return self._success(entry)

    def _secret(self, entry: Entry) -> str | None:
        """Resolve the secret; None where it cannot be had."""
        if "token" not in entry.inputs:
            return ""
        found = SECRETS.get(entry.inputs["token"].secret_value.ref)
        return "" if found is None and self._wrong("missing-secret-fails-clean") else found

    def _talk(self, entry: Entry, secret: str) -> None:
        text = f"the token is {secret if self._wrong('secrets-are-not-told') else 'a secret'}"
        entry.publish(engine_pb2.StepEvent(progress=engine_pb2.StepProgressed(message=text)))
        if self._wrong("budgets-are-kept"):
            entry.publish(engine_pb2.StepEvent(log=engine_pb2.LogLine(line="x" * 20_000)))

    async def _stopped(self, entry: Entry) -> Result | None:
        """Let time pass; answer the result of work that was stopped meanwhile."""
        seconds = number_of(entry.inputs, "seconds")
        left = (entry.deadline - datetime.now(UTC)).total_seconds()
        if self._wrong("deadline-is-honoured"):
            left = seconds + 1
        try:
            await asyncio.wait_for(entry.cancelled.wait(), max(min(seconds, left), 0))
        except TimeoutError:
            return _failed("LATE", "the deadline has passed") if left < seconds else None
        return Result(outcome=diagnostic_pb2.OUTCOME_CANCELLED)

    def _success(self, entry: Entry) -> Result:
        name = entry.inputs.get("name", value_pb2.Value(string_value=""))
        run = to_value(str(self._memory.runs) if self._wrong("outputs-match-schema") else self._memory.runs)
        outputs = {"name": name, "run": run}
        if self._wrong("good-inputs-succeed"):
            outputs["name"] = to_value("somebody else")
        if padding := int(number_of(entry.inputs, "output_bytes")):
            outputs["padding"] = to_value("x" * padding)
        taken = sum(len(key) + value.ByteSize() for key, value in outputs.items())
        if taken > OUTPUT_BYTES_MAX and not self._wrong("oversize-outputs-fail-partially"):
            return _failed("OUTPUTS_TOO_LARGE", "the outputs are too large")
        return Result(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED, outputs=outputs)


def _failed(code: str, summary: str, *, clean: bool = False) -> Result:
    return Result(
        outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN if clean else diagnostic_pb2.OUTCOME_FAILED_PARTIAL,
        diagnostics=[
            diagnostic_pb2.Diagnostic(
                severity=diagnostic_pb2.SEVERITY_ERROR, code=code, domain="memory", summary=summary
            )
        ],
    )
