"""What commands print: a table for people, JSON or YAML for programs. It decides nothing."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from enchain.chains.values import to_python
from enchain.v1 import value_pb2

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print the answer.",
)


def plain(message: Message) -> Any:
    """Turn a message into plain Python, its values as people write them."""
    if isinstance(message, value_pb2.Value):
        return _printable(to_python(message))
    if message.DESCRIPTOR.file.package.startswith("google.protobuf"):
        return json_format.MessageToDict(message)
    answer: dict[str, Any] = {}
    for field, value in message.ListFields():
        answer[field.name] = _field(field, value)
    return answer


def _field(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _single(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_single(field, item) for item in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        found = field.enum_type.values_by_number.get(value)
        return found.name if found is not None else value
    return value


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return {"$secret": value.ref} if hasattr(value, "ref") else str(value)


def dump(data: Any, output: str) -> None:
    """Print data as JSON or YAML."""
    if output == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415 - only where it is asked for

    click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


def show(messages: Sequence[Message], columns: Mapping[str, Any], output: str) -> None:
    """Print messages: a table with the columns given, or all of them as JSON or YAML."""
    if output != "table":
        dump([plain(message) for message in messages], output)
        return
    table([[str(column(message)) for column in columns.values()] for message in messages], list(columns))


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    """Print aligned columns. Plain text, so that it can be cut, sorted and grepped."""
    if not rows:
        click.echo("nothing found", err=True)
        return
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    for row in [[heading.upper() for heading in headings], *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def age(time: Timestamp, now: datetime | None = None) -> str:
    """Write how long ago something was: `12s`, `5m`, `3h`, `2d`."""
    if not time.seconds:
        return "-"
    seconds = int(((now or datetime.now(UTC)) - time.ToDatetime(UTC)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"


def last(name: str) -> str:
    """Answer the last part of a resource name."""
    return name.rsplit("/", 1)[-1]


def enum_word(kind: Any, number: int, prefix: str) -> str:
    """Write an enum value as people say it: `STATE_READY` is `ready`."""
    return str(kind.Name(number)).removeprefix(prefix).lower().replace("_", " ")
