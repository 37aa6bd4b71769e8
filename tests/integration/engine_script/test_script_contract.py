"""The contract of scripts held against real ones: every way to break it, and commands that are hostile."""

from collections.abc import Callable
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import SecretRef
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2
from tests.harness.scripts import OK, answering, was_pwned

Bundles = Callable[..., Path]

BROKEN = {
    "no result": (answering('{"enchain": "progress", "message": "x"}'), "RESULT_MISSING"),
    "two results": (answering(OK, OK), "RESULT_REPEATED"),
    "an answer after the result": (
        answering(OK, '{"enchain": "output", "name": "a", "value": 1}'),
        "ANSWER_AFTER_RESULT",
    ),
    "ok and a bad exit": (answering(OK, code=3), "EXIT_CONTRADICTS"),
    "a bad exit": (answering("going down", code=3), "SCRIPT_FAILED"),
    "garbage": (answering('{"enchain": "result", "ok": tru', OK), "ANSWER_MALFORMED"),
    "a wrong field": (answering('{"enchain": "result", "ok": "yes"}'), "ANSWER_MALFORMED"),
    "an unknown kind": (answering('{"enchain": "resutl", "ok": true}', OK), "ANSWER_UNKNOWN"),
    "out of place": (
        answering('{"enchain": "change", "action": "create", "address": "a"}', OK),
        "ANSWER_OUT_OF_PLACE",
    ),
    "a line too long": (
        f"#!/bin/bash\nprintf '{{'; head -c 70000 /dev/zero | tr '\\0' x; echo '{OK}'\necho '{OK}'\n",
        "LINE_TOO_LONG",
    ),
    "killed": ("#!/bin/bash\nkill -KILL $$\n", "SCRIPT_KILLED"),
    "outputs too large": (
        (
            "#!/bin/bash\nx=$(head -c 20000 /dev/zero | tr '\\0' x)\n"
            'echo "{\\"enchain\\": \\"result\\", \\"ok\\": true, \\"outputs\\": {\\"x\\": \\"$x\\"}}"\n'
        ),
        "OUTPUTS_TOO_LARGE",
    ),
    "a handle too large": (
        (
            "#!/bin/bash\nx=$(head -c 9000 /dev/zero | tr '\\0' x)\n"
            f'echo "{{\\"enchain\\": \\"handle\\", \\"data\\": {{\\"x\\": \\"$x\\"}}}}"\necho \'{OK}\'\n'
        ),
        "HANDLE_TOO_LARGE",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_contract_is_told_precisely_and_is_never_a_clean_failure(
    harness: EngineHarness, bundles: Bundles, name: str
) -> None:
    script, code = BROKEN[name]
    result = await harness.apply({"run": ["./x"]}, {"bundle": bundles("broken", {"x": script})})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    assert result.diagnostics[0].code == code, result
    assert result.HasField("handle")


async def test_a_failure_says_what_the_script_says(harness: EngineHarness, bundles: Bundles) -> None:
    script = answering(
        '{"enchain": "diagnostic", "summary": "no such region", "code": "REGION_UNKNOWN",'
        ' "path": "region", "audience": "requester", "remedy": "Choose another."}',
        '{"enchain": "result", "ok": false, "left_behind": false, "retryable": true, "retry_after": 2.5}',
        code=1,
    )
    result = await harness.apply({"run": ["./x"]}, {"bundle": bundles("failing", {"x": script})})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    (found,) = result.diagnostics
    assert (found.code, found.path, found.domain) == ("REGION_UNKNOWN", "inputs.with.region", "script")
    assert found.audience == diagnostic_pb2.AUDIENCE_REQUESTER
    assert (result.retryable, result.retry_after.ToMilliseconds()) == (True, 2500)


async def test_what_a_program_prints_on_standard_error_is_never_an_answer(
    harness: EngineHarness, bundles: Bundles
) -> None:
    forged = '{"enchain": "result", "ok": true, "outputs": {"forged": 1}}'
    script = f"#!/bin/bash\necho '{forged}' >&2\necho 'plain'\necho '{{\"other\": 1}}'\necho '{OK}'\n"
    result = await harness.apply({"run": ["./x"]}, {"bundle": bundles("forging", {"x": script})})
    lines = [event.log.line for event in harness.events if event.HasField("log")]

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, result
    assert outputs_of(result) == {}
    assert sorted(lines) == sorted([forged, "plain", '{"other": 1}'])


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (["../../escape.sh"], "RUN_NOT_IN_BUNDLE"),
        (["/bin/true"], "RUN_NOT_IN_BUNDLE"),
        (["./missing.sh"], "RUN_NOT_IN_BUNDLE"),
        (["./data.txt"], "RUN_NOT_EXECUTABLE"),
        (["bash", "./../../escape.sh"], "RUN_NOT_IN_BUNDLE"),
        (["no-such-program; touch pwned"], "RUN_NOT_ON_PATH"),
        ([""], "INVALID_INPUT"),
        (["./x", "a\0b"], "INVALID_INPUT"),
        ([SecretRef("env:pw")], "INVALID_INPUT"),
    ],
)
async def test_a_command_that_is_not_the_bundles_is_refused_and_nothing_runs(
    harness: EngineHarness, bundles: Bundles, tmp_path: Path, run: list[object], code: str
) -> None:
    (tmp_path / "escape.sh").write_text("#!/bin/bash\ntouch pwned\n")
    bundle = {"bundle": bundles("plain", {"x": answering(OK), "data.txt": "text"})}
    found = await harness.validate({"run": run}, bundle)
    result = await harness.apply({"run": run}, bundle)

    assert found[0].code == code
    assert (result.outcome, result.diagnostics[0].code) == (diagnostic_pb2.OUTCOME_FAILED_CLEAN, code)
    assert not was_pwned(tmp_path)


async def test_a_link_inside_the_bundle_is_followed_and_one_that_leaves_it_is_not_sent(
    harness: EngineHarness, bundles: Bundles
) -> None:
    bundle = bundles("linked", {"real.sh": answering(OK)})
    (bundle / "x").symlink_to("real.sh")
    inside = await harness.apply({"run": ["./x"]}, {"bundle": bundle})
    (bundle / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.apply({"run": ["./x"]}, {"bundle": bundle}, generation=2)

    assert inside.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, inside
    assert caught.value.reason == "UNSAFE_ARTIFACT"


async def test_a_script_without_an_interpreter_fails_cleanly(
    harness: EngineHarness, bundles: Bundles
) -> None:
    result = await harness.apply({"run": ["./x"]}, {"bundle": bundles("odd", {"x": "#!/no/such/shell\n"})})

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert result.diagnostics[0].code == "SCRIPT_NOT_STARTED"
