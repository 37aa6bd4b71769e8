"""`enchain.v1.ArtifactService`: streams to calls of the artifact catalogue, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from collections.abc import AsyncIterator

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.rpc.callers import Context
from enchain.chains import names
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.v1 import artifact_pb2, artifact_pb2_grpc


class ArtifactServicer(artifact_pb2_grpc.ArtifactServiceServicer):
    """Serves the artifact catalogue.

    Args:
        catalog: What is served.
    """

    def __init__(self, catalog: ArtifactCatalog) -> None:
        self._catalog = catalog

    async def UploadArtifact(  # noqa: N802 - the method's name on the wire
        self,
        request_iterator: AsyncIterator[artifact_pb2.UploadArtifactRequest],
        context: Context,
    ) -> artifact_pb2.Artifact:
        """Receive one artifact."""
        del context
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "artifact":
            raise _out_of_order("artifact", "the first message must say which artifact follows")
        return await self._catalog.upload(first.artifact, _chunks(request_iterator))

    async def GetArtifact(  # noqa: N802 - the method's name on the wire
        self, request: artifact_pb2.GetArtifactRequest, context: Context
    ) -> artifact_pb2.Artifact:
        """Answer what is known of an artifact."""
        del context
        return await self._catalog.get(names.artifact_digest(request.name))

    async def DownloadArtifact(  # noqa: N802 - the method's name on the wire
        self, request: artifact_pb2.DownloadArtifactRequest, context: Context
    ) -> AsyncIterator[artifact_pb2.DownloadArtifactResponse]:
        """Stream an artifact's bytes."""
        del context
        async for chunk in self._catalog.download(names.artifact_digest(request.name)):
            yield artifact_pb2.DownloadArtifactResponse(chunk=chunk)


async def _chunks(requests: AsyncIterator[artifact_pb2.UploadArtifactRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise _out_of_order("chunk", "only the first message is no chunk")
        yield request.chunk


def _out_of_order(field: str, description: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        description,
        reason="OUT_OF_ORDER",
        violations=[Violation(field, description, "OUT_OF_ORDER")],
    )
