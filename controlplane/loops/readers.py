"""What a reader of the outbox is: it turns entries of ended operations into statistics. Pure.

The folding loop calls readers; `controlplane/demand` has the first. Profiles and experiments are others.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from google.protobuf.message import Message

from enchain.v1 import operation_pb2


class Reader(Protocol):
    """Learns something from operations that ended.

    All of it is pure. Folding is adding: in whatever order entries come, and however they are split into
    batches, the statistics end up the same, since a leader that dies leaves the rest to another. The
    statistics of one subject stay below `enchain.state.codec.VALUE_BYTES_MAX`, whatever is folded into them.

    Attributes:
        name: Where its statistics lie: `learned/<name>/<subject>`.
        kind: The message that its statistics are.
    """

    @property
    def name(self) -> str:
        """Where its statistics lie."""

    @property
    def kind(self) -> type[Message]:
        """The message that its statistics are."""

    def subjects(self, entry: operation_pb2.OutboxEntry) -> Collection[str]:
        """Say to whose statistics an entry adds, such as a workload's; none where it does not concern it.

        Raises:
            MalformedError: The entry cannot be folded; it is set aside, for all readers.
        """

    def empty(self, subject: str) -> Any:
        """Statistics of a subject into which nothing was folded yet."""

    def fold(self, statistics: Any, entries: Sequence[operation_pb2.OutboxEntry]) -> Any:
        """Answer statistics of a subject with its entries added; what was given stays as it is."""


@runtime_checkable
class DependentReader(Reader, Protocol):
    """A reader whose statistics belong to documents: what is left of one that is gone adds to nothing.

    The loop reads the documents with the statistics, and folds on condition that each is still the one that
    was created then. So an entry is counted before its document is deleted, or not at all.

    Attributes:
        documents: Where its documents lie: `table/<documents>/<path>`.
        document_kind: The message that they are.
    """

    @property
    def documents(self) -> str:
        """Where its documents lie."""

    @property
    def document_kind(self) -> type[Message]:
        """The message that they are."""

    def document_of(self, subject: str) -> str:
        """Answer the path of the document that statistics belong to; empty where they belong to none."""

    def belongs(self, entry: operation_pb2.OutboxEntry, document: Any) -> bool:
        """Say whether an entry belongs to a document as it stands; None: there is none."""
