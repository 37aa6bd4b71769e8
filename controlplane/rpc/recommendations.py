"""`enchain.v1.RecommendationService`: requests to calls of the catalogue of recommendations, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from controlplane.catalog.paging import page_of
from controlplane.catalog.recommendations import RecommendationCatalog
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.chains.decision_names import RecommendationName
from enchain.v1 import recommendation_pb2, recommendation_pb2_grpc

SERVICE = "enchain.v1.RecommendationService"


class RecommendationServicer(recommendation_pb2_grpc.RecommendationServiceServicer):
    """Serves the recommendations.

    Args:
        catalog: What is served.
    """

    def __init__(self, catalog: RecommendationCatalog) -> None:
        self._catalog = catalog

    async def GenerateRecommendation(  # noqa: N802 - the method's name on the wire
        self, request: recommendation_pb2.GenerateRecommendationRequest, context: Context
    ) -> recommendation_pb2.Recommendation:
        """Plan for a workload now."""
        return await self._catalog.generate(
            names.workload_id(request.parent, "parent"),
            caller_of(context, f"{SERVICE}/GenerateRecommendation", request.request_id),
            validate_only=request.validate_only,
        )

    async def GetRecommendation(  # noqa: N802 - the method's name on the wire
        self, request: recommendation_pb2.GetRecommendationRequest, context: Context
    ) -> recommendation_pb2.Recommendation:
        """Answer one recommendation."""
        del context
        return await self._catalog.get(RecommendationName.parse(request.name, newest=True))

    async def ListRecommendations(  # noqa: N802 - the method's name on the wire
        self, request: recommendation_pb2.ListRecommendationsRequest, context: Context
    ) -> recommendation_pb2.ListRecommendationsResponse:
        """Answer a page of recommendations, newest first."""
        del context
        workload = names.workload_id(request.parent, "parent", every=True)
        found, token = await self._catalog.list(
            "" if workload == names.EVERY else workload,
            page_of(f"ListRecommendations {request.parent}", request.page_size, request.page_token),
        )
        return recommendation_pb2.ListRecommendationsResponse(recommendations=found, next_page_token=token)

    async def ApproveRecommendation(  # noqa: N802 - the method's name on the wire
        self, request: recommendation_pb2.ApproveRecommendationRequest, context: Context
    ) -> recommendation_pb2.Recommendation:
        """Let a recommendation be carried out."""
        return await self._catalog.approve(
            RecommendationName.parse(request.name, newest=True),
            request.etag,
            caller_of(context, f"{SERVICE}/ApproveRecommendation", request.request_id, request.reason),
        )

    async def RejectRecommendation(  # noqa: N802 - the method's name on the wire
        self, request: recommendation_pb2.RejectRecommendationRequest, context: Context
    ) -> recommendation_pb2.Recommendation:
        """Say no to a recommendation."""
        return await self._catalog.reject(
            RecommendationName.parse(request.name, newest=True),
            request.etag,
            caller_of(context, f"{SERVICE}/RejectRecommendation", request.request_id, request.reason),
        )

    async def ReplayRecommendation(  # noqa: N802 - the method's name on the wire
        self, request: recommendation_pb2.ReplayRecommendationRequest, context: Context
    ) -> recommendation_pb2.ReplayRecommendationResponse:
        """Plan once more from the inputs that were kept."""
        del context
        return await self._catalog.replay(RecommendationName.parse(request.name, newest=True))
