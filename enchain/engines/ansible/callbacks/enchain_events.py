"""Ansible's callback plugin that tells the engine what happens, one JSON object a line. Ansible loads it.

Standard output is for these lines alone: at its start the plugin sends all else that Ansible prints to
standard error, so that no text of a task can pass for an event. It imports nothing of enchain, decides
nothing, and never raises: a playbook must not fail because somebody listens.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: enchain_events
    type: stdout
    short_description: tells the enchain engine what happens
    description: one JSON object a line on standard output
"""

TEXT_CHARS_MAX = 2000
LINE_BYTES_MAX = 60_000
HOSTS_MAX = 200
_CHECK_MODE = "check mode"


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible ships no types
    """Turns Ansible's events into lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "enchain_events"
    CALLBACK_NEEDS_ENABLED = True  # else Ansible makes it twice

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._events = os.dup(1)
        os.dup2(2, 1)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Say how many tasks there are; those that are included on the way are not known yet."""
        tasks = 0
        with contextlib.suppress(Exception):
            tasks = sum(_count(block) for play in playbook.get_plays() for block in play.compile())
        self._tell(event="start", tasks=tasks)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Say that a play begins."""
        del play
        self._tell(event="play")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: FBT001 - Ansible's
        """Say which task begins."""
        del is_conditional
        self._tell(event="task", name=_text(task.get_name()))

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Say which handler begins."""
        self._tell(event="task", name=_text(task.get_name()))

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Say that a play has no hosts."""
        self._tell(event="no_hosts")

    def v2_runner_on_ok(self, result: Any) -> None:
        """Say that a task went well."""
        self._ended(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002 - Ansible's
        """Say that a task failed."""
        self._ended(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Say that a host could not be reached."""
        self._ended(result, "ignored" if result.task.ignore_unreachable else "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Say that a task was skipped."""
        self._ended(result, "skipped")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Say how each host came out, and what the plays set as stats."""
        hosts = sorted(stats.processed)
        self._tell(
            event="stats",
            hosts={host: stats.summarize(host) for host in hosts[:HOSTS_MAX]},
            outputs=stats.custom.get("_run", {}),
            by_host={host: said for host, said in stats.custom.items() if host != "_run"},
        )

    def _ended(self, result: Any, status: str) -> None:
        said = result.result
        file, _, line = str(result.task.get_path() or "").rpartition(":")
        failed = next(_failures(said), said) if status in {"failed", "unreachable", "ignored"} else said
        self._tell(
            event="ended",
            status=status,
            host=_text(result.host.get_name()),
            task=_text(result.task.get_name()),
            action=_text(result.task.action),
            changed=bool(said.get("changed")),
            foretold=not (status == "skipped" and _CHECK_MODE in str(said.get("msg", ""))),
            msg=_text(failed.get("msg") or failed.get("censored") or ""),
            output=_text(failed.get("stderr") or failed.get("module_stderr") or failed.get("stdout") or ""),
            rc=failed.get("rc") if isinstance(failed.get("rc"), int) else None,
            file=file,
            line=int(line) if line.isdigit() else 0,
            change=_change(said),
            place=_place(said),
        )

    def _tell(self, **event: Any) -> None:
        line = json.dumps(event, default=str, ensure_ascii=True).encode()
        if len(line) > LINE_BYTES_MAX:
            line = json.dumps({"event": event["event"], "too_large": len(line)}).encode()
        with contextlib.suppress(OSError):
            os.write(self._events, line + b"\n")


def _count(block: Any) -> int:
    return sum(
        _count(item) if hasattr(item, "block") else not getattr(item, "implicit", False)
        for item in (*block.block, *block.always)
    )


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[: TEXT_CHARS_MAX - 1]}…"


def _failures(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Answer the items of a loop that failed."""
    for item in said.get("results") or []:
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            yield item


def _diffs(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = said.get("diff") or []
    for item in said.get("results") or []:
        if isinstance(item, dict) and item.get("changed") and item.get("diff"):
            found = item["diff"]
            break
    return [diff for diff in (found if isinstance(found, list) else [found]) if isinstance(diff, dict)]


def _change(said: Mapping[str, Any]) -> str:
    """Name the change: what was not there is created, what will not be there is deleted."""
    for diff in _diffs(said):
        before, after = diff.get("before"), diff.get("after")
        if _absent(before) and not _absent(after):
            return "create"
        if _absent(after) and not _absent(before):
            return "delete"
    return "update"


def _absent(side: Any) -> bool:
    return side.get("state") == "absent" if isinstance(side, dict) else side == ""


def _place(said: Mapping[str, Any]) -> str:
    """Say what is changed, but not its content, which may be secret."""
    for diff in _diffs(said):
        for side in (diff.get("after"), diff.get("before")):
            if isinstance(side, dict) and side.get("path"):
                return _text(side["path"])
        for header in (diff.get("after_header"), diff.get("before_header")):
            if header:
                return _text(header)
    return ""
