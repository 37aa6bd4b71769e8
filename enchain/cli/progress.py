"""Show an operation while it runs.

A line a step, redrawn in place, on a terminal; plain lines elsewhere; the summary at the end.

Provisioning commands feed it events. It writes to standard error, so that standard output is the answer
alone.
"""

import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from enchain.cli.output import enum_word, last, plain
from enchain.client import Reattached
from enchain.client.following import Happening
from enchain.v1 import diagnostic_pb2, operation_pb2

_SUCCEEDED = diagnostic_pb2.OUTCOME_SUCCEEDED


@dataclass(slots=True)
class StepView:
    """What is known of a step, for the eye."""

    name: str
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
        summary: For programs: names, chain, state, outputs, diagnostics, steps, re-attachments.
        state: Where it stands.
    """

    steps: dict[str, StepView] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=lambda: {"reattached": []})
    state: int = operation_pb2.Operation.STATE_RUNNING
    finished: bool = False

    def see(self, happening: Happening, now: float) -> str:
        """Take in what happened; answer a line for people, empty where there is nothing to say."""
        if isinstance(happening, Reattached):
            self.summary["reattached"].append({"router": happening.router, "reason": happening.reason})
            return f"re-attached to router {happening.router} ({happening.reason})"
        kind = happening.WhichOneof("kind") or ""
        reader = getattr(self, f"_{kind}", None)
        return str(reader(getattr(happening, kind), happening, now)) if reader else ""

    def _admitted(
        self, e: operation_pb2.OperationAdmitted, event: operation_pb2.OperationEvent, _: float
    ) -> str:
        self.summary |= {
            "operation": event.operation,
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
        attempt = f", attempt {e.attempt}" if e.attempt > 1 else ""
        return f"{e.step}: {e.engine} {e.version} on {e.instance}{attempt}"

    def _step_progress(self, e: operation_pb2.StepProgress, *_: Any) -> str:
        step = self._step(e.step)
        step.message = e.message
        step.fraction = e.fraction if e.HasField("fraction") else None
        return ""

    def _step_log(self, e: operation_pb2.StepLog, *_: Any) -> str:
        self._step(e.step).message = e.line
        return ""

    def _step_ended(self, e: operation_pb2.StepEnded, *_: Any) -> str:
        step = self._step(e.step)
        step.word = enum_word(diagnostic_pb2.Outcome, e.outcome, "OUTCOME_")
        step.seconds = e.duration.seconds + e.duration.nanos / 1e9
        step.fraction = 1.0 if e.outcome == _SUCCEEDED else step.fraction
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
        self.state, self.finished = e.state, True
        self.summary["state"] = enum_word(operation_pb2.Operation.State, e.state, "STATE_")
        self.summary["outputs"] = {name: plain(value) for name, value in sorted(e.outputs.items())}
        self.summary["diagnostics"] = [plain(d) for d in e.diagnostics]
        self.summary["steps"] = [
            {"step": s.name, "engine": s.engine, "outcome": s.word, "seconds": s.seconds}
            for s in self.steps.values()
        ]
        return ""

    def _step(self, name: str) -> StepView:
        return self.steps.setdefault(name, StepView(name))


def describe(diagnostic: diagnostic_pb2.Diagnostic) -> str:
    """Write a diagnostic for people."""
    place = f" at {diagnostic.path}" if diagnostic.path else ""
    remedy = f" → {diagnostic.remedy}" if diagnostic.remedy else ""
    detail = f"\n    {diagnostic.detail.strip()}" if diagnostic.detail else ""
    return f"{diagnostic.summary}{place} ({diagnostic.domain}/{diagnostic.code}){remedy}{detail}"


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


class LiveDisplay:
    """A line a step, redrawn in place on a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=8)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time and leave it standing."""
        self._live.__exit__(None, None, None)

    def show(self, view: View, line: str) -> None:
        """Write the line above, redraw the steps below."""
        if line:
            self._console.print(line, highlight=False, markup=False)
        self._live.update(_drawn(view, time.monotonic()))


_STYLES = {"succeeded": "green", "running": "cyan", "waiting": "dim"}


def _drawn(view: View, now: float) -> Table:
    table = Table.grid(padding=(0, 2))
    for step in view.steps.values():
        style = _STYLES.get(step.word, "red")
        seconds = step.seconds if step.seconds is not None else now - step.began if step.began else 0.0
        bar = "" if step.fraction is None else f"{step.fraction:4.0%}"
        row = (step.name, step.engine, step.word, f"{seconds:5.1f} s", bar, step.message[:60])
        table.add_row(*(Text(cell, style=style if i == 2 else "") for i, cell in enumerate(row)))  # noqa: PLR2004 - the word
    return table


def display(*, quiet: bool) -> Display:
    """Choose how to show progress: live on a terminal, lines elsewhere, nothing where quiet is wanted."""
    return LiveDisplay() if sys.stderr.isatty() and not quiet else LineDisplay(silent=quiet)
