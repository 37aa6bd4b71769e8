"""What is known of an operation, gathered from its events, and how it is shown while it runs.

`enchain.cli.following` feeds it events. A line a step, redrawn in place, on a terminal (`enchain.cli.live`);
plain lines elsewhere. It writes to standard error, so that standard output is the answer alone.
"""

import sys
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import click

from enchain.cli.output import enum_word, last, plain
from enchain.client import Reattached
from enchain.client.following import Happening
from enchain.v1 import diagnostic_pb2, operation_pb2

_SUCCEEDED = diagnostic_pb2.OUTCOME_SUCCEEDED


@dataclass(slots=True)
class StepView:
    """What is known of a step, for the eye."""

    name: str
    verb: str = ""
    word: str = "waiting"
    engine: str = ""
    message: str = ""
    fraction: float | None = None
    began: float = 0.0
    seconds: float | None = None


@dataclass(slots=True)
class View:
    """What is known of an operation, gathered from its events.

    Attributes:
        steps: Its steps by name, in order.
        summary: For programs: names, chain, state and outputs; `whole` adds the rest.
        state: Where it stands; None while nothing was seen of it.
        diagnostics: What was said at its end, or at the end of the last step that failed.
    """

    steps: dict[str, StepView] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    state: int | None = None
    diagnostics: list[diagnostic_pb2.Diagnostic] = field(default_factory=list)
    reattached: list[dict[str, str]] = field(default_factory=list)

    @property
    def operation(self) -> str:
        """The operation's name; empty while it is not known."""
        return str(self.summary.get("operation", ""))

    def see(self, happening: Happening, now: float) -> str:
        """Take in what happened; answer a line for people, empty where there is nothing to say."""
        if isinstance(happening, Reattached):
            self.reattached.append({"router": happening.router, "reason": happening.reason})
            return f"re-attached to router {happening.router} ({happening.reason})"
        self.summary.setdefault("operation", happening.operation)
        kind = happening.WhichOneof("kind") or ""
        reader = getattr(self, f"_{kind}", None)
        return str(reader(getattr(happening, kind), happening, now)) if reader else ""

    def _admitted(
        self, e: operation_pb2.OperationAdmitted, event: operation_pb2.OperationEvent, _: float
    ) -> str:
        self.state = operation_pb2.Operation.STATE_RUNNING
        self.summary |= {
            "verb": enum_word(operation_pb2.Verb, e.verb, "VERB_"),
            "resource": e.resource,
            "workload": e.workload,
            "chain": e.chain,
            "arm": e.arm,
            "bucket": e.bucket,
        }
        self.steps = {step: StepView(step) for step in e.steps}
        return f"{last(event.operation)}: {last(e.resource)} on {last(e.chain)} (bucket {e.bucket})"

    def _step_started(self, e: operation_pb2.StepStarted, _: Any, now: float) -> str:
        step = self._step(e.step)
        step.word, step.engine, step.began = "running", f"{e.engine} {e.version}", now
        step.seconds, step.fraction, step.message = None, None, ""
        step.verb = enum_word(operation_pb2.Verb, e.verb, "VERB_")
        attempt = f", attempt {e.attempt}" if e.attempt > 1 else ""
        # A step that is taken back would look like one that is done.
        verb = "" if step.verb == self.summary.get("verb") else f"{step.verb} by "
        return f"{e.step}: {verb}{e.engine} {e.version} on {last(e.instance)}{attempt}"

    def _step_progress(self, e: operation_pb2.StepProgress, *_: Any) -> str:
        step = self._step(e.step)
        step.message = printable(" ".join(e.message.split()))
        step.fraction = e.fraction if e.HasField("fraction") else None
        return ""

    def _step_log(self, e: operation_pb2.StepLog, *_: Any) -> str:
        self._step(e.step).message = printable(" ".join(e.line.split()))
        return ""

    def _step_ended(self, e: operation_pb2.StepEnded, *_: Any) -> str:
        step = self._step(e.step)
        step.word = enum_word(diagnostic_pb2.Outcome, e.outcome, "OUTCOME_")
        step.seconds = e.duration.seconds + e.duration.nanos / 1e9
        step.fraction, step.message = (1.0 if e.outcome == _SUCCEEDED else None), ""
        if e.outcome != _SUCCEEDED:
            self.diagnostics = list(e.diagnostics)
        findings = "".join(f"\n  {describe(d)}" for d in e.diagnostics)
        again = "; it is tried again" if e.HasField("retry_time") else ""
        return f"{e.step}: {step.word} after {step.seconds:.1f} s{again}{findings}"

    def _adopted(self, e: operation_pb2.OperationAdopted, *_: Any) -> str:
        return f"adopted by router {e.router}: {e.reason}"

    def _state_changed(self, e: operation_pb2.OperationStateChanged, *_: Any) -> str:
        self.state = e.state
        word = enum_word(operation_pb2.Operation.State, e.state, "STATE_")
        self.summary["state"] = word
        return f"{word}: {e.reason}"

    def _ended(self, e: operation_pb2.OperationEnded, *_: Any) -> str:
        self.state = e.state
        self.diagnostics = list(e.diagnostics) or self.diagnostics
        self.summary["state"] = enum_word(operation_pb2.Operation.State, e.state, "STATE_")
        self.summary["outputs"] = {name: plain(value) for name, value in sorted(e.outputs.items())}
        return ""

    def take(self, operation: operation_pb2.Operation) -> None:
        """Take in a whole operation, where the events that were asked for say too little."""
        self.state = operation.state
        self.summary |= {
            "operation": operation.name,
            "verb": enum_word(operation_pb2.Verb, operation.verb, "VERB_"),
            "resource": operation.resource,
            "workload": operation.workload,
            "chain": operation.chain,
            "arm": operation.arm,
            "bucket": operation.bucket,
            "state": enum_word(operation_pb2.Operation.State, operation.state, "STATE_"),
            "outputs": {name: plain(value) for name, value in sorted(operation.outputs.items())},
        }

    def whole(self) -> dict[str, Any]:
        """Answer the summary, for programs."""
        steps = [
            {"step": s.name, "verb": s.verb, "engine": s.engine, "outcome": s.word, "seconds": s.seconds}
            for s in self.steps.values()
        ]
        diagnostics = [plain(diagnostic) for diagnostic in self.diagnostics]
        return {**self.summary, "diagnostics": diagnostics, "steps": steps, "reattached": self.reattached}

    def _step(self, name: str) -> StepView:
        return self.steps.setdefault(name, StepView(name))


def describe(diagnostic: diagnostic_pb2.Diagnostic) -> str:
    """Write a diagnostic for people."""
    place = f" at {diagnostic.path}" if diagnostic.path else ""
    remedy = f" → {diagnostic.remedy}" if diagnostic.remedy else ""
    detail = f"\n    {diagnostic.detail.strip()}" if diagnostic.detail else ""
    return printable(f"{diagnostic.summary}{place} ({diagnostic.domain}/{diagnostic.code}){remedy}{detail}")


def printable(text: str) -> str:
    """Answer what a tool said without control characters, with which it could play with the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "·" for char in text)


class Display(Protocol):
    """Shows a view. A context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End; what was shown stays."""

    def show(self, view: View, line: str) -> None:
        """Show what has changed; `line` says it in words, or is empty."""


class LineDisplay:
    """Plain lines, for logs and pipes; none at all where it is `silent`."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def show(self, view: View, line: str) -> None:  # noqa: ARG002 - a line stands for itself
        """Write the line, if there is one."""
        if line and not self._silent:
            click.echo(line, err=True)


def display(*, quiet: bool) -> Display:
    """Choose how to show progress: live on a terminal, lines elsewhere, nothing where quiet is wanted."""
    if quiet or not sys.stderr.isatty():
        return LineDisplay(silent=quiet)
    from enchain.cli.live import LiveDisplay  # noqa: PLC0415 - pipes do without rich

    return LiveDisplay()
