"""Secrets: where references are resolved, where secret outputs are kept, and what must not be told.

Engines reach it as `Step.secrets`. `env` reads the instance's environment, `file` a directory of the scope
with one directory for each tenant. A secret never leaves the instance: whatever a step says is scrubbed of
those that it has seen.
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from enchain.chains.values import Json, SecretRef
from enchain.sdk.calls import DEFAULT_TENANT
from enchain.sdk.port import Finding, SecretStore, StepFailedError
from enchain.sdk.scope import write_whole
from enchain.v1 import diagnostic_pb2

ENVIRONMENT_PREFIX = "ENCHAIN_SECRET_"
SCRUBBED = "•••"
LENGTH_MIN = 4
"""Shorter secrets are not scrubbed: they would blank half of every text."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def _missing(ref: str, remedy: str) -> StepFailedError:
    return StepFailedError(
        Finding(
            f"the secret {ref} cannot be had",
            code="SECRET_MISSING",
            remedy=remedy,
            audience=diagnostic_pb2.AUDIENCE_PLATFORM,
        ),
        left_behind=False,
    )


class EnvironmentSecrets:
    """Secrets in the instance's environment: `env:db-password` is `ENCHAIN_SECRET_DB_PASSWORD`.

    They belong to the default tenant; other tenants get nothing here. It keeps no secrets.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def resolve(self, ref: SecretRef, *, tenant: str) -> str:
        """Answer the secret."""
        name = ENVIRONMENT_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", ref.ref.partition(":")[2]).upper()
        if tenant != DEFAULT_TENANT or name not in self._environment:
            raise _missing(ref.ref, f"Set {name} where the engine instance starts.")
        return self._environment[name]

    async def keep(self, name: str, secret: str, *, tenant: str) -> SecretRef:
        """Refuse: an environment cannot be written."""
        del secret, tenant
        raise _missing(f"env:{name}", "Keep secret outputs in the file store.")

    async def forget(self, prefix: str, *, tenant: str) -> None:
        """Do nothing: an environment cannot be written."""


class FileSecrets:
    """Secrets in files: `file:NAME` is `<root>/<tenant>/NAME`, readable by the instance's user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def resolve(self, ref: SecretRef, *, tenant: str) -> str:
        """Answer the secret."""
        path = self._path(ref.ref.partition(":")[2], tenant)
        try:
            return await asyncio.to_thread(path.read_text)
        except (OSError, UnicodeDecodeError) as error:
            raise _missing(ref.ref, "Put it into the secrets directory of the state scope.") from error

    async def keep(self, name: str, secret: str, *, tenant: str) -> SecretRef:
        """Store a secret; one of the same name is replaced."""
        await asyncio.to_thread(write_whole, self._path(name, tenant), secret.encode())
        return SecretRef(f"file:{name}")

    async def forget(self, prefix: str, *, tenant: str) -> None:
        """Delete the secrets whose names begin with `prefix`."""
        await asyncio.to_thread(self._forget, prefix, self._root / tenant)

    def _path(self, name: str, tenant: str) -> Path:
        parts = name.split("/")
        if not all(_PART.fullmatch(part) for part in (tenant, *parts)):
            raise _missing(f"file:{name}", "Name it with letters, digits, `.`, `_` and `-`.")
        return self._root.joinpath(tenant, *parts)

    @staticmethod
    def _forget(prefix: str, root: Path) -> None:
        for path in [path for path in root.rglob("*") if path.is_file()]:
            if path.relative_to(root).as_posix().startswith(prefix):
                path.unlink(missing_ok=True)
                for parent in path.relative_to(root).parents[:-1]:
                    with contextlib.suppress(OSError):  # it still holds others
                        (root / parent).rmdir()


class Secrets:
    """Several stores by the name before the colon; `keeper` takes the secret outputs."""

    def __init__(self, stores: Mapping[str, SecretStore], keeper: str = "file") -> None:
        self._stores = dict(stores)
        self._keeper = keeper

    async def resolve(self, ref: SecretRef, *, tenant: str) -> str:
        """Ask the store that the reference names."""
        store = self._stores.get(ref.ref.partition(":")[0])
        if store is None:
            raise _missing(ref.ref, f"Begin the reference with {' or '.join(sorted(self._stores))}.")
        return await store.resolve(ref, tenant=tenant)

    async def keep(self, name: str, secret: str, *, tenant: str) -> SecretRef:
        """Keep a secret output."""
        return await self._stores[self._keeper].keep(name, secret, tenant=tenant)

    async def forget(self, prefix: str, *, tenant: str) -> None:
        """Forget secret outputs."""
        await self._stores[self._keeper].forget(prefix, tenant=tenant)


def default_secrets(root: Path, environment: Mapping[str, str] | None = None) -> Secrets:
    """Answer the stores that every instance has: `env` and `file`."""
    return Secrets(
        {
            "env": EnvironmentSecrets(os.environ if environment is None else environment),
            "file": FileSecrets(root),
        }
    )


class SeenSecrets:
    """A secret store that remembers what one step has seen, to scrub it from whatever the step says."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store
        self._seen: set[str] = set()

    async def resolve(self, ref: SecretRef, *, tenant: str) -> str:
        """Resolve, and remember."""
        secret = await self._store.resolve(ref, tenant=tenant)
        self.learn([secret])
        return secret

    async def keep(self, name: str, secret: str, *, tenant: str) -> SecretRef:
        """Keep, and remember."""
        self.learn([secret])
        return await self._store.keep(name, secret, tenant=tenant)

    async def forget(self, prefix: str, *, tenant: str) -> None:
        """Forget in the store."""
        await self._store.forget(prefix, tenant=tenant)

    def learn(self, secrets: Iterable[str]) -> None:
        """Remember secrets, each line of long ones too, and how they look inside JSON."""
        for secret in secrets:
            for text in (secret, *secret.splitlines()):
                if len(text) >= LENGTH_MIN:
                    self._seen |= {text, json.dumps(text)[1:-1]}

    def scrub(self, text: str) -> str:
        """Answer a text without the secrets."""
        for secret in sorted(self._seen, key=len, reverse=True):
            text = text.replace(secret, SCRUBBED)
        return text

    def tells(self, value: Json) -> bool:
        """Say whether a value holds a secret in plain sight."""
        match value:
            case str():
                return self.scrub(value) != value
            case Mapping():
                return any(self.tells(inner) for inner in (*value.keys(), *value.values()))
            case list() | tuple():
                return any(self.tells(inner) for inner in value)
            case _:
                return False
