"""Documents in the store, each with the revision that it was read at.

All catalogues read and write through it. It never decides anything.

An etag is a digest of the stored bytes. It needs no field in the store, holds for documents put by hand with
`etcdctl`, and is known before a write is committed, so that one document can name another's.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from enchain.chains.errors import ConflictError, MalformedError
from enchain.process.logs import get_logger
from enchain.state.codec import decode, encode
from enchain.state.store import Compare, KeyValue, Put, Store, unchanged

_log = get_logger(__name__)

SCAN_PAGE = 500
"""Keys read at once where a whole prefix is looked through: some MiB at the most."""


M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A message as it was read, with its etag filled in where it has such a field, and where it stood."""

    key: str
    message: M
    value: bytes
    create_revision: int
    mod_revision: int

    @property
    def etag(self) -> str:
        """Etag of what was read."""
        return etag_of(self.value)


def etag_of(value: bytes) -> str:
    """Answer the etag of stored bytes."""
    return hashlib.sha256(value).hexdigest()[:16]


def parse(kind: type[M], item: KeyValue) -> Document[M]:
    """Turn what was read into a document.

    Raises:
        MalformedError: The value is no such message.
    """
    message = decode(kind, item.value, key=item.key)
    _set_etag(message, etag_of(item.value))
    return Document(item.key, message, item.value, item.create_revision, item.mod_revision)


def readable(kind: type[M], items: Sequence[KeyValue]) -> Iterator[Document[M]]:
    """Parse what can be parsed; log the rest, so that one bad document does not hide the good ones."""
    for item in items:
        try:
            yield parse(kind, item)
        except MalformedError as error:
            _log.warning("document left out", key=item.key, fault=error.message)


async def read(store: Store, kind: type[M], key: str) -> Document[M] | None:
    """Read one document; None where there is none.

    Raises:
        MalformedError: What is there is no such message.
    """
    item = await store.get(key)
    return None if item is None else parse(kind, item)


async def scan(store: Store, prefix: str, *, keys_only: bool = False) -> AsyncIterator[KeyValue]:
    """Go through everything under a prefix, page by page.

    Pages are read one after the other, each as it is then: a snapshot could be compacted away meanwhile, and
    whoever decides by what it finds compares what it depends on when it commits.
    """
    after = ""
    while True:
        listing = await store.list(prefix, limit=SCAN_PAGE, start_after=after, keys_only=keys_only)
        for item in listing.items:
            yield item
        if not listing.more:
            return
        after = listing.items[-1].key


def write(key: str, message: M) -> Put:
    """Prepare to write a message, and set its etag to what it will be.

    Raises:
        ExhaustedError: The value is too large.
    """
    _set_etag(message, "")
    value = encode(message)
    _set_etag(message, etag_of(value))
    return Put(key, value)


def _set_etag(message: Message, etag: str) -> None:
    if "etag" in message.DESCRIPTOR.fields_by_name:
        setattr(message, "etag", etag)  # noqa: B010 - types cannot say which messages have it


def revision_of(document: Document[M] | None) -> int:
    """Answer the mod revision for a compare: 0 where there is no document."""
    return 0 if document is None else document.mod_revision


def same(document: Document[M] | None, key: str) -> Compare:
    """Condition: the key is as it was read."""
    return unchanged(key, revision_of(document))


def check_etag(sent: str, document: Document[M], name: str) -> None:
    """Refuse a write by somebody who read something else.

    Raises:
        ConflictError: An etag was sent, and it is not the document's.
    """
    if sent and sent != document.etag:
        raise ConflictError(
            f"{name} has changed since it was read: its etag is {document.etag}, not {sent}",
            reason="ETAG_MISMATCH",
            remedy="Read it again, then decide again.",
            metadata={"name": name, "etag": document.etag, "sent": sent},
        )
