"""Checks of fencing: who was overtaken gets in no more, and what was found absent stays closed to them."""

from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.catalogue import Group, require
from enchain.sdk.conformance.expecting import ABORTED, STALE, nothing_stands, refusal, refused, success
from enchain.sdk.conformance.probe import Probe, Work, same

CHECKS = Group()

_STATES = engine_pb2.GetStepResponse.State


@CHECKS.add("good")
async def lower_token_is_refused(probe: Probe) -> None:
    """A call with a lower token than the highest seen for its work is refused with ABORTED (STALE_TOKEN).

    That goes for Apply, Destroy, GetStep and CancelStep, and changes nothing.
    """
    work = await probe.good()
    lower = work.token
    await probe.get_step(work, token=work.next_token())
    apply = await probe.apply(work, token=lower)
    refusal(apply, "Apply with a lower token", ABORTED, reason=STALE)
    destroy = await probe.destroy(work, work.handle, token=lower)
    refusal(destroy, "Destroy with a lower token", ABORTED, reason=STALE)
    await refused(probe.get_step(work, token=lower), "GetStep with a lower token", ABORTED, reason=STALE)
    await refused(probe.cancel(work, token=lower), "CancelStep with a lower token", ABORTED, reason=STALE)
    answer = await probe.get_step(work)
    require(same(answer.result, work.result), "calls with a lower token changed the recorded result")


@CHECKS.add("good")
async def epoch_outranks_revision(probe: Probe) -> None:
    """Tokens are compared by epoch, then by revision."""
    work = probe.new_work(probe.sample("good"))
    await probe.get_step(work, epoch=2, token=1)
    await expect_closed(probe, work, "GetStep with a higher epoch", token=99)


@CHECKS.add("good")
async def get_step_closes_what_is_absent(probe: Probe) -> None:
    """GetStep of a key that was never seen says ABSENT, and an older Apply is refused from then on."""
    work = probe.new_work(probe.sample("good"))
    answer = await probe.get_step(work, token=9)
    absent = answer.state == _STATES.STATE_ABSENT
    require(absent, f"GetStep says {_STATES.Name(answer.state)} of a key that was never seen")
    await expect_closed(probe, work, "GetStep", token=8)
    answer = await probe.get_step(work, token=9)
    require(answer.state == _STATES.STATE_ABSENT, "the refused Apply was begun all the same")


@CHECKS.add("good")
async def cancel_closes_what_is_absent(probe: Probe) -> None:
    """CancelStep of a key that was never seen signals nothing, and an older Apply is refused from then on."""
    work = probe.new_work(probe.sample("good"))
    answer = await probe.cancel(work, token=9)
    require(not answer.signalled, "CancelStep says that it signalled a key that was never seen")
    await expect_closed(probe, work, "CancelStep", token=8)


@CHECKS.add("good")
async def destroy_closes_what_is_absent(probe: Probe) -> None:
    """Destroy of work that was never seen succeeds, and an older Apply is refused from then on."""
    work = probe.new_work(probe.sample("good"))
    success(await probe.destroy(work, token=9), "Destroy of work that was never seen")
    await expect_closed(probe, work, "Destroy", token=8)


async def expect_closed(probe: Probe, work: Work, closer: str, *, token: int) -> None:
    """Expect that an older Apply is refused and makes nothing."""
    stream = await probe.apply(work, token=token)
    refusal(stream, f"an older Apply after {closer}", ABORTED, reason=STALE)
    await nothing_stands(probe, work, f"an older Apply after {closer}")


@CHECKS.add("slow")
async def newest_token_takes_the_stream(probe: Probe) -> None:
    """The stream of the newest token displaces older ones: they end with ABORTED and without a result."""
    work, older = await probe.begin(probe.sample("slow"))
    call = probe.call(work.work_id, token=work.next_token())
    newer = probe.open(work, probe.apply_request(work.sample, call))
    await newer.until("accepted")
    await probe.still_running(work)
    success(await newer.rest(), "the stream of the newest token")
    require(newer.reattached, "the stream of the newest token is not `reattached`")
    await older.rest()
    require(not older.of("result"), "the older stream got the result although a newer one had come")
    refusal(older, "the older stream", ABORTED, reason=STALE)


@CHECKS.add("good")
async def tombstones_are_per_work(probe: Probe) -> None:
    """A token counts for its own work: other work with a lower token is not refused."""
    other = probe.new_work(probe.sample("good"))
    await probe.get_step(other, token=999)
    work = probe.new_work(probe.sample("good"))
    success(await probe.apply(work), "Apply beside other work with a higher token")
