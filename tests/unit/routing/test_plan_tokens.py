"""Plan tokens hold what was planned, for a while, for those who have the key."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dataplane.routing import plantoken
from enchain.chains.errors import PreconditionError
from tests.harness.pipelines import NOW

KEY = b"k" * 32
WORK = plantoken.PlannedWork(
    verb="VERB_PROVISION",
    chain="workloads/site/chains/default@abc",
    inputs="sha256:1",
    resource="tenants/default/resources/one",
    resource_uid="01",
    etag="",
    expires=int((NOW + timedelta(hours=1)).timestamp()),
    digests={"configure": "sha256:2"},
    scopes={"configure": "tf"},
)


def test_a_token_says_what_was_planned() -> None:
    assert plantoken.verify(plantoken.sign(WORK, KEY), KEY, NOW) == WORK


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "1.é.é",
        "2" + plantoken.sign(WORK, KEY)[1:],
        plantoken.sign(WORK, b"o" * 32),
        plantoken.sign(WORK, KEY)[:-2] + "AA",
        plantoken.sign(replace(WORK, digests={"configure": "x" * 9000}), KEY),
    ],
)
def test_any_other_token_is_stale(token: str) -> None:
    with pytest.raises(PreconditionError) as refused:
        plantoken.verify(token, KEY, NOW)
    assert refused.value.reason == "PLAN_STALE"


def test_an_expired_token_is_stale() -> None:
    with pytest.raises(PreconditionError, match="expired"):
        plantoken.verify(plantoken.sign(WORK, KEY), KEY, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    "asked",
    [
        replace(WORK, verb="VERB_UPDATE"),
        replace(WORK, chain="workloads/site/chains/default@other"),
        replace(WORK, inputs="sha256:2"),
        replace(WORK, resource="tenants/default/resources/two"),
        replace(WORK, etag="7"),
    ],
)
def test_a_plan_for_something_else_is_stale(asked: plantoken.PlannedWork) -> None:
    with pytest.raises(PreconditionError) as refused:
        plantoken.check(WORK, asked)
    assert refused.value.reason == "PLAN_STALE"
