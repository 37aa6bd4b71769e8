"""Values and archives made to be taken for code: through the whole chain they stay data, or are refused.

One table of values for each engine, and one of archives. Whatever happens, no file `pwned` may come to be.
Each engine's own tests have many more values; here the whole chain is in between.
"""

import asyncio
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.errors import EnchainError
from enchain.chains.values import to_python
from enchain.cli.documents import save
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import read
from enchain.client import Client
from enchain.process.statuses import from_rpc_error
from enchain.v1 import artifact_pb2, workload_pb2
from tests.harness.sieges import Siege, follow

pytestmark = pytest.mark.usefixtures("mended")

FILES = {
    "script/echo.py": """
import json, os, sys
if json.load(sys.stdin)["verb"] == "apply":
    asked = json.load(open(os.environ["ENCHAIN_REQUEST"]))
    print(json.dumps({"enchain": "log", "line": asked["inputs"]["text"]}))
    print(json.dumps({"enchain": "result", "ok": True, "outputs": {"text": asked["inputs"]["text"]}}))
else:
    print(json.dumps({"enchain": "result", "ok": True}))
""",
    "terraform/main.tf": """
variable "text" {
  type = string
}
resource "terraform_data" "text" {
  input = var.text
}
output "text" {
  value = terraform_data.text.output
}
""",
    "ansible/site.yml": """
- hosts: all
  gather_facts: false
  tasks:
  - ansible.builtin.debug: {msg: "{{ text }}"}
  - ansible.builtin.copy: {content: "{{ text }}", dest: "{{ enchain_directory }}/text", mode: "0600"}
  - ansible.builtin.set_stats: {data: {text: "{{ text }}"}}
""",
}

WORKLOADS = """
kind: Workload
name: said-script
inputs: {text: string, program: {type: string, default: ./echo.py}}
steps:
- name: say
  by: {script: {bundle: ./script, run: [python3, "${inputs.program}"], with: {text: "${inputs.text}"}}}
outputs: {text: "${steps.say.outputs.text}"}
---
kind: Workload
name: said-terraform
inputs: {text: string}
steps:
- name: say
  by: {terraform: {module: ./terraform, with: {text: "${inputs.text}"}}}
outputs: {text: "${steps.say.outputs.text}"}
---
kind: Workload
name: said-ansible
inputs: {text: string, main: {type: string, default: site.yml}}
steps:
- name: say
  by: {ansible: {playbook: ./ansible, main: "${inputs.main}", destroy: none, with: {text: "${inputs.text}"}}}
outputs: {text: "${steps.say.outputs.text}"}
---
kind: Workload
name: said-process
inputs: {text: string, name: {type: string, default: text}, files: {type: object, default: {}}}
steps:
- name: say
  by:
    process:
      run: [python3, -c, "import signal; signal.pause()", "${inputs.text}"]
      env: {TEXT: "${inputs.text}"}
      files: "${inputs.files}"
outputs: {text: "${steps.say.outputs.files.text}"}
"""

SHELL = "$(touch pwned) `touch pwned` ; touch pwned\n| touch pwned & '\" > pwned"
JINJA = "{{ lookup('pipe', 'touch pwned') }} {% for x in lookup('pipe', 'touch pwned') %}{% endfor %}"
TERRAFORM = (
    '${file("/etc/hostname")} %{ if true }x%{ endif }"\n}\nprovisioner "local-exec" { command = "id" }'
)
CEL = "${inputs.name} ${resource.uid} ${1 + 1}"
ANSWER = '{"enchain": "result", "ok": false, "left_behind": true}'


@dataclass(frozen=True, slots=True)
class Row:
    """One hostile value.

    Attributes:
        workload: What is provisioned with it.
        inputs: The inputs that hold it.
        code: The finding with which it is refused; empty where it is to come back as it went in.
    """

    what: str
    workload: str
    inputs: dict[str, Any]
    code: str = ""


def inert(workload: str, what: str, text: str) -> Row:
    """A value that must come back as it went in."""
    inputs: dict[str, Any] = {"text": text}
    if workload == "said-process":
        inputs["files"] = {"text": text}
    return Row(f"{what} to {workload.removeprefix('said-')}", workload, inputs)


ROWS = [
    inert("said-script", "a shell's substitutions", SHELL),
    inert("said-script", "a script's answer", ANSWER),
    inert("said-script", "an expression", CEL),
    inert("said-terraform", "Terraform's functions and blocks", TERRAFORM),
    inert("said-terraform", "a shell's substitutions", SHELL),
    inert("said-ansible", "Ansible's lookups", JINJA),
    inert("said-process", "a shell's substitutions", SHELL),
    inert("said-process", "an expression", CEL),
    Row("a file above the service's folder", "said-process",
        {"text": "", "files": {"../../pwned": "x"}}, "INVALID_PATH"),
    Row("a file at the root", "said-process", {"text": "", "files": {"/tmp/pwned": "x"}}, "INVALID_PATH"),
    Row("a program above the bundle", "said-script",
        {"text": "", "program": "./../../pwned"}, "RUN_NOT_IN_BUNDLE"),
    Row("a playbook above its folder", "said-ansible",
        {"text": "", "main": "../../pwned.yml"}, "PLAYBOOK_MISSING"),
]  # fmt: skip


@pytest.fixture(scope="module")
def said(siege: Siege) -> Siege:
    """The running enchain, with workloads that answer the text that they are given."""
    for name, text in FILES.items():
        file = siege.data / "parts" / "said" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with asyncio.Runner() as runner:
        runner.run(siege.save(WORKLOADS, folder="said"))
    return siege


def pwned(siege: Siege) -> list[Path]:
    """Find what no value may have made."""
    places = [siege.data, Path.cwd(), Path("/tmp")]
    return [found for place in places[1:] for found in place.glob("pwned*")] + [*siege.data.rglob("pwned*")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
async def test_a_hostile_value_stays_data_or_is_refused(said: Siege, row: Row) -> None:
    async with said.client() as client:
        told = await follow(client.provision(row.workload, row.inputs))
        operation = await client.get_operation(told.operation)

    codes = {found.code for found in operation.diagnostics}
    assert told.state == ("STATE_FAILED" if row.code else "STATE_SUCCEEDED"), operation.diagnostics
    if row.code:
        assert row.code in codes
    else:
        assert to_python(operation.outputs["text"]) == row.inputs["text"]
    assert pwned(said) == []


# --- archives


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Make a tar of entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def linking(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """Make an entry that is a link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def bomb() -> bytes:
    """Make a tar that says that it holds a terabyte."""
    info = tarfile.TarInfo("bomb")
    info.size = 1 << 40
    return info.tobuf() + bytes(1024)


ARCHIVES = {
    "a path above its folder": archive((tarfile.TarInfo("../../pwned"), b"x")),
    "a path from the root": archive((tarfile.TarInfo("/tmp/pwned"), b"x")),
    "a link that leads outside": archive(linking("outside", "/etc/passwd")),
    "a link to write through": archive(linking("d", "/tmp"), (tarfile.TarInfo("d/pwned"), b"x")),
    "a hard link outside": archive(linking("outside", "/etc/passwd", tarfile.LNKTYPE)),
    "a device": archive(linking("device", "", tarfile.CHRTYPE)),
    "an archive bomb": bomb(),
}


async def sent(client: Client, content: bytes) -> None:
    """Send an archive as a client would that nobody vouches for."""

    async def parts() -> AsyncIterator[artifact_pb2.UploadArtifactRequest]:
        yield artifact_pb2.UploadArtifactRequest(artifact=artifact_pb2.Artifact(digest=digest_of(content)))
        for start in range(0, len(content), 1 << 18):
            yield artifact_pb2.UploadArtifactRequest(chunk=content[start : start + (1 << 18)])

    await client.artifacts.UploadArtifact(parts())


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def smuggled(siege: Siege, client: Client, content: bytes) -> None:
    """Lay an archive into the store past the control plane, and save a workload that uses it."""

    async def whole() -> AsyncIterator[bytes]:
        yield content

    await DirectoryArtifacts(siege.cluster.layout.artifacts).put(digest_of(content), whole())
    workload = workload_pb2.Workload(name="workloads/smuggled", steps=[workload_pb2.Step(name="say")])
    implementation = workload.steps[0].implementations.add(engine="terraform")
    implementation.artifacts["module"].digest = digest_of(content)
    await client.workloads.UpdateWorkload(
        workload_pb2.UpdateWorkloadRequest(workload=workload, allow_missing=True)
    )


REFUSED = {"UNSAFE_ARTIFACT", "MALFORMED_ARTIFACT", "ARTIFACT_TOO_LARGE", "ENGINE_UNAVAILABLE"}
"""The last where an engine finds an archive too large: to its caller it is then out of room."""


@pytest.mark.parametrize("what", ARCHIVES)
async def test_a_hostile_archive_is_refused_by_control_plane_and_engine_alike(said: Siege, what: str) -> None:
    refusals = []
    async with said.client() as client:
        for send in (sent(client, ARCHIVES[what]), smuggled(said, client, ARCHIVES[what])):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await send
            refusals.append(from_rpc_error(caught.value))

    assert {refusal.reason for refusal in refusals} <= REFUSED
    assert all("artifact" in refusal.message for refusal in refusals)
    assert pwned(said) == []


def outward(folder: Path) -> None:
    (folder / "main.tf").symlink_to("/etc/passwd")


def inflated(folder: Path) -> None:
    with (folder / "main.tf").open("wb") as file:
        file.truncate(65 * 1024 * 1024)


@pytest.mark.parametrize("spoil", [outward, inflated])
async def test_a_hostile_folder_is_refused_before_it_is_sent(
    said: Siege, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    (tmp_path / "module").mkdir()
    spoil(tmp_path / "module")
    text = "kind: Workload\nname: bad\nsteps:\n- name: a\n  by: {terraform: {module: ./module}}\n"
    before = set(said.cluster.layout.artifacts.rglob("*"))

    async with said.client() as client:
        (document,) = read(tmp_path / "bad.yaml", text)
        with pytest.raises(EnchainError) as caught:
            await save(client, parse(document), dry_run=False)

    assert "module" in caught.value.message
    assert set(said.cluster.layout.artifacts.rglob("*")) == before
