"""What docs/script-engine.md shows works as it stands there."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from enchain.engines.script.answers import KINDS
from enchain.engines.script.manifest import read_manifest
from enchain.sdk.testing import EngineHarness, handle_data, outputs_of
from enchain.v1 import diagnostic_pb2

PAGE = (Path(__file__).parents[3] / "docs" / "script-engine.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


async def test_the_script_of_the_page_is_applied_and_destroyed(
    harness: EngineHarness, bundles: Callable[..., Path]
) -> None:
    bundle = {"bundle": bundles("greeter", {"provision.sh": blocks("bash")[0]})}
    made = await harness.apply({"run": ["./provision.sh"], "with": {"name": "ann"}}, bundle)
    gone = await harness.destroy(made.handle)

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert outputs_of(made) == {"bytes": len("hello ann\n")}
    assert handle_data(made)["data"] == {"file": "greeting"}
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone


def test_the_manifest_of_the_page_is_one(tmp_path: Path) -> None:
    (manifest,) = (text for text in blocks("json") if '"verbs"' in text)
    (tmp_path / "enchain-script.json").write_text(manifest)

    assert read_manifest(tmp_path).secret_outputs == ("token",)


async def test_the_request_of_the_page_has_the_fields_of_a_real_one(
    harness: EngineHarness, bundles: Callable[..., Path]
) -> None:
    echo = (
        "#!/usr/bin/env python3\nimport json, sys\nasked = json.load(sys.stdin)\n"
        'print(json.dumps({"enchain": "result", "ok": True, "outputs": {"fields": list(asked)}}))\n'
    )
    made = await harness.apply({"run": ["./x"]}, {"bundle": bundles("echo", {"x": echo})})
    (shown,) = (json.loads(text) for text in blocks("json") if '"work_id"' in text)

    assert outputs_of(made)["fields"] == list(shown)


def test_the_page_lists_every_kind_of_answer() -> None:
    listed = re.findall(r"^\| `([a-z]+)` \| (?:\*\*|`)", PAGE, re.MULTILINE)

    assert set(KINDS) <= set(listed)
