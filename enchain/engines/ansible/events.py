"""What a playbook's run tells: progress, changes, failures, outputs. Pure; `session.py` feeds it.

The lines come from our callback plugin, by a courier that keeps them apart from what Ansible prints.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from enchain.chains.values import Json
from enchain.sdk.courier import Kind
from enchain.sdk.port import Finding, StepFailedError
from enchain.v1.provisioning_pb2 import PlannedChange

FINDINGS_MAX = 16
CHANGES_MAX = 200
LAST_LINES = 20
_LINE_CHARS = 300

HARMLESS = frozenset(
    {"assert", "debug", "fail", "gather_facts", "meta", "set_fact", "set_stats", "setup", "stat"}
    | {
        "validate_argument_spec",
        "include_vars",
        "include_tasks",
        "include_role",
        "import_tasks",
        "import_role",
    }
)
"""Actions that make nothing: a run that came no further has left nothing behind."""

_ACTIONS = {
    "create": PlannedChange.ACTION_CREATE,
    "update": PlannedChange.ACTION_UPDATE,
    "delete": PlannedChange.ACTION_DELETE,
}
_ERROR = "[ERROR]: "
_UNREACHABLE = 4


@dataclass(frozen=True, slots=True)
class Told:
    """What a line asks for: progress with its fraction, or a line for the log."""

    progress: tuple[str, float | None] | None = None
    log: str = ""


class Reading:
    """Takes the lines of one run in their order.

    Args:
        root: Where the playbook's folder lies; places below it are told from there.

    Attributes:
        touched: Something may have been made.
        changes: What was changed, or in check mode would be.
        unforetold: Tasks of which check mode cannot tell what they would do.
        outputs: What `set_stats` set.
    """

    def __init__(self, root: PurePath) -> None:
        self._root = root
        self._tasks = self._begun = 0
        self._plays = self._empty_plays = 0
        self._failures: list[Finding] = []
        self._unreachable = 0
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._stats: Mapping[str, Any] | None = None
        self._not_started = ""
        self.touched = False
        self.changes: list[PlannedChange] = []
        self.unforetold = 0

    def feed(self, kind: Kind, text: str) -> Told:
        """Take a line; answer what it asks for."""
        if kind is Kind.NOT_STARTED:
            self._not_started = text
        if kind is not Kind.ANSWER:
            self._lines.append(text[:_LINE_CHARS])
            return Told(log=text)
        event = json.loads(text)
        match event["event"]:
            case "start":
                self._tasks = int(event.get("tasks", 0))
            case "task" if "name" in event:
                return self._task(event["name"])
            case "ended" if "status" in event:
                return self._ended(event)
            case "ended":
                self.touched = True  # too large to be told in full
            case "play":
                self._plays += 1
            case "no_hosts":
                self._empty_plays += 1
            case "stats":
                self._stats = event
        return Told()

    @property
    def outputs(self) -> dict[str, Json]:
        """Answer what `set_stats` set; what was set for single hosts stands under `hosts`."""
        stats = self._stats or {}
        by_host = stats.get("by_host") or {}
        return {**({"hosts": by_host} if by_host else {}), **(stats.get("outputs") or {})}

    def failure(self, returncode: int) -> StepFailedError | None:
        """Answer why it failed; None where it did not."""
        stats = self._stats
        if self._not_started:
            return StepFailedError(Finding(self._not_started, "ANSIBLE_NOT_STARTED"), left_behind=False)
        if returncode != 0:
            return self._failed(returncode)
        if stats is None:
            return StepFailedError(Finding("ansible-playbook ended without saying how", "TOOL_FAILED"))
        if "too_large" in stats:
            return StepFailedError(_outputs_too_large(stats["too_large"]), left_behind=self.touched)
        if self._plays == self._empty_plays:
            return StepFailedError(_no_hosts(), left_behind=False)
        return None

    def _task(self, name: str) -> Told:
        self._begun += 1
        total = max(self._tasks, self._begun)
        fraction = (self._begun - 1) / total if self._tasks else None
        return Told(progress=(f"task {self._begun} of {total}: {name}", fraction), log=f"TASK [{name}]")

    def _ended(self, event: Mapping[str, Any]) -> Told:
        status, host, task = event["status"], event["host"], event["task"]
        action = event["action"].rpartition(".")[2]
        if status not in {"skipped", "unreachable"} and (event["changed"] or action not in HARMLESS):
            self.touched = True
        if not event["foretold"]:
            self.unforetold += 1
        elif event["changed"] and status == "ok":
            self._change(event)
        if status in {"failed", "unreachable"}:
            self._unreachable += status == "unreachable"
            if len(self._failures) < FINDINGS_MAX:
                self._failures.append(self._finding(event))
        word = "changed" if status == "ok" and event["changed"] else status
        return Told(log=f"{word}: [{host}] {task}" + (f": {event['msg']}" if status == "failed" else ""))

    def _change(self, event: Mapping[str, Any]) -> None:
        if len(self.changes) < CHANGES_MAX:
            self.changes.append(
                PlannedChange(
                    action=_ACTIONS[event["change"]],
                    address=f"{event['host']}: {event['task']}",
                    detail=event["place"],
                )
            )

    def _finding(self, event: Mapping[str, Any]) -> Finding:
        unreachable = event["status"] == "unreachable"
        said = event["msg"] or "it failed and does not say why"
        parts = [f"{event['action']} on {event['host']}", event["msg"], event["output"]]
        return Finding(
            summary=f"{event['task']}: {said.splitlines()[0]}",
            code="HOST_UNREACHABLE" if unreachable else "TASK_FAILED",
            detail="\n".join(part for part in parts if part),
            remedy="Let this host be reached, then retry." if unreachable else "",
            exit_code=event["rc"],
            file=self._file(event["file"]),
            line=event["line"],
        )

    def _file(self, file: str) -> str:
        path = PurePath(file)
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.name

    def _failed(self, returncode: int) -> StepFailedError:
        said = "\n".join(self._lines)
        if returncode < 0:
            summary = f"ansible-playbook was killed by signal {-returncode}"
            return StepFailedError(Finding(summary, "TOOL_KILLED", said), *self._failures)
        if not self._failures:
            return StepFailedError(self._invalid(returncode, said), left_behind=self.touched)
        retryable = returncode == _UNREACHABLE and self._unreachable == len(self._failures)
        return StepFailedError(*self._failures, left_behind=self.touched, retryable=retryable)

    def _invalid(self, returncode: int, said: str) -> Finding:
        """Say what Ansible complained of before any task failed: most likely the playbook cannot be read."""
        errors = [line.removeprefix(_ERROR) for line in self._lines if line.startswith(_ERROR)]
        return Finding(
            errors[0] if errors else f"ansible-playbook ended with exit code {returncode}",
            code="PLAYBOOK_INVALID" if errors and not self._begun else "TOOL_FAILED",
            detail=said,
            remedy="Try `ansible-playbook --syntax-check` on the playbook.",
            exit_code=returncode,
        )


def _no_hosts() -> Finding:
    return Finding(
        "no host of the inventory is one of the plays' hosts, so nothing was done",
        code="NO_HOSTS",
        path="inputs.inventory",
        remedy="Write `hosts: all` or `hosts: localhost`, or name an inventory that has the hosts.",
    )


def _outputs_too_large(size: int) -> Finding:
    return Finding(
        f"what the playbook set with set_stats takes {size} bytes",
        code="OUTPUTS_TOO_LARGE",
        remedy="Answer where large content lies instead of the content.",
    )
