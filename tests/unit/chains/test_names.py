"""Names are taken apart and put together; what is no name says so."""

import pytest

from enchain.chains import names
from enchain.chains.errors import InvalidArgumentError

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def test_simple_names_give_their_ids_back() -> None:
    assert names.workload_id(names.workload_name("site")) == "site"
    assert names.engine_id(names.engine_name("terraform")) == "terraform"
    assert names.tenant_id(names.tenant_name("default")) == "default"
    assert names.router_id(names.router_name("r-1")) == "r-1"
    assert names.route_workload(names.route_name("site")) == "site"
    assert names.convergence_workload(names.convergence_name("site")) == "site"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (names.ChainName, "workloads/site/chains/default@abc123"),
        (names.ChainName, "workloads/site/chains/default"),
        (names.SwitchName, f"workloads/site/switches/{ULID}"),
        (names.InstanceName, "engines/terraform/instances/host.1"),
        (names.OperationName, f"tenants/default/operations/{ULID}"),
        (names.ResourceName, "tenants/default/resources/my-site"),
    ],
)
def test_compound_names_are_written_as_they_were_read(kind: type[names.ChainName], text: str) -> None:
    assert str(kind.parse(text)) == text


def test_a_digest_names_its_artifact() -> None:
    digest = f"sha256:{'0f' * 32}"

    assert names.artifact_name(digest) == f"artifacts/{'0f' * 32}"
    assert names.artifact_digest(names.artifact_name(digest)) == digest


def test_a_dash_stands_for_every_id_only_where_it_is_allowed() -> None:
    assert names.workload_id("workloads/-", "parent", every=True) == "-"
    with pytest.raises(InvalidArgumentError):
        names.workload_id("workloads/-", "parent")


def test_a_chain_that_must_be_whole_has_a_revision() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.ChainName.parse("workloads/site/chains/default", "chain", whole=True)

    assert [(v.field, v.reason) for v in caught.value.violations] == [("chain", "REQUIRED")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "REQUIRED"),
        ("site", "INVALID_NAME"),
        ("workloads/Site", "INVALID_ID"),
        ("workloads/", "REQUIRED"),
        ("workloads/site/more", "INVALID_NAME"),
        ("workloads/../etc", "INVALID_NAME"),
        ("workloads/site\n", "INVALID_ID"),
        (f"workloads/{'a' * 64}", "INVALID_ID"),
    ],
)
def test_what_is_no_name_says_which_field_and_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.workload_id(text, "workload")

    assert [(v.field, v.reason) for v in caught.value.violations] == [("workload", reason)]


def test_a_wrong_name_is_not_repeated_at_any_length() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.workload_id("x" * 100_000)

    assert len(caught.value.message) < 300


def test_a_request_id_cannot_leave_its_key() -> None:
    assert names.violation_of(names.REQUEST, "a/b", "request_id") is not None
    assert names.violation_of(names.REQUEST, "0b9c7d5e-1:2", "request_id") is None
