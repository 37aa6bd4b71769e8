"""What the suite found, as JSON for programs and as a table for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from enchain.engine.v1 import engine_pb2 as protocol_pb2
from enchain.v1 import engine_pb2

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

PROTOCOL = protocol_pb2.DESCRIPTOR.package

_STYLES = {PASSED: "green", FAILED: "bold red", SKIPPED: "dim"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one check.

    Attributes:
        status: `passed`, `failed` or `skipped`.
        why: Empty where it passed.
    """

    name: str
    rule: str
    status: str
    why: str
    seconds: float


@dataclass(slots=True)
class Report:
    """What became of all checks.

    Attributes:
        implementation: The engine's name.
        left_behind: Work ids of what the suite made and could not destroy.
    """

    started: datetime
    implementation: str = ""
    version: str = ""
    tool: str = ""
    capabilities: Sequence[str] = ()
    checks: list[Verdict] = field(default_factory=list)
    left_behind: Sequence[str] = ()

    def describe(self, instance: engine_pb2.EngineInstance) -> None:
        """Take down who was tested."""
        self.implementation, self.version, self.tool = instance.engine, instance.version, instance.tool
        known = engine_pb2.Capability.values()
        self.capabilities = [
            engine_pb2.Capability.Name(value) if value in known else str(value)
            for value in instance.capabilities
        ]

    def count(self, status: str) -> int:
        """Count the checks of a status."""
        return sum(verdict.status == status for verdict in self.checks)

    @property
    def conforms(self) -> bool:
        """Nothing failed."""
        return self.count(FAILED) == 0

    def to_json(self) -> str:
        """Answer the report as JSON."""
        document: dict[str, Any] = {
            "implementation": self.implementation,
            "version": self.version,
            "tool": self.tool,
            "capabilities": list(self.capabilities),
            "protocol": PROTOCOL,
            "started": self.started.isoformat(),
            "checks": [
                {
                    "name": verdict.name,
                    "rule": verdict.rule,
                    "status": verdict.status,
                    "why": verdict.why,
                    "seconds": round(verdict.seconds, 3),
                }
                for verdict in self.checks
            ],
            PASSED: self.count(PASSED),
            FAILED: self.count(FAILED),
            SKIPPED: self.count(SKIPPED),
            "left_behind": list(self.left_behind),
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def show(self, console: Console) -> None:
        """Print the table."""
        title = f"{self.implementation or 'nobody'} {self.version} against {PROTOCOL}".replace("  ", " ")
        table = Table(title=title, title_justify="left", title_style="bold", show_edge=False)
        table.add_column("check", no_wrap=True)
        table.add_column("status")
        table.add_column("s", justify="right")
        table.add_column("why", overflow="fold")
        for verdict in self.checks:
            style = _STYLES[verdict.status]
            status = f"[{style}]{verdict.status}[/]"
            table.add_row(verdict.name, status, f"{verdict.seconds:.1f}", _plain(verdict.why))
        console.print(table)
        counts = ", ".join(f"{self.count(status)} {status}" for status in (PASSED, FAILED, SKIPPED))
        console.print(f"\n{counts}", highlight=False)
        for work_id in self.left_behind:
            console.print(f"left behind: {work_id}", highlight=False, markup=False)


def _plain(text: str) -> str:
    """Let nothing in a text be taken for markup."""
    return text.replace("[", r"\[")
