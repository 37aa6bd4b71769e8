"""Secrets for a service's environment, resolved when it is started and kept nowhere.

A step brings a secret store along; a supervisor that starts a service again long after its step has the
host's. Nothing here writes a secret down.
"""

from collections.abc import Mapping

from enchain.chains.values import SecretRef
from enchain.sdk.port import SecretStore, StepFailedError


async def resolve_secrets(
    store: SecretStore, references: Mapping[str, str], *, tenant: str
) -> dict[str, str]:
    """Answer the secrets by variable. Raises what the store raises where one cannot be had."""
    return {
        name: await store.resolve(SecretRef(reference), tenant=tenant)
        for name, reference in references.items()
    }


class SecretSource:
    """Resolves secrets outside of steps.

    Args:
        store: The host's, where it has one.
    """

    def __init__(self, store: SecretStore | None) -> None:
        self._store = store

    async def resolve(self, references: Mapping[str, str], *, tenant: str) -> dict[str, str] | None:
        """Answer the secrets by variable; None where they cannot be had."""
        if not references:
            return {}
        if self._store is None:
            return None
        try:
            return await resolve_secrets(self._store, references, tenant=tenant)
        except StepFailedError:
            return None


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """Answer a text with every secret in it blotted out."""
    for secret in sorted(secrets.values(), key=len, reverse=True):
        if secret:
            text = text.replace(secret, "********")
    return text
