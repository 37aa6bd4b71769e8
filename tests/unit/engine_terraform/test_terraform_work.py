"""The work's directory: what is laid there, what survives an update, and what counts as proof of absence."""

import json
import os
from pathlib import Path

from enchain.engines.terraform.files import copy_module
from enchain.engines.terraform.variables import Variables
from enchain.engines.terraform.work import OVERRIDE, Work
from tests.harness.terraform_modules import locked_by_another


def artifact(directory: Path, **files: str) -> Path:
    directory.mkdir()
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    return directory


def opened(directory: Path) -> Work:
    work = Work(directory / "files")
    work.open("r1/configure")
    return work


def state_of(work: Work, *resources: str) -> None:
    listed = [{"mode": "managed", "type": "a", "name": name, "instances": [{}]} for name in resources]
    data = {"mode": "data", "type": "a", "name": "looked_up", "instances": [{}]}
    state = {"version": 4, "serial": 1, "lineage": "x", "resources": [*listed, data]}
    work.state.write_text(json.dumps(state))


def test_the_module_is_laid_beside_what_terraform_wrote_there(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.prepare(artifact(tmp_path / "one", main_tf="1", old_tf="old"), Variables())
    (work.module / "made-by-provisioner").write_text("kept")
    work.prepare(artifact(tmp_path / "two", main_tf="2"), Variables())

    assert {path.name for path in work.module.iterdir()} == {"main.tf", "made-by-provisioner", OVERRIDE}
    assert (work.module / "main.tf").read_text() == "2"


def test_laying_the_same_module_again_touches_nothing(tmp_path: Path) -> None:
    work = opened(tmp_path)
    source = artifact(tmp_path / "one", main_tf="1")
    work.prepare(source, Variables())
    before = (work.module / "main.tf").stat().st_ino
    work.prepare(source, Variables())

    assert (work.module / "main.tf").stat().st_ino == before


def test_the_state_is_the_works_own_whatever_the_module_says(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.prepare(artifact(tmp_path / "one", main_tf="1"), Variables())

    backend = json.loads((work.module / OVERRIDE).read_text())["terraform"]["backend"]
    assert backend == {"local": {"path": str(work.state)}}


def test_leftovers_of_somebody_elses_run_are_not_copied(tmp_path: Path) -> None:
    source = artifact(tmp_path / "one", main_tf="1", terraform_tfstate="theirs", errored_tfstate="theirs")
    (source / ".terraform").mkdir()
    (source / ".terraform" / "terraform.tfstate").write_text("theirs")

    assert copy_module(source, tmp_path / "target") == ["main.tf"]


def test_a_read_only_artifact_becomes_writable(tmp_path: Path) -> None:
    source = artifact(tmp_path / "one", run_sh="#!/bin/sh")
    (source / "run.sh").chmod(0o555)
    copy_module(source, tmp_path / "target")

    assert (tmp_path / "target" / "run.sh").stat().st_mode & 0o777 == 0o755


def test_values_are_kept_private_and_read_back_the_same(tmp_path: Path) -> None:
    work = opened(tmp_path)
    variables = Variables({"name": "${file(1)}", "n": 2**60})
    work.prepare(artifact(tmp_path / "one", main_tf="1"), variables)

    assert work.variables() == variables
    assert work.values.stat().st_mode & 0o777 == 0o600


def test_a_prepared_change_that_touches_nothing_leaves_what_stands(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.prepare(artifact(tmp_path / "one", main_tf="1"), Variables({"n": 1}))
    work.promote()
    work.prepare(artifact(tmp_path / "two", main_tf="2", more_tf="more"), Variables({"n": 2}))
    prepared = json.loads(work.next_values.read_text())
    work.restore()

    assert prepared == {"n": 2}
    assert work.variables() == Variables({"n": 1})
    assert {path.name for path in work.module.iterdir()} == {"main.tf", OVERRIDE}
    assert (work.module / "main.tf").read_text() == "1"


def test_a_change_that_touches_something_becomes_what_stands(tmp_path: Path) -> None:
    work = opened(tmp_path)
    for number in (1, 2):
        source = artifact(tmp_path / f"v{number}", main_tf=str(number))
        work.prepare(source, Variables({"n": number}))
        work.promote()
        work.promote()
    work.restore()

    assert work.variables() == Variables({"n": 2})
    assert (work.module / "main.tf").read_text() == "2"


def test_before_any_change_a_missing_state_proves_that_nothing_exists(tmp_path: Path) -> None:
    work = opened(tmp_path)

    assert not work.may_hold()


def test_after_a_change_began_a_missing_state_proves_nothing(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.begin_change()

    assert work.may_hold()
    assert not work.may_hold(begun=False)


def test_an_empty_state_proves_absence_and_a_full_or_torn_one_does_not(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.begin_change()
    state_of(work)
    empty = work.may_hold()
    state_of(work, "one")
    full = work.may_hold()
    work.state.write_text('{"resources": [')

    assert (empty, full, work.may_hold()) == (False, True, True)


def test_a_killed_run_outweighs_an_empty_state(tmp_path: Path) -> None:
    work = opened(tmp_path)
    state_of(work)
    work.note_kill(["a.one"])
    work.note_kill(["a.two"])

    assert work.may_hold()
    assert work.killed() == ["a.one", "a.two"]


def test_a_note_of_the_lock_without_the_lock_tells_of_a_killed_run(tmp_path: Path) -> None:
    work = opened(tmp_path)
    state_of(work, "one")
    quiet = work.was_killed()
    (work.state.parent / ".terraform.tfstate.lock.info").write_text("{}")
    killed = work.was_killed()
    with locked_by_another(work.state):
        running = work.was_killed()

    assert (quiet, killed, running) == (False, True, False)


def test_removing_leaves_nothing_but_the_record_of_absence(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.prepare(artifact(tmp_path / "one", main_tf="1"), Variables())
    work.remove()
    work.remove()

    assert [path.name for path in work.root.iterdir()] == ["absent.json"]
    assert work.is_absent()
    assert not work.exists()


def test_only_the_newest_plans_are_kept(tmp_path: Path) -> None:
    work = opened(tmp_path)
    digests = []
    for number in range(6):
        draft, directory, _ = work.begin_draft(None, {})
        (draft / "plan").write_bytes(b"plan %d" % number)
        digests.append(work.keep_plan(draft, "origin"))
        os.utime(work.plans / digests[-1].removeprefix("sha256:"), ns=(number, number))

    assert directory == work.module
    assert [work.plan(digest) is not None for digest in digests] == [False, False, True, True, True, True]


def test_a_changed_module_is_planned_beside_the_live_one(tmp_path: Path) -> None:
    work = opened(tmp_path)
    work.prepare(artifact(tmp_path / "one", main_tf="1"), Variables())
    _, directory, _ = work.begin_draft(artifact(tmp_path / "two", main_tf="2"), {})

    assert (directory / "main.tf").read_text() == "2"
    assert (work.module / "main.tf").read_text() == "1"


def test_the_state_is_private(tmp_path: Path) -> None:
    work = opened(tmp_path)
    state_of(work)
    work.state.chmod(0o644)
    work.protect_state()

    assert work.state.stat().st_mode & 0o777 == 0o600
    assert work.state.parent.stat().st_mode & 0o777 == 0o700
