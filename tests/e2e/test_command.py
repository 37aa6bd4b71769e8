"""The `enchain` command as its users run it: a process of its own, against a running enchain.

In scope: what it prints where, with which code it ends, on pipes and on a terminal. What the planes decide
is tested beside them.
"""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import yaml

from enchain.cli import exits
from enchain.cli.commands.documents import KINDS
from tests.e2e.conftest import SITE, House
from tests.harness.commands import COMMAND, SECONDS_MAX, Command


@pytest.fixture
def enchain(tmp_path: Path, house: House) -> Command:
    """The command, in a folder of the test's own."""
    return Command(tmp_path, house.environment)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, house: House) -> Command:
    """The command, and the workload `pages` saved from its folder: the example `site` under another name."""
    command = Command(tmp_path_factory.mktemp("pages"), house.environment)
    text = SITE.read_text().replace("name: site", "name: pages").replace("workload: site", "workload: pages")
    (command.folder / "pages.yaml").write_text(text)
    shutil.copytree(SITE.parent / "site", command.folder / "site")
    done = command("apply", "-f", "pages.yaml")
    assert done.code == exits.OK, done.err
    return command


def read_until(stream: IO[str], wanted: Callable[[str], bool]) -> list[str]:
    """Read lines up to the one that is wanted."""
    lines = []
    for line in stream:
        lines.append(line)
        if wanted(line):
            return lines
    raise AssertionError(f"it ended with {lines}")


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


# --- documents


SMALL = """
kind: Workload
name: {name}
inputs: {{text: string}}
steps:
- name: serve
  by:
    process:
      run: [python3, -m, http.server, "${{port}}", --bind, 127.0.0.1]
      files: {{index.html: "{page}"}}
outputs: {{url: "${{steps.serve.outputs.url}}"}}
"""


def test_apply_creates_once_then_changes_nothing_and_says_where_requests_still_go(enchain: Command) -> None:
    file = enchain.folder / "w.yaml"
    file.write_text(SMALL.format(name="applied", page="one"))

    dry = enchain("apply", "-f", "w.yaml", "--dry-run")
    assert (dry.code, dry.out) == (exits.OK, "created    Workload workloads/applied (dry run)\n")
    assert enchain.here("get", "workloads", "applied").code == exits.NOT_FOUND

    assert enchain("apply", "-f", "w.yaml").out == "created    Workload workloads/applied\n"
    assert enchain("apply", "-f", "w.yaml", "-o", "json").json[0]["what"] == "unchanged"
    before = enchain.here("get", "routes", "applied", "-o", "json").json[0]["shares"]

    file.write_text(SMALL.format(name="applied", page="two"))
    changed = enchain("apply", "-f", "w.yaml")
    assert changed.out.startswith("changed ")
    assert "enchain switch applied default" in changed.err
    assert enchain.here("get", "routes", "applied", "-o", "json").json[0]["shares"] == before

    assert enchain.here("delete", "workloads", "applied").out == "deleted workload applied\n"
    assert enchain.here("delete", "workloads", "applied").code == exits.NOT_FOUND


BAD_STEP = "kind: Workload\nname: bad\nsteps:\n- name: a\n  by:\n    "


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("kind: Workload\nname: bad\nsteps:\n- name: a\n  by: {x: {n: ${inputs.n}}}\n", 5, "double quotes"),
        ("kind: Workload\nname: bad\nstep: []\n", 3, "Did you mean `steps`?"),
        (SMALL.format(name="bad", page="${inputs.nope}").lstrip(), 9, "inputs has no field nope"),
        (
            "kind: Workload\nname: bad\nsteps:\n- name: a\n  by:\n    terraform: {module: ./none}\n",
            6,
            "./none",
        ),
        ("kind: Workload\nname: bad\nsteps:\n- name: a\n  by:\n    nobody: {n: 1}\n", 6, "nobody"),
    ],
    ids=["an unquoted brace", "a misspelt field", "a wrong expression", "no such module", "no such engine"],
)
def test_a_bad_document_is_refused_where_it_is_wrong(
    enchain: Command, text: str, where: int, words: str
) -> None:
    (enchain.folder / "bad.yaml").write_text(text)

    done = enchain.here("apply", "-f", str(enchain.folder / "bad.yaml"))

    assert done.code in {exits.INVALID, exits.CONFLICT}
    assert f"bad.yaml:{where}" in done.err
    assert words in done.err
    assert done.out == ""


def test_every_kind_of_thing_is_listed_in_every_form_and_described_whole(pages: Command) -> None:
    pages.here("provision", "pages", "-i", "name=listed", "--name", "listed", "-q")
    pages.here("switch", "pages", "default")
    when = ("--start", "2030-01-01T09:00:00Z", "--end", "2030-01-01T18:00:00Z")
    pages.here("events", "create", "pages", "launch", "--type", "campaign", *when)
    (file := pages.folder / "same.yaml").write_text(
        "{kind: Experiment, workload: pages, name: same, goal: time,"
        " arms: {one: {chain: default, weight: 50}, two: {chain: default, weight: 50}}}"
    )
    assert pages.here("apply", "-f", str(file)).code == exits.OK
    for kind in KINDS:
        listed = pages.here("get", kind, "-o", "json").json
        assert [entry for entry in listed if entry["name"]], kind
        heading, *lines = pages.here("get", kind).out.splitlines()
        assert heading.split()[0].lower() in {kind[:-1], "workload"}
        assert len(lines) >= len(listed)

        name = lines[0].split()[0]
        described = pages.here("describe", kind[:-1], name, "-o", "yaml")
        whole = pages.here("get", kind, name, "-o", "json").json[0]
        assert yaml.safe_load(described.out).items() >= whole.items()
        assert pages.here("describe", kind, name, "-o", "json").json == yaml.safe_load(described.out)
    written = pages("get", "workloads", "pages", "-o", "yaml").out
    assert yaml.safe_load(written)[0]["name"] == "workloads/pages"
    pages.here("deprovision", "listed", "-q")


# --- a resource's life


def test_a_resource_comes_as_planned_is_served_changed_explained_and_gone(pages: Command) -> None:
    planned = pages.here("plan", "pages", "-i", "name=moon", "-o", "json").json
    came = pages("provision", "pages", "-i", "name=moon", "--plan", planned["plan_token"])
    assert came.code == exits.OK, came.err
    resource, url = came.out.split()[0], came.out.split()[-1]
    assert fetched(url) == "<h1>Hello, moon</h1>\n"
    assert [line.split(":")[0] for line in came.err.splitlines()[1:]] == [
        "configure", "configure", "serve", "serve",
    ]  # fmt: skip
    whole = pages.here("get", "resources", resource, "-o", "json").json[0]
    assert (whole["bucket"], whole["chain"]) == (planned["bucket"], planned["chain"])
    assert f"bucket {planned['bucket']}" in pages.here("explain", "pages", "--key", resource).out

    again = pages("provision", "pages", "-i", "name=moon", "--plan", planned["plan_token"], "-o", "json")
    assert again.code == exits.CONFLICT
    assert json.loads(again.err)["error"]["reason"] == "RESOURCE_EXISTS"
    other = pages("provision", "pages", "-i", "name=sun", "--plan", planned["plan_token"])
    assert (other.code, "PLAN_STALE" in other.err) == (exits.CONFLICT, True)

    shown = pages.here("plan", "--resource", resource, "-i", "name=mars").out
    assert "~ terraform_data.pages" in shown
    assert f"enchain update {resource} -i name=mars --plan" in shown
    summary = pages("update", resource, "-i", "name=mars", "-i", "greeting=Ave", "-o", "json").json
    assert (summary["verb"], summary["state"], summary["resource"]) == ("update", "succeeded", whole["name"])
    assert [step["outcome"] for step in summary["steps"]] == ["succeeded", "succeeded"]
    assert fetched(summary["outputs"]["url"]) == "<h1>Ave, mars</h1>\n"

    assert "--plan" not in pages.here("plan", "--resource", resource, "--destroy").out
    gone = pages("deprovision", resource)
    assert (gone.code, gone.out) == (exits.OK, f"{resource}  deprovision succeeded\n")
    assert pages.here("get", "resources", resource).code == exits.NOT_FOUND
    verbs = [o["verb"] for o in pages.here("operations", "--resource", resource, "-o", "json").json]
    assert verbs == ["VERB_DEPROVISION", "VERB_UPDATE", "VERB_PROVISION"]


def test_a_switch_moves_what_comes_after_it_and_is_undone(pages: Command) -> None:
    dry = pages("switch", "pages", "all-in-one", "--dry-run")
    assert (dry.code, dry.out.split(":")[0]) == (exits.OK, "would move")
    assert "default@" in pages.here("explain", "pages", "--key", "x").out

    moved = pages("switch", "pages", "all-in-one", "--reason", "to see", "-o", "json").json
    assert (moved["converged"], moved["reason"]) == (True, "to see")
    assert moved["state"] in {"STATE_DRAINING", "STATE_RETIRING", "STATE_DONE"}
    converged = pages.here("convergence", "pages", "-o", "json").json
    assert [router["converged"] for router in converged["routers"]] == [True, True]
    assert "all-in-one@" in pages.here("explain", "pages", "--key", "x").out
    stale = pages.here("switch", "pages", "default", "--etag", "never")
    assert (stale.code, "ETAG_MISMATCH" in stale.err) == (exits.CONFLICT, True)

    shown = pages("switch", "show", "pages", "--watch")
    assert (shown.code, shown.out.splitlines()[0].split(": ")[1]) == (exits.OK, "done")
    assert "the route leads to the new chain" in shown.out

    assert pages("rollback", "pages").code == exits.OK
    assert "default@" in pages.here("explain", "pages", "--key", "x").out
    undone = pages("switch", "show", "pages", "--watch", "-o", "json").json
    assert undone["rollback_of"] == moved["name"]
    listed = pages.here("switches", "pages", "-o", "json").json
    assert [each["name"] for each in listed] == [undone["name"], moved["name"]]


def test_a_pinned_route_stays_until_it_is_unpinned(pages: Command) -> None:
    assert "pinned: pages stays on" in pages.here("pin", "pages", "--reason", "audit week").out
    refused = pages.here("switch", "pages", "all-in-one")
    assert (refused.code, "audit week" in refused.err) == (exits.CONFLICT, True)
    assert "enchain unpin pages" in refused.err
    assert "audit week" in pages.here("get", "routes", "pages").out
    assert pages.here("rollback", "pages").code == exits.CONFLICT

    assert pages.here("unpin", "pages").code == exits.OK
    moved = pages("switch", "pages", "all-in-one", "--watch-for", "0s", "--drain-policy", "hand-over",
                  "--drain-timeout", "30s", "--watch", "-o", "json").json  # fmt: skip
    assert (moved["state"], moved["drain_policy"]) == ("STATE_DONE", "DRAIN_POLICY_HAND_OVER")
    assert pages("rollback", "pages", "--watch").code == exits.OK


def test_a_module_becomes_a_workload_that_works(enchain: Command) -> None:
    shutil.copytree(SITE.parent / "site", enchain.folder / "leaflet")

    assert enchain("init", "--from", "leaflet").code == exits.OK
    assert enchain("apply", "-f", "workload.yaml").out == "created    Workload workloads/leaflet\n"
    summary = enchain("provision", "leaflet", "-i", "name=x", "--name", "leaflet", "-o", "json").json

    assert summary["outputs"]["files"]["index.html"] == "<h1>Hello, x</h1>\n"
    assert enchain("deprovision", "leaflet", "-q").code == exits.OK


# --- watching


GATED = """
kind: Workload
name: gated
inputs: {gate: string}
on_failure: hold
steps:
- name: configure
  by:
    terraform: {module: ./gated, with: {gate: "${inputs.gate}"}}
outputs: {made: "${steps.configure.outputs.made}"}
"""
GATED_MODULE = """
variable "gate" { type = string }
resource "terraform_data" "first" { input = var.gate }
resource "terraform_data" "gate" {
  input = terraform_data.first.output
  provisioner "local-exec" {
    command     = "until test -e \\"$GATE\\"; do sleep 0.05; done"
    environment = { GATE = var.gate }
  }
}
output "made" { value = { by = terraform_data.gate.output } }
"""


def test_stopping_to_watch_stops_nothing_and_a_held_operation_is_gone_on_with(enchain: Command) -> None:
    (enchain.folder / "gated").mkdir()
    (enchain.folder / "gated" / "main.tf").write_text(GATED_MODULE)
    (enchain.folder / "gated.yaml").write_text(GATED)
    assert enchain.here("apply", "-f", str(enchain.folder / "gated.yaml")).code == exits.OK
    gate = enchain.folder / "gate"

    process = enchain.start("provision", "gated", "-i", f"gate={gate}", "--name", "gated")
    assert process.stderr is not None
    first, *_ = read_until(process.stderr, lambda line: line.startswith("configure: "))
    operation = first.split(":")[0]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, out) == (exits.INTERRUPTED, "")
    assert f"the operation goes on: enchain watch {operation}" in err
    assert "Traceback" not in err
    assert enchain.here("get", "operations", operation, "-o", "json").json[0]["state"] == "STATE_RUNNING"

    assert enchain("cancel", operation, "--reason", "changed my mind").code == exits.OK
    held = enchain("watch", operation)
    assert (held.code, held.out.splitlines()[0]) == (exits.HELD, "gated  provision held")
    assert f"enchain retry {operation}, or enchain deprovision gated" in held.err
    assert enchain.here("get", "resources", "gated", "-o", "json").json[0]["state"] == "STATE_HELD"

    gate.touch()
    assert enchain("retry", operation).code == exits.OK
    replayed = enchain("watch", operation)
    assert (replayed.code, "held:" in replayed.err) == (exits.OK, True)
    assert replayed.out == f'gated  provision succeeded\n  made: {{"by": "{gate}"}}\n'
    beyond = enchain("watch", operation, "--after", "999", "-o", "json").json
    assert (beyond["state"], beyond["outputs"]) == ("succeeded", {"made": {"by": str(gate)}})
    assert enchain("retry", operation).code == exits.CONFLICT
    assert enchain("deprovision", "gated", "-q").code == exits.OK


def test_a_terminal_gets_a_line_a_step_that_is_redrawn_and_then_the_answer(pages: Command) -> None:
    code, shown = pages.on_a_terminal("provision", "pages", "-i", "name=tty", "--name", "tty")
    assert code == exits.OK
    assert "\x1b[?25l" in shown  # the cursor is hidden while it draws
    assert shown.index("running") < shown.rindex("succeeded")
    last_drawing = shown[: shown.rindex("\x1b[?25h")].splitlines()[-2:]  # and shown again at the end
    assert [line.split()[0].rsplit("K", 1)[-1] for line in last_drawing] == ["configure", "serve"]
    assert shown.splitlines()[-1].strip().startswith("url: http://127.0.0.1:")

    code, shown = pages.on_a_terminal("deprovision", "tty", "--quiet")
    assert (code, shown) == (exits.OK, "tty  deprovision succeeded\r\n")


# --- codes


NOWHERE = {"ENCHAIN_CONTROL": "127.0.0.1:1", "ENCHAIN_ROUTERS": "127.0.0.1:1,127.0.0.1:2"}


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("get", "workloads", "nope"), exits.NOT_FOUND, "WORKLOAD_NOT_FOUND"),
        (("get", "instances", "nope"), exits.NOT_FOUND, "INSTANCE_NOT_FOUND"),
        (("provision", "nope"), exits.NOT_FOUND, "WORKLOAD_NOT_FOUND"),
        (("switch", "pages", "nope"), exits.NOT_FOUND, "CHAIN_NOT_FOUND"),
        (("describe", "operations", "nope"), exits.INVALID, "INVALID_ID"),
        (("provision", "pages", "-i", "nme=x"), exits.INVALID, "did you mean name?"),
        (("provision", "pages", "-i", "name:=3"), exits.INVALID, "a string is wanted"),
        (("provision", "pages", "-i", "name=x", "--timeout", "0.001"), exits.INVALID, "timeout"),
        (("delete", "chains", "pages/default"), exits.CONFLICT, "IN_USE"),
        (("provision", "pages", "-i", "name"), exits.USAGE, "NAME=TEXT"),
        (("get", "wrokloads"), exits.USAGE, "workloads"),
    ],
)
def test_a_refusal_ends_with_its_code_and_says_why(
    pages: Command, words: tuple[str, ...], code: int, reason: str
) -> None:
    done = pages.here(*words)

    assert done.code == code, done.err
    assert reason in done.err
    assert done.out == ""


def test_where_nothing_answers_it_says_where_it_looked_and_what_to_do(pages: Command) -> None:
    routers = pages("resources", "-o", "json", **NOWHERE)
    assert (routers.code, routers.out) == (exits.UNAVAILABLE, "")
    error = json.loads(routers.err)["error"]
    assert error["reason"] == "NO_ROUTER_ANSWERS"
    assert "127.0.0.1:2" in error["message"]
    assert "ENCHAIN_ROUTERS" in error["remedy"]

    control = pages("apply", "-f", "pages.yaml", **NOWHERE)
    assert control.code == exits.UNAVAILABLE
    assert "no control plane answers at 127.0.0.1:1" in control.err
    assert "ENCHAIN_CONTROL" in control.err
    assert "pages.yaml" not in control.err


def test_an_operation_that_failed_and_left_nothing_says_why_and_ends_with_its_code(enchain: Command) -> None:
    text = SMALL.format(name="broken", page="x").replace("[python3, -m,", "[python3, -m, no_such_module,")
    (enchain.folder / "broken.yaml").write_text(text)
    assert enchain.here("apply", "-f", str(enchain.folder / "broken.yaml")).code == exits.OK

    done = enchain("provision", "broken", "-i", "text=x", "--name", "broken", "--quiet")

    assert (done.code, done.out) == (exits.FAILED, "broken  provision failed\n")
    assert "process/" in done.err
    assert enchain.here("get", "resources", "broken").code == exits.NOT_FOUND


def test_a_check_only_admits_nothing(pages: Command) -> None:
    before = len(pages.here("operations", "-o", "json").json)

    assert pages("provision", "pages", "-i", "name=x", "--dry-run").out == "valid; nothing was provisioned\n"
    assert pages.here("provision", "pages", "-i", "name=x", "--dry-run", "-o", "json").json == {"valid": True}
    assert len(pages.here("operations", "-o", "json").json) == before


def test_the_scripts_of_completion_are_what_shells_evaluate(pages: Command) -> None:
    script = pages("completion", "bash").out
    asked = "COMP_WORDS=(enchain pro); COMP_CWORD=1; _enchain_completion enchain; echo ${COMPREPLY[@]}"
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", f"{script}\n{asked}"],
        env={**pages.environment, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert (done.stdout.split(), done.stderr) == (["provision"], "")
    assert pages.here("completion", "zsh").out.startswith("#compdef enchain")
    assert pages.here("completion", "fish").out.startswith("function _enchain_completion")
