"""Translation between the words of the Store port and etcd's messages. Pure.

Only the adapter calls it. Whoever adds an operation to the port adds it here.
"""

from enchain.etcd import kv_pb2, rpc_pb2
from enchain.state.store import (
    Compare,
    CompareTarget,
    Delete,
    Event,
    EventKind,
    Get,
    KeyValue,
    Op,
    Put,
    Txn,
    TxnResult,
    is_prefix,
)


def range_end(prefix: str) -> bytes:
    """Answer the first key after all those with a prefix; a zero byte means that there is no end."""
    raw = prefix.encode().rstrip(b"\xff")
    return raw[:-1] + bytes([raw[-1] + 1]) if raw else b"\0"


def span(prefix: str) -> tuple[bytes, bytes]:
    """Answer key and range end for a prefix, or for one key."""
    if is_prefix(prefix):
        return prefix.encode() or b"\0", range_end(prefix)
    return prefix.encode(), b""


def key_value(item: kv_pb2.KeyValue) -> KeyValue:
    """Translate a key as etcd tells it."""
    return KeyValue(
        key=item.key.decode(errors="surrogateescape"),
        value=item.value,
        create_revision=item.create_revision,
        mod_revision=item.mod_revision,
        version=item.version,
        lease=item.lease,
    )


def event(item: kv_pb2.Event) -> Event:
    """Translate an event as etcd tells it."""
    kind = EventKind.DELETE if item.type == kv_pb2.Event.DELETE else EventKind.PUT
    return Event(kind, key_value(item.kv))


def txn_request(txn: Txn) -> rpc_pb2.TxnRequest:
    """Translate a transaction."""
    return rpc_pb2.TxnRequest(
        compare=[_compare(each) for each in txn.compares],
        success=[_request_op(each) for each in txn.success],
        failure=[_request_op(each) for each in txn.otherwise],
    )


def txn_result(txn: Txn, response: rpc_pb2.TxnResponse) -> TxnResult:
    """Translate the answer to a transaction."""
    taken = txn.success if response.succeeded else txn.otherwise
    got = tuple(
        key_value(answer.response_range.kvs[0]) if answer.response_range.kvs else None
        for op, answer in zip(taken, response.responses, strict=True)
        if isinstance(op, Get)
    )
    return TxnResult(response.succeeded, response.header.revision, got)


def _compare(compare: Compare) -> rpc_pb2.Compare:
    """Translate a condition; all are equalities."""
    message = rpc_pb2.Compare(key=compare.key.encode(), result=rpc_pb2.Compare.EQUAL)
    match compare.target:
        case CompareTarget.MOD_REVISION:
            message.target = rpc_pb2.Compare.MOD
            message.mod_revision = compare.equals
        case CompareTarget.CREATE_REVISION:
            message.target = rpc_pb2.Compare.CREATE
            message.create_revision = compare.equals
        case CompareTarget.VERSION:
            message.target = rpc_pb2.Compare.VERSION
            message.version = compare.equals
    return message


def _request_op(op: Op) -> rpc_pb2.RequestOp:
    match op:
        case Put(key, value, lease):
            return rpc_pb2.RequestOp(
                request_put=rpc_pb2.PutRequest(key=key.encode(), value=value, lease=lease)
            )
        case Delete(key, prefix):
            end = range_end(key) if prefix else b""
            return rpc_pb2.RequestOp(
                request_delete_range=rpc_pb2.DeleteRangeRequest(key=key.encode() or b"\0", range_end=end)
            )
        case Get(key):
            return rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key.encode()))
