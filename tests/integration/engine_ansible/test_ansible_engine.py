"""The ansible engine with real plays on this host: apply, check mode, update, undo, and failures."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.chains.values import SecretRef
from enchain.engine.v1 import engine_pb2
from enchain.engines.ansible.engine import AnsibleEngine
from enchain.sdk.schemas import from_struct
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2, operation_pb2
from enchain.v1.provisioning_pb2 import PlannedChange
from tests.harness.waiting import eventually

Folders = Callable[..., Path]

UID = "01hz0000000000000000000000"

SITE = """\
  - name: Write the page
    ansible.builtin.copy:
      dest: "{{ enchain_directory }}/page.html"
      content: "{{ title }}"
      mode: "0600"
  - name: Tell where it is
    ansible.builtin.set_stats:
      data:
        page: "{{ enchain_directory }}/page.html"
        given: {title: "{{ title }}", more: "{{ more | default({}) }}"}
        count: "{{ count | default(2) }}"
        verb: "{{ enchain_verb }}"
"""
DESTROY = """\
  - name: Remove the page
    ansible.builtin.file:
      path: "{{ enchain_directory }}/page.html"
      state: absent
"""
PWN = "{{ lookup('pipe', 'touch pwned') }}"
JINJA = "{% for x in lookup('pipe', 'touch pwned') %}{% endfor %}"
HOSTILE = {
    "title": f'{PWN} {JINJA} "quoted" $(touch pwned)\n\u2028\x85 !unsafe 🦊 : # & * - ? |',
    "more": {PWN: [PWN, {"deep": JINJA}], "k" * 1100: "long", "n": 1, "f": 1e22, "t": True, "none": None},
    "count": 9007199254740993,
}


def files_of(root: Path) -> Path:
    return root / "scope" / "work" / "default" / UID / "step" / "files"


def text_of(path: Path) -> str:
    return path.read_text()


def was_pwned(root: Path) -> bool:
    return any(root.rglob("pwned"))


def holding(root: Path, text: str) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


async def test_a_playbook_is_applied_with_variables_that_stay_data_and_is_undone(
    harness: EngineHarness, folders: Folders, tmp_path: Path
) -> None:
    made = await harness.apply(
        {"with": HOSTILE}, {"playbook": folders("site", site_yml=SITE, destroy_yml=DESTROY)}
    )
    told = [event.progress.message for event in harness.events if event.HasField("progress")]
    page = files_of(tmp_path) / "work" / "page.html"
    content = text_of(page)
    gone = await harness.destroy(made.handle)

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    outputs = outputs_of(made)
    assert outputs["given"] == {"title": HOSTILE["title"], "more": HOSTILE["more"]}
    assert (outputs["count"], outputs["verb"], outputs["page"]) == (HOSTILE["count"], "apply", str(page))
    assert content == HOSTILE["title"]
    assert told == ["task 1 of 2: Write the page", "task 2 of 2: Tell where it is"]
    kinds = [event.WhichOneof("event") for event in harness.events]
    assert kinds[-1] == "result"
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, gone
    assert not files_of(tmp_path).exists()
    assert not was_pwned(tmp_path)


async def test_check_mode_plans_an_update_finds_drift_and_changes_nothing(
    harness: EngineHarness, folders: Folders, tmp_path: Path
) -> None:
    playbook = {"playbook": folders("site", site_yml=SITE, destroy_yml=DESTROY)}
    planned = await harness.plan({"with": {"title": "a"}}, playbook)
    page = files_of(tmp_path) / "work" / "page.html"
    stood = page.exists()
    made = await harness.apply({"with": {"title": "a"}}, playbook, plan_digest=planned.plan.digest)
    page.write_text("something else")
    drifted = await harness.observe(made.handle)
    stale = await harness.apply(
        {"with": {"title": "b"}},
        playbook,
        prior=made.handle,
        plan_digest=planned.plan.digest,
        verb=operation_pb2.VERB_UPDATE,
        generation=2,
    )
    leaving = await harness.plan(verb=operation_pb2.VERB_DEPROVISION, generation=3)

    assert not stood
    assert [(change.action, change.address) for change in planned.plan.changes] == [
        (PlannedChange.ACTION_CREATE, "localhost: Write the page")
    ]
    assert planned.plan.changes[0].detail == str(page)
    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert drifted.presence == engine_pb2.ObserveResponse.PRESENCE_PRESENT
    assert [change.action for change in drifted.drift] == [PlannedChange.ACTION_UPDATE]
    assert stale.diagnostics[0].code == "PLAN_STALE"
    assert [change.action for change in leaving.plan.changes] == [PlannedChange.ACTION_DELETE]


async def test_a_failed_task_is_told_precisely_and_leaves_something(
    harness: EngineHarness, folders: Folders
) -> None:
    tasks = """\
  - name: Make something
    ansible.builtin.command: "true"
  - name: Fall over
    ansible.builtin.shell: echo deep trouble >&2; exit 3
"""
    result = await harness.apply(
        {"destroy": "none"}, {"playbook": folders("bad", site_yml=tasks) / "site.yml"}
    )
    gone = await harness.destroy(result.handle)

    assert result.outcome == diagnostic_pb2.OUTCOME_FAILED_PARTIAL
    (found,) = result.diagnostics
    assert found.code == "TASK_FAILED"
    assert found.summary == "Fall over: non-zero return code"
    assert "ansible.builtin.shell on localhost" in found.detail
    assert "deep trouble" in found.detail
    assert (found.source.file, found.source.line, found.source.exit_code) == ("site.yml", 6, 3)
    assert found.source.tool.startswith("ansible-core 2.")
    assert gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert gone.diagnostics[0].code == "NOTHING_UNDONE"


async def test_a_refused_value_is_a_clean_failure_and_no_log_is_kept(
    harness: EngineHarness, folders: Folders, tmp_path: Path
) -> None:
    tasks = """\
  - name: Check the size
    ansible.builtin.assert:
      that: size in ["small", "large"]
      fail_msg: The size must be small or large.
    when: not hidden
  - name: Check it silently
    ansible.builtin.fail:
      msg: "the plan is {{ size }}"
    no_log: true
"""
    playbook = {"playbook": folders("checked", site_yml=tasks)}
    loud = await harness.apply({"with": {"size": "huge", "hidden": False}, "destroy": "none"}, playbook)
    quiet = await harness.apply(
        {"with": {"size": "huge", "hidden": True}, "destroy": "none"}, playbook, generation=2
    )
    said = str(harness.events)

    assert loud.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert loud.diagnostics[0].summary == "Check the size: The size must be small or large."
    assert quiet.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert "Check it silently" in quiet.diagnostics[0].summary
    assert "the plan is" not in said
    assert not (files_of(tmp_path) / "kept.json").exists()


async def test_secrets_are_used_never_told_and_never_written(
    harness: EngineHarness, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCHAIN_SECRET_PW", "hunter2-{{ 1 + 1 }}-hunter2")
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "default")
    tasks = """\
  - name: Use it
    ansible.builtin.shell: |
      test "$PASSWORD" = 'hunter2-{''{ 1 + 1 }''}-hunter2' && ! env | grep -q ENCHAIN_ANSIBLE
    environment: {PASSWORD: "{{ db.password }}"}
  - name: Say {{ db.password }}
    ansible.builtin.set_stats:
      data: {length: "{{ db.password | length }}"}
"""
    inputs = {"with": {"db": {"password": SecretRef("env:pw"), "user": "me"}}, "destroy": "none"}
    made = await harness.apply(inputs, {"playbook": folders("secret", site_yml=tasks)})
    said = str(harness.events)
    kept = holding(files_of(tmp_path) / "exchange", "hunter2")

    assert made.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, made
    assert outputs_of(made) == {"length": 27}
    assert "hunter2" not in said
    assert kept == []
    assert not holding(files_of(tmp_path), "{{ 1 + 1 }}")


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"main": "../outside.yml"}, "PLAYBOOK_MISSING"),
        ({"main": "/etc/passwd"}, "PLAYBOOK_MISSING"),
        ({"main": "--help"}, "PLAYBOOK_MISSING"),
        ({"destroy": "../outside.yml"}, "DESTROY_MISSING"),
        ({"inventory": "localhost,"}, "INVENTORY_MISSING"),
        ({"with": {"ansible_connection": "ssh"}}, "VARIABLE_RESERVED"),
        ({"with": {"Ansible_python_interpreter": "/bin/sh"}}, "VARIABLE_RESERVED"),
        ({"with": {"hostvars": {}}}, "VARIABLE_RESERVED"),
        ({"with": {PWN: 1}}, "INVALID_INPUT"),
        ({"with": {"for": 1}}, "INVALID_INPUT"),
    ],
)
async def test_files_outside_the_folder_and_variables_that_steer_ansible_are_refused(
    harness: EngineHarness, folders: Folders, tmp_path: Path, inputs: dict[str, object], code: str
) -> None:
    folder = folders("site", site_yml=SITE, destroy_yml=DESTROY)
    (tmp_path / "folders" / "outside.yml").write_text(SITE)
    found = await harness.validate(inputs, {"playbook": folder})
    result = await harness.apply(inputs, {"playbook": folder})

    assert [finding.code for finding in found] == [code]
    assert (result.outcome, result.diagnostics[0].code) == (diagnostic_pb2.OUTCOME_FAILED_CLEAN, code)


async def test_a_playbook_that_cannot_be_undone_must_say_so(harness: EngineHarness, folders: Folders) -> None:
    folder = folders("site", site_yml=SITE)
    schema = await harness.schema({"playbook": folder})
    with pytest.raises(InvalidArgumentError) as caught:
        await harness.apply({"with": {"title": "a"}}, {"playbook": folder})

    assert from_struct(schema.inputs)["required"] == ["destroy"]
    assert caught.value.violations[0].description == "lacks destroy"


async def test_a_playbook_that_is_none_and_one_without_hosts_fail_cleanly(
    harness: EngineHarness, folders: Folders
) -> None:
    broken = folders("broken", site_yml="- hosts: all\n  tasks: [{nosuchmodule: }]\n")
    empty = folders("empty", site_yml="- hosts: webservers\n  tasks: []\n")
    invalid = await harness.apply({"destroy": "none"}, {"playbook": broken})
    nobody = await harness.apply({"destroy": "none"}, {"playbook": empty}, generation=2)

    assert invalid.outcome == diagnostic_pb2.OUTCOME_FAILED_CLEAN
    assert invalid.diagnostics[0].code == "PLAYBOOK_INVALID"
    assert "nosuchmodule" in invalid.diagnostics[0].summary + invalid.diagnostics[0].detail
    assert (nobody.outcome, nobody.diagnostics[0].code) == (diagnostic_pb2.OUTCOME_FAILED_CLEAN, "NO_HOSTS")


WAITING = """\
  - name: Wait
    ansible.builtin.shell: echo began >> log; echo $$ > ready; read -r _ < gate
    args: {chdir: "{{ gate }}"}
  - name: Tell
    ansible.builtin.set_stats: {data: {done: 1}}
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A directory in which a play waits until somebody writes into `gate`."""
    directory = tmp_path / "gate"
    directory.mkdir()
    os.mkfifo(directory / "gate")
    return directory


def pid_in(gate: Path) -> int:
    return int((gate / "ready").read_text() or 0) if (gate / "ready").exists() else 0


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_another_instance_takes_a_running_play_up(folders: Folders, tmp_path: Path, gate: Path) -> None:
    inputs = {"with": {"gate": str(gate)}, "destroy": "none"}
    playbook = {"playbook": folders("waiting", site_yml=WAITING)}
    async with EngineHarness(AnsibleEngine(), scope=tmp_path / "scope") as first:
        lost = asyncio.create_task(first.apply(inputs, playbook))
        await eventually(lambda: pid_in(gate))
        await first.runner.close()
        await asyncio.gather(lost, return_exceptions=True)
    async with EngineHarness(AnsibleEngine(), scope=tmp_path / "scope", instance="second") as second:
        joined = asyncio.create_task(second.apply(inputs, playbook, token=2))
        await asyncio.to_thread((gate / "gate").write_text, "go\n")
        result = await joined

    assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED, result
    assert outputs_of(result) == {"done": 1}
    assert text_of(gate / "log") == "began\n"


async def test_a_cancelled_play_is_stopped_with_the_commands_of_its_tasks(
    harness: EngineHarness, folders: Folders, gate: Path
) -> None:
    inputs = {"with": {"gate": str(gate)}, "destroy": "none"}
    running = asyncio.create_task(harness.apply(inputs, {"playbook": folders("waiting", site_yml=WAITING)}))
    pid = await eventually(lambda: pid_in(gate))
    await harness.runner.cancel_step(engine_pb2.CancelStepRequest(call=harness.call(), reason="enough"))
    result = await running

    assert result.outcome == diagnostic_pb2.OUTCOME_CANCELLED
    assert not exists(pid)
