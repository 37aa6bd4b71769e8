"""References to secrets inside inputs: taken out, written down by place, put back in. Pure.

Engines call it, so that what they keep and what they put on disk holds references and no secret.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from enchain.chains.values import Json, SecretRef

Place = tuple[str | int, ...]
"""Where something stands: keys and indices from the outside in."""


def references(value: Json, place: Place = ()) -> Iterator[tuple[Place, SecretRef]]:
    """Answer the references in a value, each with its place."""
    match value:
        case SecretRef():
            yield place, value
        case dict():
            for key, item in value.items():
                yield from references(item, (*place, key))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from references(item, (*place, index))


def without_references(value: Json) -> Json:
    """Answer the value with None wherever a reference stands."""
    match value:
        case SecretRef():
            return None
        case dict():
            return {key: without_references(item) for key, item in value.items()}
        case list() | tuple():
            return [without_references(item) for item in value]
        case _:
            return value


def to_records(refs: Mapping[Place, SecretRef]) -> list[dict[str, Any]]:
    """Answer what is written down of references."""
    return [{"place": list(place), "ref": ref.ref} for place, ref in refs.items()]


def from_records(records: list[dict[str, Any]]) -> dict[Place, SecretRef]:
    """Read it back."""
    return {tuple(item["place"]): SecretRef(item["ref"]) for item in records}
