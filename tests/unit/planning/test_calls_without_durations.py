"""Calls that were measured and have no duration: none has succeeded, or they are too short to tell."""

import pytest

from controlplane.planning.plan import plan
from controlplane.planning.problem import (
    Call,
    Candidate,
    Demand,
    EngineVersion,
    Plan,
    Policy,
    PoolFacts,
    Problem,
    Promise,
)

KNOWN, NEW = (f"workloads/site/chains/{name}@1" for name in ("known", "new"))
TERRAFORM, SCRIPT = (EngineVersion(name, "1.0.0") for name in ("terraform", "script"))


def planned(success: float, samples: float, current: str = KNOWN, promised: float = 0.9) -> Plan:
    """Plan with a chain that was measured well, and a cheap one that was measured without a duration."""
    return plan(
        Problem(
            "site",
            1_790_000_000.0,
            Demand(300.0, (0.5,), ((30.0,),) * 12),
            (
                Candidate(KNOWN, (Call(("configure",), TERRAFORM, 500, 60.0, variation=1.0, success=1.0),)),
                Candidate(NEW, (Call(("configure",), SCRIPT, samples, 0.0, success=success),)),
            ),
            tuple(
                PoolFacts(engine, price_per_hour=price, ready=1, target=1)
                for engine, price in ((TERRAFORM, 10.0), (SCRIPT, 0.1))
            ),
            promise=Promise(success=promised),
            policy=Policy(exploration=0.02),
            current=current,
        )
    )


@pytest.mark.parametrize("samples", [5, 29, 30, 500])
def test_what_has_failed_whenever_it_was_tried_is_neither_taken_nor_tried_any_more(samples: float) -> None:
    found = planned(0.0, samples)

    assert not found.switches
    assert found.rivals[0].explore_share == 0
    assert not found.rivals[0].feasible
    told = {reason.code: reason.words for reason in found.rivals[0].reasons}
    assert "succeeds in 0 % of provisions" in told["FAILS_TOO_OFTEN"]


@pytest.mark.parametrize("promised", [0.0, 0.9])
@pytest.mark.parametrize("samples", [5, 500])
def test_a_chain_in_force_that_has_always_failed_can_be_planned_for(samples: float, promised: float) -> None:
    found = planned(0.0, samples, current=NEW, promised=promised)

    assert found.chosen is not None
    assert found.switches == (promised > 0)


def test_what_is_too_short_to_tell_takes_next_to_no_time() -> None:
    found = planned(1.0, 500)

    assert found.chosen is not None
    assert found.chosen.chain == NEW
    assert found.chosen.p95_seconds < 0.1
