"""Read YAML documents and keep the line of every field, so that an error can say where.

`enchain.cli.documents` calls it. It knows YAML and nothing of enchain's kinds.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from enchain.chains.errors import InvalidArgumentError, Violation

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document.

    Attributes:
        file: Where it stands.
        body: Its mapping, as plain Python.
        lines: Line (from 1) of every field, by its place.
        line: Its first line.
    """

    file: Path
    body: dict[str, Any]
    line: int = 1
    lines: dict[Place, int] = field(default_factory=dict)

    def line_of(self, place: Place) -> int:
        """Answer the line of a field, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, self.line)


class DocumentError(InvalidArgumentError):
    """A document is wrong: file, line, field, cause and remedy."""

    default_reason = "BAD_DOCUMENT"

    def __init__(self, file: Path | str, line: int, path: str, cause: str, remedy: str = "") -> None:
        where = f"{file}:{line}" + (f": {path}" if path else "")
        super().__init__(
            f"{where}: {cause}",
            remedy=remedy,
            violations=[Violation(path, cause, "BAD_DOCUMENT")],
            metadata={"file": str(file), "line": str(line)},
        )
        self.file = str(file)
        self.line = line


def read(file: Path, text: str, *, beginning: str = "kind: Workload") -> list[Document]:
    """Read all documents of a file; empty ones are left out.

    Args:
        file: What it is called.
        text: What it holds.
        beginning: How a document may begin, for the remedy where it is no mapping.

    Raises:
        DocumentError: It is no YAML, a key stands twice, or a document is no mapping.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _syntax(file, text, error) from error
    except yaml.YAMLError as error:
        raise DocumentError(file, 1, "", f"is no YAML: {error}") from error
    return [_document(file, node, beginning) for node in nodes if node.value != ""]


def _document(file: Path, node: yaml.Node, beginning: str) -> Document:
    line = node.start_mark.line + 1
    lines: dict[Place, int] = {}
    body = _plain(file, node, (), lines)
    if not isinstance(body, dict):
        raise DocumentError(file, line, "", "is to be a mapping", f"Begin it with `{beginning}`.")
    return Document(file, body, line, lines)


def _plain(file: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(file, node, place, lines)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*place, index)] = item.start_mark.line + 1
            items.append(_plain(file, item, (*place, index), lines))
        return items
    return _scalar(file, node, place)


def _scalar(file: Path, node: yaml.Node, place: Place) -> Any:
    if node.tag == "tag:yaml.org,2002:timestamp":
        return str(node.value)  # RFC 3339 stays text; we read it ourselves
    try:
        return yaml.SafeLoader("").construct_object(node)
    except yaml.MarkedYAMLError as error:
        line = node.start_mark.line + 1
        raise DocumentError(file, line, spell(place), str(error.problem), "Quote the value.") from error


def _mapping(file: Path, node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key in mapping:
            raise DocumentError(
                file, line, spell((*place, key)), "stands here for the second time", "Keep one of the two."
            )
        lines[(*place, key)] = line
        mapping[key] = _plain(file, value_node, (*place, key), lines)
    return mapping


def _syntax(file: Path, text: str, error: yaml.MarkedYAMLError) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    if "${" in row:
        return DocumentError(
            file,
            line,
            _field_before(row),
            "YAML takes the brace of an unquoted ${ for the start of a mapping",
            'Put the whole value in double quotes: "${…}".',
        )
    return DocumentError(file, line, "", f"is no YAML: {error.problem or error}")


def _field_before(row: str) -> str:
    before = row.split("${", 1)[0]
    words = before.replace("{", " ").replace(",", " ").split()
    return next((word.rstrip(":") for word in reversed(words) if word.endswith(":")), "")


def spell(place: Place) -> str:
    """Write a place as people do: `steps[1].by.process.run[2]`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
