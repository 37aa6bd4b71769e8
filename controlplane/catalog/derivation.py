"""Deriving chains from a workload: what engines say goes in, whole revisions come out.

Workloads and chains call it when they are saved. It asks engines and the artifact store; it writes nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.catalog.changes import Stamp
from controlplane.catalog.documents import write
from controlplane.catalog.revisions import Standing
from controlplane.catalog.schemas import SchemaSource
from enchain.chains.chains import DEFAULT_CHAIN, Need, derive, needs
from enchain.chains.errors import InvalidArgumentError, PreconditionError
from enchain.chains.names import ChainName
from enchain.state import keys
from enchain.state.store import Put
from enchain.v1 import chain_pb2, workload_pb2

__all__ = ["CHAINS_MAX", "DEFAULT_CHAIN", "Deriver", "Uses", "save_revision"]

CHAINS_MAX = 64
"""Chains of one workload: saving it writes a revision of each in one transaction of at most 128 writes."""

Uses = Mapping[str, Mapping[str, str]]
"""The engines wanted by step, by chain id."""


class Deriver:
    """Derives chains.

    Args:
        schemas: Asks engine instances.
        artifacts: Knows which artifacts are there.
    """

    def __init__(self, schemas: SchemaSource, artifacts: ArtifactCatalog) -> None:
        self._schemas = schemas
        self._artifacts = artifacts

    async def derive(
        self, workload: workload_pb2.Workload, uses: Uses, *, existing: Collection[str] = ()
    ) -> dict[str, chain_pb2.Chain]:
        """Derive chains of a workload that `enchain.chains.workloads.check` has answered, by their ids.

        Args:
            workload: What they are derived from.
            uses: The chains.
            existing: Ids of those that were saved before: where one no longer fits, the workload is to blame.

        Raises:
            NotFoundError: An artifact is not there.
            PreconditionError: An engine has no instance, or an existing chain no longer fits the workload.
            InvalidArgumentError: A chain is not whole, or an engine refuses its artifacts.
        """
        wanted: dict[Need, None] = {}
        for chain_id, use in uses.items():
            with _fitting(chain_id, existing):
                wanted.update(dict.fromkeys(needs(workload, use)))
        await self._artifacts.require_all(workload)
        answers = await self._schemas.ask(list(wanted))
        derived = {}
        for chain_id, use in uses.items():
            with _fitting(chain_id, existing):
                derived[chain_id] = derive(workload, chain_id, use, answers)
        return derived


def save_revision(
    derived: chain_pb2.Chain, stands: Standing, workload_etag: str, stamp: Stamp
) -> tuple[chain_pb2.Chain, Put | None]:
    """Decide what to write for a derived chain; answer it as it will stand.

    Content that was saved before is written again with its time of creation, so that it becomes the newest of
    its chain. Nothing is written where it is the newest already and says the same of itself.
    """
    before = stands.document.message if stands.document else None
    if stands.newest and before is not None and before.description == derived.description:
        return before, None
    chain = chain_pb2.Chain()
    chain.CopyFrom(derived)
    chain.workload_etag = workload_etag
    if before is not None and before.HasField("create_time"):
        chain.create_time.CopyFrom(before.create_time)
    else:
        chain.create_time.FromDatetime(stamp.now)
    name = ChainName.parse(chain.name, whole=True)
    return chain, write(keys.chain(name.workload, name.chain, name.revision), chain)


@contextmanager
def _fitting(chain_id: str, existing: Collection[str]) -> Iterator[None]:
    """Say which of the saved chains a fault belongs to."""
    try:
        yield
    except InvalidArgumentError as error:
        if chain_id not in existing:
            raise
        raise PreconditionError(
            f"the chain {chain_id} no longer fits the workload: {error.message}",
            reason="CHAIN_DOES_NOT_FIT",
            remedy=f"Delete the chain {chain_id}, or keep what it uses.",
            metadata={"chain": chain_id, "fault": error.reason},
            violations=error.violations,
        ) from error
