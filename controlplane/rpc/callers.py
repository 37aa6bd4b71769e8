"""Who calls, with which request id and reason: the same few fields of every mutation.

All servicers call it.
"""

from typing import Any, TypeAlias

import grpc

from controlplane.catalog.audit import REASON_CHARACTERS_MAX, Caller
from enchain.chains import names
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.process.identity import identity_of

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
"""What gRPC tells a method about the call."""


def caller_of(context: Context, method: str, request_id: str, reason: str = "") -> Caller:
    """Answer the caller of a mutation.

    Raises:
        InvalidArgumentError: The request id or the reason is wrong.
    """
    if request_id:
        names.check_id(names.REQUEST, request_id, "request_id")
    if len(reason) > REASON_CHARACTERS_MAX:
        fault = Violation("reason", f"it has more than {REASON_CHARACTERS_MAX} characters", "TOO_LONG")
        raise InvalidArgumentError(f"the reason is too long: {fault.description}", violations=[fault])
    return Caller(method=method, actor=identity_of(context), request_id=request_id, reason=reason)
