"""Update masks on real messages."""

import pytest

from controlplane.catalog.masks import merged
from enchain.chains.errors import InvalidArgumentError
from enchain.v1 import workload_pb2

STORED = workload_pb2.Workload(
    name="workloads/site",
    description="old",
    steps=[workload_pb2.Step(name="serve")],
    slo=workload_pb2.ServiceLevel(success=0.9),
    demand=workload_pb2.DemandProfile(unit={"cpu": 1.0}),
)
SENT = workload_pb2.Workload(
    name="workloads/other",
    etag="x",
    description="new",
    steps=[workload_pb2.Step(name="configure"), workload_pb2.Step(name="serve")],
    demand=workload_pb2.DemandProfile(unit={"memory": 2.0}, prometheus={"cpu": "up"}),
)
OUTPUT_ONLY = frozenset({"name", "etag"})


def merge(*paths: str) -> workload_pb2.Workload:
    return merged(STORED, SENT, paths, output_only=OUTPUT_ONLY)


def test_a_named_field_is_replaced_and_no_other() -> None:
    expected = workload_pb2.Workload()
    expected.CopyFrom(STORED)
    expected.description = "new"

    assert merge("description") == expected


def test_a_list_is_replaced_not_appended_to() -> None:
    assert [step.name for step in merge("steps").steps] == ["configure", "serve"]


def test_a_field_within_a_message_is_replaced_alone() -> None:
    demand = merge("demand.unit").demand

    assert demand == workload_pb2.DemandProfile(unit={"memory": 2.0})


def test_a_named_field_that_was_not_sent_is_cleared() -> None:
    assert not merge("slo").HasField("slo")


@pytest.mark.parametrize("paths", [(), ("*",), ("description", "*")])
def test_no_path_or_a_star_takes_everything_but_what_is_output_only(paths: tuple[str, ...]) -> None:
    expected = workload_pb2.Workload()
    expected.CopyFrom(SENT)
    expected.name = STORED.name
    expected.etag = STORED.etag

    assert merge(*paths) == expected


def test_a_field_that_is_output_only_is_left_alone_even_where_it_is_named() -> None:
    assert merge("name") == STORED


@pytest.mark.parametrize("path", ["colour", "slo.colour", "steps.name", "description.length", ""])
def test_a_path_that_names_no_field_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        merge(path)

    assert caught.value.reason == "INVALID_UPDATE_MASK"


def test_merging_changes_neither_message() -> None:
    stored, sent = STORED.SerializeToString(), SENT.SerializeToString()

    merge("demand.unit", "steps")

    assert (STORED.SerializeToString(), SENT.SerializeToString()) == (stored, sent)
