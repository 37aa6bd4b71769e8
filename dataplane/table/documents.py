"""One key under `table/` as a router reads it: where it belongs, what it says or what is wrong with it. Pure.

`table` calls it for every key that changes. A document is read and checked once; what is decided about the
workload as a whole is decided in `table`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from enchain.chains import chains, routes
from enchain.chains.decision_names import EXPERIMENT, ExperimentName
from enchain.chains.enrolment import IN_FORCE, enrolment_of
from enchain.chains.errors import EnchainError, MalformedError
from enchain.chains.names import (
    CHAIN,
    ENGINE,
    REVISION,
    WORKLOAD,
    ChainName,
    IdRule,
    check_id,
    engine_name,
    workload_name,
)
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import KeyValue
from enchain.v1 import chain_pb2, engine_pb2, experiment_pb2, workload_pb2

REASON_CHARACTERS_MAX = 400
"""A refusal is shown in a router's presence, which holds many; the log has it whole."""

N = TypeVar("N", workload_pb2.Workload, engine_pb2.Engine, experiment_pb2.Experiment)

Content = (
    workload_pb2.Workload | chain_pb2.Chain | chain_pb2.Route | engine_pb2.Engine | experiment_pb2.Experiment
)

PASSED_OVER = (keys.LAYERS,)
"""Prefixes that routers do not act on. What lies under them is passed over and refuses nothing."""


@dataclass(frozen=True, slots=True)
class Document:
    """A key as it was read last.

    Attributes:
        key: The key.
        revision: When it was written.
        content: What it says, in full; None where it is faulty.
        fault: Why it is refused; empty where it is not.
    """

    key: str
    revision: int
    content: Content | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key belongs.

    Attributes:
        workload: Id of the workload that it is a part of; empty where it belongs to none.
        passed_over: It lies under a prefix that routers do not act on.
    """

    workload: str
    passed_over: bool = False


Read = Callable[[KeyValue], Document]
"""`read`, or what remembers what it answered."""


def place_of(key: str) -> Place:
    """Say where a key belongs, however faulty the rest of it is."""
    if key.startswith(PASSED_OVER):
        return Place("", passed_over=True)
    for prefix in (keys.WORKLOADS, keys.CHAINS, keys.ROUTES, keys.EXPERIMENTS):
        if key.startswith(prefix):
            workload = keys.parts(key, prefix)[0]
            return Place(workload if WORKLOAD.pattern.fullmatch(workload) else "")
    return Place("")


def read(item: KeyValue) -> Document:
    """Read and check one key by itself. What is wrong becomes the document's fault; nothing is raised."""
    try:
        return Document(item.key, item.mod_revision, _content(item))
    except EnchainError as error:
        return Document(item.key, item.mod_revision, None, fault_text(error))
    except Exception as error:  # noqa: BLE001 - whatever somebody put there, it must not stop the router
        fault = MalformedError(f"{item.key} cannot be read: {error!r}", reason="UNREADABLE")
        return Document(item.key, item.mod_revision, None, fault_text(fault))


def fault_text(error: EnchainError) -> str:
    """Say why something is refused, in one line that fits into a router's presence."""
    where = next((f"{fault.field}: " for fault in error.violations if fault.field), "")
    text = f"{error.reason}: {where if where not in error.message else ''}{error.message}"
    return shortened(text)


def shortened(text: str) -> str:
    """Make one line of a text, short enough for a router's presence."""
    flat = " ".join(text.split())
    return flat if len(flat) <= REASON_CHARACTERS_MAX else f"{flat[: REASON_CHARACTERS_MAX - 1]}…"


def _content(item: KeyValue) -> Content:
    key, value = item.key, item.value
    if key.startswith(keys.CHAINS):
        name = ChainName(*_ids(key, keys.CHAINS, WORKLOAD, CHAIN, REVISION))
        return chains.check(decode(chain_pb2.Chain, value, key=key), key=name)
    if key.startswith(keys.ROUTES):
        (workload,) = _ids(key, keys.ROUTES, WORKLOAD)
        return routes.check(decode(chain_pb2.Route, value, key=key), workload=workload)
    if key.startswith(keys.WORKLOADS):
        (workload,) = _ids(key, keys.WORKLOADS, WORKLOAD)
        return _named(decode(workload_pb2.Workload, value, key=key), workload_name(workload), key)
    if key.startswith(keys.EXPERIMENTS):
        of = ExperimentName(*_ids(key, keys.EXPERIMENTS, WORKLOAD, EXPERIMENT))
        return _checked(_named(decode(experiment_pb2.Experiment, value, key=key), str(of), key), of.workload)
    if key.startswith(keys.ENGINES):
        (engine,) = _ids(key, keys.ENGINES, ENGINE)
        return _named(decode(engine_pb2.Engine, value, key=key), engine_name(engine), key)
    raise MalformedError(
        f"{key} is no key of the table", reason="UNKNOWN_KEY", remedy="Delete it.", metadata={"key": key}
    )


def _checked(experiment: experiment_pb2.Experiment, workload: str) -> experiment_pb2.Experiment:
    """Pass one that can be acted on; drafts and those that are over are not looked into."""
    if experiment.state in IN_FORCE:
        enrolment_of([experiment])
        for index, arm in enumerate(experiment.arms):
            name = ChainName.parse(arm.chain, f"arms[{index}].chain", whole=True)
            if name.workload != workload:
                raise MalformedError(f"{arm.chain} is no chain of {workload}", reason="OTHER_WORKLOAD")
    return experiment


def _ids(key: str, prefix: str, *rules: IdRule) -> list[str]:
    found = keys.parts(key, prefix)
    if len(found) != len(rules):
        raise MalformedError(
            f"{key} is no key of the table: {len(rules)} parts belong after {prefix}",
            reason="UNKNOWN_KEY",
            remedy="Delete it.",
            metadata={"key": key},
        )
    return [check_id(rule, part, "key") for rule, part in zip(rules, found, strict=True)]


def _named(message: N, name: str, key: str) -> N:
    """Answer a message under the name that its key gives it."""
    if message.name not in ("", name):
        raise MalformedError(
            f"{key} holds {message.name}, which belongs under another key",
            reason="OTHER_NAME",
            remedy="Leave the name out, or put it under its own key.",
            metadata={"key": key, "name": message.name},
        )
    message.name = name
    return message
