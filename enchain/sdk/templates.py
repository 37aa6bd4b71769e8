"""Templates completed: holes that routers left for the instance are filled with its variables. Pure."""

from collections.abc import Mapping

from enchain.chains.values import EngineVariable, Json, TemplateText
from enchain.sdk.port import Finding, StepFailedError
from enchain.v1 import diagnostic_pb2


def fill(value: Json, variables: Mapping[str, Json]) -> Json:
    """Answer `value` with every hole filled. A lone hole keeps the type of its variable.

    Raises:
        StepFailedError: A hole names a variable that is not given. Nothing was made.
    """
    match value:
        case TemplateText(parts=(EngineVariable() as lone,)):
            return _variable(lone, variables)
        case TemplateText(parts=parts):
            return "".join(
                part if isinstance(part, str) else str(_variable(part, variables)) for part in parts
            )
        case Mapping():
            return {name: fill(inner, variables) for name, inner in value.items()}
        case list() | tuple():
            return [fill(inner, variables) for inner in value]
        case _:
            return value


def _variable(hole: EngineVariable, variables: Mapping[str, Json]) -> Json:
    if hole.name not in variables:
        raise StepFailedError(
            Finding(
                f"no variable {hole.name}",
                code="UNKNOWN_VARIABLE",
                detail=f"the engine completes {', '.join(sorted(variables)) or 'no variables'}",
                remedy=f"Leave out ${{{hole.name}}}, or name a variable that the engine completes.",
                audience=diagnostic_pb2.AUDIENCE_PLATFORM,
            ),
            left_behind=False,
        )
    return variables[hole.name]
