"""Descriptors: protobuf message types made from JSON Schemas, so that CEL finds wrong fields and types.

`expressions` calls it when something is saved. The types live in a descriptor pool of their own and are never
instantiated: expressions are evaluated over plain maps. Where a schema says nothing, CEL is told `dyn` and
lets everything through.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2

from enchain.chains.schemas import Schema, follow, kinds_of
from enchain.chains.values import Json

PACKAGE = "enchain.saved"
DEPTH_MAX = 12

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "integer": _Field.TYPE_INT64,
    "number": _Field.TYPE_DOUBLE,
    "boolean": _Field.TYPE_BOOL,
}
_ANY = ".google.protobuf.Value"
_ANY_LIST = ".google.protobuf.ListValue"
_ANY_MAP = ".google.protobuf.Struct"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Shape:
    """Type of a field: a scalar, or a message by its full name; repeated or not."""

    scalar: int = 0
    message: str = ""
    repeated: bool = False


@dataclass(slots=True)
class MessageTypes:
    """Message types in the making; ask for the pool when all are added.

    Attributes:
        labels: What people call a message type, by its full name, such as `inputs`.
        fields: Names of its fields, by the same.
    """

    labels: dict[str, str] = field(default_factory=dict)
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _file: descriptor_pb2.FileDescriptorProto = field(
        default_factory=lambda: descriptor_pb2.FileDescriptorProto(
            name="enchain/saved.proto",
            package=PACKAGE,
            syntax="proto2",  # proto3 refuses `fooBar` beside `foo_bar`, as their JSON names would be alike
            dependency=["google/protobuf/struct.proto"],
        )
    )

    def add_object(self, schema: Schema, label: str) -> str:
        """Add an object's schema; answer the full name of its type, maybe `google.protobuf.Struct`."""
        return self._shape(schema, schema, label, 0).message.removeprefix(".")

    def add_message(self, members: Mapping[str, str], label: str) -> str:
        """Add a message of messages (full names by field), such as `steps`; answer its full name."""
        shapes = {name: _Shape(message=f".{of}") for name, of in members.items()}
        return self._message(shapes, label).removeprefix(".")

    def add_strings(self, names: Sequence[str], label: str) -> str:
        """Add a message of strings; answer its full name."""
        shapes = {name: _Shape(scalar=_Field.TYPE_STRING) for name in names}
        return self._message(shapes, label).removeprefix(".")

    def pool(self) -> descriptor_pool.DescriptorPool:
        """All that was added, in a pool of its own."""
        pool = descriptor_pool.DescriptorPool()
        known = descriptor_pb2.FileDescriptorProto()
        struct_pb2.DESCRIPTOR.CopyToProto(known)
        pool.Add(known)
        pool.Add(self._file)
        return pool

    def _shape(self, schema: Json, root: Schema, label: str, depth: int) -> _Shape:
        schema = follow(schema, root)
        kinds = kinds_of(schema, root)
        if not isinstance(schema, Mapping) or kinds is None or len(kinds) != 1 or depth > DEPTH_MAX:
            return _Shape(message=_ANY)
        kind = next(iter(kinds))
        if kind in _SCALARS:
            return _Shape(scalar=_SCALARS[kind])
        if kind == "array":
            return self._list(schema, root, label, depth)
        return self._object(schema, root, label, depth) if kind == "object" else _Shape(message=_ANY)

    def _list(self, schema: Schema, root: Schema, label: str, depth: int) -> _Shape:
        of = self._shape(schema.get("items", {}), root, f"{label}[]", depth + 1)
        if of.repeated or "prefixItems" in schema:
            return _Shape(message=_ANY_LIST)
        return _Shape(of.scalar, of.message, repeated=True)

    def _object(self, schema: Schema, root: Schema, label: str, depth: int) -> _Shape:
        properties, rest = schema.get("properties"), schema.get("additionalProperties")
        open_ended = rest is True or isinstance(rest, Mapping) or "patternProperties" in schema
        if (
            not isinstance(properties, Mapping)
            or open_ended
            or not all(map(_IDENTIFIER.fullmatch, properties))
        ):
            return _Shape(message=_ANY_MAP)
        shapes = {
            name: self._shape(part, root, f"{label}.{name}", depth + 1) for name, part in properties.items()
        }
        return _Shape(message=self._message(shapes, label))

    def _message(self, shapes: Mapping[str, _Shape], label: str) -> str:
        name = f"M{len(self._file.message_type)}"
        added = self._file.message_type.add(name=name)
        for number, (member, shape) in enumerate(shapes.items(), start=1):
            one = added.field.add(name=member, number=number, json_name=member)
            one.label = _Field.LABEL_REPEATED if shape.repeated else _Field.LABEL_OPTIONAL
            one.type = _Field.Type.ValueType(shape.scalar or _Field.TYPE_MESSAGE)
            if shape.message:
                one.type_name = shape.message
        full = f"{PACKAGE}.{name}"
        self.labels[full], self.fields[full] = label, tuple(shapes)
        return f".{full}"
