"""A chain that anybody may have put into the store is checked whole before it is followed."""

import pytest

from enchain.chains import chains, workloads
from enchain.chains.digests import canonical, digest_of, fingerprint_of, revision_of
from enchain.chains.errors import InvalidArgumentError
from enchain.chains.names import ChainName
from enchain.chains.values import Json
from enchain.v1 import chain_pb2, provisioning_pb2, workload_pb2
from tests.harness.sites import derived, edited, site

KEY = ChainName("site", "by-hand", "first-try")


def _by_hand() -> chain_pb2.Chain:
    """A derived chain without all that may be left out."""
    chain = derived(site())
    for field in ("name", "digest", "on_failure", "timeout", "workload_etag"):
        chain = edited(chain, field, MISSING)
    for call in chain.steps:
        call.ClearField("retry")
    return chain


def _faults(chain: chain_pb2.Chain, *, workload: workload_pb2.Workload | None = None) -> set[tuple[str, str]]:
    with pytest.raises(InvalidArgumentError) as caught:
        chains.check(chain, key=KEY, workload=workload)
    return {(v.field, v.reason) for v in caught.value.violations}


def test_a_derived_chain_passes_unchanged() -> None:
    chain = derived(site())

    assert chains.check(chain, workload=workloads.check(site())) == chain


def test_a_chain_put_by_hand_is_named_by_its_key_and_made_whole() -> None:
    checked = chains.check(_by_hand(), key=KEY)

    assert checked.name == "workloads/site/chains/by-hand@first-try"
    assert checked.digest == digest_of(checked)
    assert checked.timeout.seconds == 3600
    assert checked.on_failure == workload_pb2.ON_FAILURE_COMPENSATE
    assert checked.steps[0].retry.max_attempts == 3
    assert chains.check(checked, key=KEY) == checked


def test_the_digest_of_what_was_written_by_hand_is_right_too() -> None:
    chain = _by_hand()
    chain.digest = digest_of(chain)

    assert chains.check(chain, key=KEY).digest == derived(site()).digest


FIRST, SECOND = "steps[0]", "steps[1]"
MISSING = None
MODULE = f"{FIRST}.artifacts.module.digest"
LATER = {"map_value": {"fields": {"name": {"string_value": "${steps.serve.outputs.url}"}}}}
HOLE = {"template_value": {"parts": [{"variable": "port"}]}}
BAD: dict[str, tuple[str, Json, str, str]] = {
    # What is edited, to what, and the field and the reason that are told.
    "wrong digest": ("digest", f"sha256:{'0' * 64}", "digest", "WRONG_DIGEST"),
    "name of another chain": ("name", "workloads/site/chains/x@1", "name", "OTHER_NAME"),
    "no steps": ("steps", [], "steps", "OUT_OF_RANGE"),
    "step done twice": (f"{SECOND}.steps", ["configure", "serve"], "steps", "STEPS_OVERLAP"),
    "call of nothing": (f"{FIRST}.steps", [], f"{FIRST}.steps", "REQUIRED"),
    "no version": (f"{FIRST}.version", MISSING, f"{FIRST}.version", "INVALID_VERSION"),
    "no engine": (f"{FIRST}.engine", MISSING, f"{FIRST}.engine", "REQUIRED"),
    "no schema": (f"{FIRST}.schema", MISSING, f"{FIRST}.schema", "REQUIRED"),
    "no digest of an artifact": (MODULE, MISSING, MODULE, "INVALID_DIGEST"),
    "expression to a later step": (f"{FIRST}.inputs.with", LATER, f"{FIRST}.inputs.with.name", "LATER_STEP"),
    "first step missing": (FIRST, MISSING, f"{FIRST}.inputs.files", "UNKNOWN_STEP"),
    "hole made by hand": (f"{SECOND}.inputs.files", HOLE, f"{SECOND}.inputs.files", "NOT_ALLOWED"),
    "value without a kind": (f"{SECOND}.inputs.files", {}, f"{SECOND}.inputs.files", "INVALID_VALUE"),
    "output to nowhere": (
        "outputs.url", {"string_value": "${steps.x.outputs.y}"}, "outputs.url", "UNKNOWN_STEP",
    ),
    "fallback of other steps": (
        f"{FIRST}.fallback", {"steps": ["serve"]}, f"{FIRST}.fallback.steps", "COVERS_DIFFER",
    ),
    "fallback of a fallback": (
        f"{FIRST}.fallback", {"fallback": {}}, f"{FIRST}.fallback.fallback", "NOT_ALLOWED",
    ),
    "inputs in the short form": ("inputs", {"name": "string"}, "inputs", "INVALID_SCHEMA"),
    "timeout of a year": ("timeout", "31536000s", "timeout", "OUT_OF_RANGE"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_chain_that_is_not_whole_is_refused(name: str) -> None:
    path, value, field, reason = BAD[name]

    assert (field, reason) in _faults(edited(_by_hand(), path, value))


def test_a_chain_must_do_all_steps_of_its_workload_in_order() -> None:
    workload = workloads.check(site())

    half = edited(_by_hand(), SECOND, MISSING)

    assert ("steps", "MISSING_STEP") in _faults(half, workload=workload)
    workload.steps.reverse()
    assert ("steps", "WRONG_ORDER") in _faults(_by_hand(), workload=workload)
    del workload.steps[0]
    assert ("steps", "UNKNOWN_STEP") in _faults(_by_hand(), workload=workload)


def test_a_chain_without_key_must_say_its_name() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        chains.check(_by_hand())

    assert caught.value.violations[0].field == "name"


# --- digests


def test_canonical_json_is_one_text_with_sorted_keys() -> None:
    chain = chain_pb2.Chain(use={"serve": "b", "configure": "a"}, description="größe")

    assert canonical(chain) == '{"description":"größe","use":{"configure":"a","serve":"b"}}'


def test_a_revision_is_the_beginning_of_its_digest() -> None:
    digest = digest_of(derived(site()))

    assert digest.startswith(f"sha256:{revision_of(digest)}")


def test_a_request_is_known_by_what_it_asks_for_and_not_by_its_id() -> None:
    first = provisioning_pb2.ProvisionRequest(workload="workloads/site", request_id="1")
    again = provisioning_pb2.ProvisionRequest(workload="workloads/site", request_id="2")
    other = provisioning_pb2.ProvisionRequest(workload="workloads/shop", request_id="1")

    assert fingerprint_of(first) == fingerprint_of(again) != fingerprint_of(other)
    assert first.request_id == "1"
