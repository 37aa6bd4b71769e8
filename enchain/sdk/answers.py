"""What an engine answers or raises, turned into a result.

`enchain.sdk.work` calls it once the engine has returned. An engine is a stranger's code, so anything may
come. Nothing in here decides whether the result is true of the world: that takes the ledger, and dead tools.
"""

from collections.abc import Mapping

from enchain.chains.errors import EnchainError
from enchain.chains.values import Json, SecretRef
from enchain.engine.v1 import engine_pb2
from enchain.process.logs import get_logger
from enchain.sdk import results
from enchain.sdk.context import StepContext
from enchain.sdk.port import CancelledStepError, PlanStaleError, StepFailedError
from enchain.sdk.results import Speaker
from enchain.sdk.runs import ToolLostError
from enchain.v1 import chain_pb2, diagnostic_pb2

_log = get_logger("enchain.sdk.answers")


async def result_of_outputs(
    outputs: object, schema: chain_pb2.EngineSchema, context: StepContext, speaker: Speaker, *, destroys: bool
) -> engine_pb2.StepResult:
    """Check what the engine answered, and take its secret outputs into custody."""
    if not isinstance(outputs, Mapping):
        return results.garbage(speaker, outputs)
    if destroys:
        return engine_pb2.StepResult(outcome=diagnostic_pb2.OUTCOME_SUCCEEDED)
    kept: dict[str, Json] = dict(outputs)
    for name in schema.secret_outputs:
        if name in kept and not isinstance(kept[name], SecretRef):
            text = kept[name] if isinstance(kept[name], str) else results.text_of(kept[name])
            kept[name] = await context.secrets.keep(context.secret_name(name), text, tenant=context.tenant)
    if context.seen.tells(kept):
        return results.telling(speaker)
    return results.succeeded(speaker, kept, schema)


def result_of_error(
    error: Exception, context: StepContext, speaker: Speaker, *, destroys: bool, cancel_reason: str
) -> engine_pb2.StepResult:
    """Say what an exception means; no secret that the step has seen is told."""
    match error:
        case StepFailedError():
            result = results.failed(speaker, error, verb_destroys=destroys)
        case CancelledStepError():
            result = results.cancelled(speaker, cancel_reason)
        case PlanStaleError():
            result = results.stale(speaker)
        case ToolLostError():
            result = results.unknown(speaker, f"the tool of {error} was lost", "TOOL_LOST")
        case EnchainError(reason="STALE_TOKEN"):
            result = results.unknown(speaker, error.message, error.reason)
        case EnchainError():
            result = results.refused(speaker, error, begun=context.begun)
        case _:
            _log.error("engine crashed", error_type=type(error).__name__, where=_where(error))
            result = results.crashed(speaker, error)
    for told in result.diagnostics:
        context.scrub(told)
    return result


def _where(error: BaseException) -> str:
    """Say where an exception was raised, without its message."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else ""
