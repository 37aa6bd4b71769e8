"""A step's inputs, made ready for Terraform: secrets kept apart and resolved. `engine.py` calls it."""

from dataclasses import replace

from enchain.engines.terraform.variables import (
    SecretVariable,
    Variables,
    environment_of,
    faults,
    split,
    texts,
    with_secrets,
)
from enchain.sdk.port import Finding, Step, StepFailedError
from enchain.terraform_modules.module import Module


async def accept(step: Step, module: Module) -> Variables:
    """Split the inputs of a step; plain texts for secret variables go into the secret store first.

    Raises:
        StepFailedError: They cannot be passed on.
    """
    variables = split(step.inputs.get("with") or {}, module)
    if found := faults(variables, module):
        raise StepFailedError(*found)
    return replace(variables, secret=tuple([await _kept(step, secret) for secret in variables.secret]))


async def resolve(step: Step, variables: Variables) -> dict[str, str]:
    """Answer the environment that carries the secret variables of a run.

    Raises:
        StepFailedError: A secret cannot be had, or cannot be passed on.
    """
    values = {}
    for secret in variables.secret:
        found = {path: await step.secrets.resolve(ref, tenant=step.tenant) for path, ref in secret.refs}
        values[secret.name] = with_secrets(secret.value, found)
    try:
        return environment_of(variables, values)
    except ValueError as error:
        raise StepFailedError(
            Finding(
                f"the secret for the variable {error} holds a zero byte",
                code="SECRET_UNUSABLE",
                path=f"inputs.with.{error}",
                remedy="Encode it, for example as base64, and decode it in the module.",
            )
        ) from error


async def _kept(step: Step, variable: SecretVariable) -> SecretVariable:
    """Replace plain texts by references, so that nothing secret lies beside the state."""
    refs = list(variable.refs)
    for number, (path, text) in enumerate(texts(variable.value)):
        name = step.secret_name(f"with.{variable.name}.{number}")
        refs.append((path, await step.secrets.keep(name, text, tenant=step.tenant)))
    bare = with_secrets(variable.value, {path: "" for path, _ in refs})
    return replace(variable, value=bare, refs=tuple(refs))
