"""Engines: what was written about them, and which instances of them run.

`controlplane.rpc.engines` calls it. An engine needs no document: one that merely has instances is listed too.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial

from controlplane.catalog import instances as running
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, readable, same, scan, write
from controlplane.catalog.masks import merged, without
from controlplane.catalog.paging import Page, cut
from controlplane.catalog.revisions import name_of
from enchain.chains.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
    Violation,
)
from enchain.chains.names import engine_id, engine_name
from enchain.state import keys
from enchain.state.store import Delete, Store
from enchain.v1 import chain_pb2, engine_pb2

OUTPUT_ONLY = frozenset({"name", "etag", "create_time", "update_time", "instances"})
ARGUMENTS_MAX = 64
EXAMPLES_MAX = 3

Engines = Sequence[engine_pb2.Engine]


class EngineCatalog:
    """All engines.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp

    async def create(
        self, engine: str, sent: engine_pb2.Engine, caller: Caller, *, validate_only: bool = False
    ) -> engine_pb2.Engine:
        """Write a new engine. Creating again what is there already answers it.

        Raises:
            AlreadyExistsError: There is another one of that name.
        """

        async def decide() -> Change[engine_pb2.Engine]:
            current = await self._read(engine)
            change = decide_save(engine, sent, current, self._stamp(), caller)
            if current is not None and change.writes:
                raise AlreadyExistsError(
                    f"{engine_name(engine)} exists and is another one",
                    reason="ENGINE_EXISTS",
                    remedy="Update it instead.",
                    metadata={"name": engine_name(engine)},
                )
            return change

        return await commit(self._store, decide, validate_only=validate_only)

    async def update(
        self,
        sent: engine_pb2.Engine,
        paths: Sequence[str],
        caller: Caller,
        *,
        allow_missing: bool = False,
        validate_only: bool = False,
    ) -> engine_pb2.Engine:
        """Replace the named fields of an engine's document.

        Raises:
            NotFoundError: There is no document, and `allow_missing` is not set.
            ConflictError: It has changed since it was read.
        """
        engine = engine_id(sent.name, "engine.name")

        async def decide() -> Change[engine_pb2.Engine]:
            current = await self._read(engine)
            if current is None and (sent.etag or not allow_missing):
                raise _not_found(engine)
            if current is not None:
                check_etag(sent.etag, current, engine_name(engine))
            stored = current.message if current is not None else engine_pb2.Engine()
            wanted = merged(stored, sent, paths, output_only=OUTPUT_ONLY)
            return decide_save(engine, wanted, current, self._stamp(), caller)

        return await commit(self._store, decide, validate_only=validate_only)

    async def get(self, engine: str) -> engine_pb2.Engine:
        """Answer an engine with its instances.

        Raises:
            NotFoundError: There is neither a document nor an instance.
        """
        current = await self._read(engine)
        live = await running.live(self._store, engine)
        if current is None and not live:
            raise _not_found(engine)
        return _shown(engine, current.message if current else None, live)

    async def list(self, page: Page) -> tuple[Engines, str]:
        """Answer a page of engines in the order of their names, and the token of the next."""
        items = [item async for item in scan(self._store, keys.ENGINES)]
        documents = {
            document.key.removeprefix(keys.ENGINES): document.message
            for document in readable(engine_pb2.Engine, items)
        }
        live = await running.live(self._store)
        names = sorted(documents.keys() | {instance.engine for instance in live})
        shown, token = cut(names, page, str)
        return [_shown(name, documents.get(name), live) for name in shown], token

    async def list_instances(self, engine: str, page: Page) -> tuple[running.Instances, str]:
        """Answer a page of the instances of an engine, or of all where it is empty, and the next token."""
        live = await running.live(self._store, engine)
        return cut(sorted(live, key=lambda instance: instance.name), page, lambda instance: instance.name)

    async def delete(self, engine: str, etag: str, caller: Caller, *, validate_only: bool = False) -> None:
        """Delete an engine's document. Its instances, if any, are left alone.

        Raises:
            NotFoundError: There is none.
            PreconditionError: A chain names it.
        """
        await commit(
            self._store, partial(self._decide_delete, engine, etag, caller), validate_only=validate_only
        )

    async def _decide_delete(self, engine: str, etag: str, caller: Caller) -> Change[None]:
        current = await self._read(engine)
        if current is None:
            raise _not_found(engine)
        check_etag(etag, current, engine_name(engine))
        named_by = [name async for name in _chains_naming(self._store, engine)]
        if named_by:
            raise PreconditionError(
                f"{engine_name(engine)} is named by {len(named_by)} chain revisions, "
                f"such as {', '.join(named_by[:EXAMPLES_MAX])}",
                reason="IN_USE",
                remedy="Delete those chains first.",
                metadata={"name": engine_name(engine), "chains": str(len(named_by))},
            )
        audit = record(self._stamp(), caller, engine_name(engine), before=current.message, after=None)
        return Change(None, (same(current, current.key),), (Delete(current.key),), audit)

    async def _read(self, engine: str) -> Document[engine_pb2.Engine] | None:
        return await read(self._store, engine_pb2.Engine, keys.engine(engine))


async def _chains_naming(store: Store, engine: str) -> AsyncIterator[str]:
    async for item in scan(store, keys.CHAINS):
        for document in readable(chain_pb2.Chain, [item]):
            if engine in running.engines_of(document.message):
                yield str(name_of(item.key) or item.key)


def decide_save(
    engine: str,
    wanted: engine_pb2.Engine,
    current: Document[engine_pb2.Engine] | None,
    stamp: Stamp,
    caller: Caller,
) -> Change[engine_pb2.Engine]:
    """Decide what to write for an engine: nothing where nothing differs.

    Raises:
        InvalidArgumentError: The document is wrong.
    """
    check(wanted)
    saved = engine_pb2.Engine()
    saved.CopyFrom(wanted)
    del saved.instances[:]
    saved.name = engine_name(engine)
    saved.create_time.FromDatetime(stamp.now)
    saved.update_time.FromDatetime(stamp.now)
    if current is not None:
        if not current.message.HasField("create_time"):
            saved.ClearField("create_time")
        else:
            saved.create_time.CopyFrom(current.message.create_time)
        if without(saved, OUTPUT_ONLY) == without(current.message, OUTPUT_ONLY):
            return Change(current.message)
    key = keys.engine(engine)
    put = write(key, saved)
    before = current.message if current is not None else None
    audit = record(stamp, caller, saved.name, before=before, after=saved)
    return Change(saved, (same(current, key),), (put,), audit)


def check(engine: engine_pb2.Engine) -> None:
    """Check what people write of an engine.

    Raises:
        InvalidArgumentError: Something is wrong; every fault is listed.
    """
    faults = list(_faults(engine))
    if faults:
        raise InvalidArgumentError(faults[0].description, reason=faults[0].reason, violations=faults)


def _faults(engine: engine_pb2.Engine) -> Iterable[Violation]:
    command = engine.launch.process
    if len(command) > ARGUMENTS_MAX:
        yield Violation("launch.process", f"it has more than {ARGUMENTS_MAX} arguments", "TOO_MANY")
    if command and not command[0]:
        yield Violation("launch.process[0]", "the command is empty", "REQUIRED")
    if engine.pool.min < 0:
        yield Violation("pool.min", "it is negative", "OUT_OF_RANGE")
    if engine.pool.max and engine.pool.max < engine.pool.min:
        yield Violation("pool.max", "it is less than pool.min", "OUT_OF_RANGE")
    for field in ("hour", "request"):
        price = getattr(engine.price, field)
        if price.units < 0 or price.nanos < 0:
            yield Violation(f"price.{field}", "it is negative", "OUT_OF_RANGE")


def _shown(engine: str, document: engine_pb2.Engine | None, live: running.Instances) -> engine_pb2.Engine:
    shown = engine_pb2.Engine(name=engine_name(engine))
    if document is not None:
        shown.CopyFrom(document)
        shown.name = engine_name(engine)
    shown.ClearField("instances")
    shown.instances.extend(instance for instance in live if instance.engine == engine)
    return shown


def _not_found(engine: str) -> NotFoundError:
    return NotFoundError(
        f"there is no {engine_name(engine)}",
        reason="ENGINE_NOT_FOUND",
        remedy="Write it, or start an instance of it.",
        metadata={"name": engine_name(engine)},
    )
