"""`enchain.v1.ForecastService`: forecasts and jobs from the store, demand from the leader.

`controlplane.main` registers it on every replica. Nothing is decided here, and nothing is forecast here: the
leader's loop does that, and what it needs lies in `controlplane.forecast.serving`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc

from controlplane.catalog.forecast_jobs import ForecastJobCatalog
from controlplane.catalog.forecasts import ForecastCatalog, missing
from controlplane.catalog.job_rules import backtest_job, training_job
from controlplane.catalog.paging import page_of
from controlplane.forecast.documents import signal_and_step
from controlplane.forecast.serving import Desk
from controlplane.rpc.callers import Context, caller_of
from controlplane.rpc.leader import METADATA, Leader, forwarded, not_leading
from controlplane.rpc.streams import until
from enchain.chains import names
from enchain.chains.errors import InvalidArgumentError, PeerError, Violation
from enchain.chains.names import ForecastName
from enchain.v1 import forecast_pb2, forecast_pb2_grpc

SERVICE = "enchain.v1.ForecastService"

ANSWER_SECONDS = 10.0
"""How long the leader may take to answer measured demand."""

DAY_SECONDS = 86_400
WINDOW_SECONDS_DEFAULT = 7 * DAY_SECONDS
WINDOW_SECONDS_MAX = 90 * DAY_SECONDS


class ForecastServicer(forecast_pb2_grpc.ForecastServiceServicer):
    """Serves forecasts.

    Args:
        catalog: The forecasts.
        jobs: Backtests and trainings.
        desk: Where the leader's work lies, if this replica leads.
        leader: Whoever leads, if another one does.
        stop: Set when this process is told to stop; streams end then, and go on at another replica.
    """

    def __init__(
        self,
        catalog: ForecastCatalog,
        jobs: ForecastJobCatalog,
        *,
        desk: Desk,
        leader: Leader,
        stop: asyncio.Event,
    ) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._desk = desk
        self._leader = leader
        self._stop = stop

    async def GetForecast(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.GetForecastRequest, context: Context
    ) -> forecast_pb2.Forecast:
        """Answer the newest forecast, or say what is missing."""
        name = ForecastName.parse(request.name)
        found = await self._catalog.find(name)
        if found is not None:
            return found
        await self._catalog.require_workload(name)
        signal_and_step(name)
        try:
            asked = forecast_pb2.GetDemandRequest(name=name.demand)
            demand = await self._demand(asked, name, WINDOW_SECONDS_DEFAULT, context)
        except PeerError:
            demand = None
        raise missing(name, await self._catalog.others(name), demand)

    async def ListForecasts(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.ListForecastsRequest, context: Context
    ) -> forecast_pb2.ListForecastsResponse:
        """Answer a page of forecasts."""
        del context
        workload = names.workload_id(request.parent, "parent", every=True)
        forecasts, token = await self._catalog.list(
            "" if workload == names.EVERY else workload,
            page_of(f"ListForecasts {request.parent}", request.page_size, request.page_token),
        )
        return forecast_pb2.ListForecastsResponse(forecasts=forecasts, next_page_token=token)

    async def GetAccuracy(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.GetAccuracyRequest, context: Context
    ) -> forecast_pb2.ForecastAccuracy:
        """Answer how good forecasts have been."""
        del context
        return await self._catalog.accuracy(ForecastName.parse(request.name, part="accuracy"))

    async def GetDemand(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.GetDemandRequest, context: Context
    ) -> forecast_pb2.DemandHistory:
        """Answer measured demand: by ourselves where we lead, else through the leader."""
        name = ForecastName.parse(request.name, part="demand")
        await self._catalog.require_workload(name)
        signal_and_step(name)
        return await self._demand(request, name, _window(request), context)

    async def Backtest(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.BacktestRequest, context: Context
    ) -> forecast_pb2.ForecastJob:
        """Begin a backtest."""
        caller = caller_of(context, f"{SERVICE}/Backtest", request.request_id)
        name = ForecastName.parse(request.forecast, "forecast")
        _, step_seconds = signal_and_step(name)
        job = backtest_job(request, step_seconds)
        await self._catalog.require_workload(name)
        return await self._jobs.begin(job, caller)

    async def TrainForecaster(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.TrainForecasterRequest, context: Context
    ) -> forecast_pb2.ForecastJob:
        """Begin a training."""
        caller = caller_of(context, f"{SERVICE}/TrainForecaster", request.request_id)
        return await self._jobs.begin(training_job(request), caller)

    async def GetForecastJob(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.GetForecastJobRequest, context: Context
    ) -> forecast_pb2.ForecastJob:
        """Answer a job as it stands."""
        del context
        return await self._jobs.get(names.forecast_job_id(request.name))

    async def ListForecastJobs(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.ListForecastJobsRequest, context: Context
    ) -> forecast_pb2.ListForecastJobsResponse:
        """Answer a page of jobs, newest first."""
        del context
        page = page_of("ListForecastJobs", request.page_size, request.page_token)
        jobs, token = await self._jobs.list(page)
        return forecast_pb2.ListForecastJobsResponse(jobs=jobs, next_page_token=token)

    async def WatchForecastJob(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.WatchForecastJobRequest, context: Context
    ) -> AsyncIterator[forecast_pb2.ForecastJob]:
        """Follow a job to its end."""
        del context
        watched = self._jobs.watch(names.forecast_job_id(request.name))
        async with aclosing(until(self._stop, watched)) as jobs:
            async for job in jobs:
                yield job

    async def CancelForecastJob(  # noqa: N802 - the method's name on the wire
        self, request: forecast_pb2.CancelForecastJobRequest, context: Context
    ) -> forecast_pb2.ForecastJob:
        """End a job."""
        caller = caller_of(context, f"{SERVICE}/CancelForecastJob", "")
        return await self._jobs.cancel(names.forecast_job_id(request.name), caller)

    async def _demand(
        self,
        request: forecast_pb2.GetDemandRequest,
        name: ForecastName,
        window_seconds: int,
        context: Context,
    ) -> forecast_pb2.DemandHistory:
        work = self._desk.work
        if work is not None:
            return await work.demand(name, window_seconds)
        if forwarded(context):
            raise not_leading("this replica has just begun to lead, or leads no more")

        async def ask(channel: grpc.aio.Channel) -> forecast_pb2.DemandHistory:
            stub = forecast_pb2_grpc.ForecastServiceStub(channel)
            answer: forecast_pb2.DemandHistory = await stub.GetDemand(
                request, timeout=ANSWER_SECONDS, metadata=METADATA
            )
            return answer

        return await self._leader.ask(ask)


def _window(request: forecast_pb2.GetDemandRequest) -> int:
    """Answer how far back is asked for, in seconds."""
    if not request.HasField("window"):
        return WINDOW_SECONDS_DEFAULT
    seconds = request.window.seconds
    if not 0 < seconds <= WINDOW_SECONDS_MAX:
        told = f"it is {seconds} s; write at least a second and at most 90 days, or leave it out"
        fault = Violation("window", told, "OUT_OF_RANGE")
        raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])
    return seconds
