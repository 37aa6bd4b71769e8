"""What a step would do to a service: files, command and port, compared with what stands.

The engine calls it for Plan and, for a digest to compare, before it applies a plan. Pure.
"""

from collections.abc import Iterator, Mapping

from enchain.chains.values import Json
from enchain.engines.process.spec import Spec, digest
from enchain.v1 import provisioning_pb2

Change = provisioning_pb2.PlannedChange


def plan_digest(inputs: Mapping[str, Json], standing: Spec | None, *, port: int | None, running: bool) -> str:
    """Answer the digest of a plan: of what is asked for, and of what it was made against."""
    return digest([inputs, standing.to_json() if standing else None, port, running])


def plan_apply(wanted: Spec, standing: Spec | None, *, port: int | None, needs_port: bool) -> list[Change]:
    """Answer the changes that bring `wanted` about.

    Args:
        wanted: The service as asked for.
        standing: As it stands, and runs; None where it does not.
        port: The port that it has.
        needs_port: Whether it is to have one.
    """
    changes = list(_file_changes(wanted.files, standing.files if standing else {}))
    changes.append(_process_change(wanted, standing))
    if needs_port and port is None:
        changes.append(Change(action=Change.ACTION_CREATE, address="port", detail="allotted from the range"))
    if port is not None and not needs_port:
        changes.append(Change(action=Change.ACTION_DELETE, address="port", detail=str(port)))
    return changes


def plan_destroy(standing: Spec | None, *, port: int | None) -> list[Change]:
    """Answer the changes that remove a service."""
    if standing is None:
        return []
    changes = [Change(action=Change.ACTION_DELETE, address="process", detail=command_line(standing))]
    changes += [Change(action=Change.ACTION_DELETE, address=_file(path)) for path in sorted(standing.files)]
    if port is not None:
        changes.append(Change(action=Change.ACTION_DELETE, address="port", detail=str(port)))
    return changes


def summary_of(changes: list[Change]) -> str:
    """Answer the changes in one line."""
    counts = {
        word: sum(change.action in actions for change in changes)
        for word, actions in (
            ("to make", {Change.ACTION_CREATE}),
            ("to change", {Change.ACTION_UPDATE, Change.ACTION_REPLACE}),
            ("to remove", {Change.ACTION_DELETE}),
        )
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing to do"


def command_line(spec: Spec) -> str:
    """Answer a service's command for people, cut where it is long."""
    text = " ".join(repr(part) if " " in part or not part.isprintable() else part for part in spec.argv)
    return text if len(text) <= 200 else f"{text[:199]}…"  # noqa: PLR2004 - a line or two on a screen


def _file_changes(wanted: Mapping[str, str], standing: Mapping[str, str]) -> Iterator[Change]:
    for path in sorted(wanted.keys() | standing.keys()):
        if path not in wanted:
            yield Change(action=Change.ACTION_DELETE, address=_file(path))
        elif path not in standing:
            size = len(wanted[path].encode())
            yield Change(action=Change.ACTION_CREATE, address=_file(path), detail=f"{size} bytes")
        elif wanted[path] != standing[path]:
            size = len(wanted[path].encode())
            yield Change(action=Change.ACTION_UPDATE, address=_file(path), detail=f"{size} bytes")


def _process_change(wanted: Spec, standing: Spec | None) -> Change:
    command = command_line(wanted)
    if standing is None:
        return Change(action=Change.ACTION_CREATE, address="process", detail=command)
    if wanted.runtime_digest() != standing.runtime_digest():
        return Change(action=Change.ACTION_REPLACE, address="process", detail=f"{command} (it is restarted)")
    same = wanted.to_json() == standing.to_json()
    action = Change.ACTION_NONE if same else Change.ACTION_UPDATE
    return Change(action=action, address="process", detail=command)


def _file(path: str) -> str:
    return f"files/{path}"
