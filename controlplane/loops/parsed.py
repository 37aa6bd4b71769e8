"""Values of the store that were parsed or written just now, so that they need not be parsed again. Pure.

The folding loop asks it: parsing takes most of the time of a fold. A value is known by its bytes and by
nothing else, so it cannot be mistaken for another, whatever happened to the store.
"""

from typing import TypeVar

from google.protobuf.message import Message

from enchain.state.codec import decode

SIZE_MAX = 1024
"""Messages of some 10 KiB."""

M = TypeVar("M", bound=Message)


class Parsed:
    """The messages of some values, each handed out as a copy.

    Args:
        size_max: How many it holds; what was of use longest ago goes first.
    """

    def __init__(self, size_max: int = SIZE_MAX) -> None:
        self._size_max = size_max
        self._messages: dict[str, tuple[bytes, Message]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def message(self, kind: type[M], key: str, value: bytes) -> M:
        """Answer what a value says.

        Raises:
            MalformedError: It is none of that kind.
        """
        known, message = self._messages.get(key, (b"", None))
        if known != value or not isinstance(message, kind):
            message = decode(kind, value, key=key)
            self.note(key, value, message)
        # A reader that changed what it was given must not change what the next one gets.
        copy = kind()
        copy.CopyFrom(message)
        return copy

    def note(self, key: str, value: bytes, message: Message) -> None:
        """Remember what a value says."""
        self._messages.pop(key, None)
        if len(self._messages) >= self._size_max:
            del self._messages[next(iter(self._messages))]
        self._messages[key] = (value, message)
