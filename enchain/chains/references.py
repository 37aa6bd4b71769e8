"""References: what an expression reads, found in its syntax tree and not by looking for words in its text.

`expressions` calls it with the tree that the CEL runtime hands out as a serialized `cel.expr.ParsedExpr`.
Only the fields that we walk are declared here, in a descriptor pool of our own; field numbers are those that
CEL publishes in `syntax.proto`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ParsedExpr": {"expr": (2, "Expr")},
    "Expr": {
        "const": (3, "Constant"),
        "ident": (4, "Ident"),
        "select": (5, "Select"),
        "call": (6, "Call"),
        "items": (7, "Items"),
        "struct": (8, "Struct"),
        "comprehension": (9, "Comprehension"),
    },
    "Constant": {"text": (6, "string")},
    "Ident": {"name": (1, "string")},
    "Select": {"operand": (1, "Expr"), "field": (2, "string"), "test_only": (3, "bool")},
    "Call": {"target": (1, "Expr"), "function": (2, "string"), "args": (3, "Expr*")},
    "Items": {"elements": (1, "Expr*")},
    "Struct": {"message_name": (1, "string"), "entries": (2, "Entry*")},
    "Entry": {"map_key": (3, "Expr"), "value": (4, "Expr")},
    "Comprehension": {
        "iter_var": (1, "string"),
        "iter_range": (2, "Expr"),
        "accu_var": (3, "string"),
        "accu_init": (4, "Expr"),
        "loop_condition": (5, "Expr"),
        "loop_step": (6, "Expr"),
        "result": (7, "Expr"),
        "iter_var2": (8, "string"),
    },
}


def _parsed_expr() -> Any:
    """Make the class of the outermost message."""
    kind = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": kind.TYPE_STRING, "bool": kind.TYPE_BOOL}
    file = descriptor_pb2.FileDescriptorProto(name="tree.proto", package="tree", syntax="proto3")
    for message, fields in _MESSAGES.items():
        added = file.message_type.add(name=message)
        for name, (number, of) in fields.items():
            label = kind.LABEL_REPEATED if of.endswith("*") else kind.LABEL_OPTIONAL
            field = added.field.add(name=name, number=number, label=label)
            field.type = scalars.get(of, kind.TYPE_MESSAGE)
            if of not in scalars:
                field.type_name = f".tree.{of.removesuffix('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tree.ParsedExpr"))


_ParsedExpr = _parsed_expr()


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable that an expression reads, with the fields selected from it.

    Attributes:
        path: Such as `("steps", "serve", "outputs", "url")`.
        tested: The expression only asks whether it is there (`has`).
    """

    path: tuple[str, ...]
    tested: bool = False

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Tree:
    """What is known of an expression without its types.

    Attributes:
        references: All that it reads, each once.
        path: The one path that it is, where it is nothing else; such expressions need no CEL to evaluate.
        messages: Message types that it would construct.
    """

    references: tuple[Reference, ...]
    path: tuple[str, ...] | None
    messages: tuple[str, ...]


def read_tree(serialized: bytes) -> Tree:
    """Read the tree of a parsed expression."""
    wrapped = any_pb2.Any.FromString(serialized)
    root = _ParsedExpr.FromString(wrapped.value).expr
    found = list(_walk(root, frozenset()))
    references = dict.fromkeys(r for r in found if isinstance(r, Reference))
    messages = dict.fromkeys(m for m in found if isinstance(m, str))
    return Tree(tuple(references), _path(root), tuple(messages))


def _path(node: Any) -> tuple[str, ...] | None:
    """The path that a node is, such as `inputs.size` or `inputs['size']`, or None."""
    fields = []
    while True:
        if node.HasField("select") and not node.select.test_only:
            fields.append(node.select.field)
            node = node.select.operand
        elif node.HasField("call") and node.call.function == "_[_]" and node.call.args[1].const.text:
            fields.append(node.call.args[1].const.text)
            node = node.call.args[0]
        else:
            break
    if not node.HasField("ident"):
        return None
    return (node.ident.name.removeprefix("."), *reversed(fields))


def _walk(node: Any, bound: frozenset[str]) -> Iterator[Reference | str]:
    path = _path(node)
    if path:
        if path[0] not in bound:
            yield Reference(path)
    elif node.HasField("select"):
        yield from _walk_select(node.select, bound)
    elif node.HasField("comprehension"):
        yield from _walk_comprehension(node.comprehension, bound)
    else:
        if node.HasField("struct") and node.struct.message_name:
            yield node.struct.message_name
        for child in _children(node):
            yield from _walk(child, bound)


def _children(node: Any) -> Iterator[Any]:
    """Parts of a call, a list or a map."""
    if node.HasField("call"):
        if node.call.HasField("target"):
            yield node.call.target
        yield from node.call.args
    elif node.HasField("items"):
        yield from node.items.elements
    elif node.HasField("struct"):
        for entry in node.struct.entries:
            yield from (entry.map_key, entry.value)


def _walk_select(select: Any, bound: frozenset[str]) -> Iterator[Reference | str]:
    path = _path(select.operand)
    if select.test_only and path and path[0] not in bound:
        yield Reference((*path, select.field), tested=True)
    else:
        yield from _walk(select.operand, bound)


def _walk_comprehension(loop: Any, bound: frozenset[str]) -> Iterator[Reference | str]:
    inner = bound | {loop.iter_var, loop.iter_var2, loop.accu_var}
    yield from _walk(loop.iter_range, bound)
    yield from _walk(loop.accu_init, bound)
    for part in (loop.loop_condition, loop.loop_step, loop.result):
        yield from _walk(part, inner)
