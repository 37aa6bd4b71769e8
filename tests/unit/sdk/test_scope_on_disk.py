"""The state scope on disk: locks that follow the open file, records written whole, and what is swept."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enchain.chains.errors import MalformedError
from enchain.sdk.calls import Key, Token, WorkId
from enchain.sdk.ledger import Ask, Method, finished
from enchain.sdk.ledger_file import TOMBSTONE_AGE, LedgerFile
from enchain.sdk.scope import FileLock, Scope, is_held, read_record, write_whole
from enchain.sdk.sweeping import sweep
from enchain.v1 import operation_pb2

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORK = WorkId("default", "uid", "step")
HOLD = "import sys; sys.stdin.read()"


def ask(method: Method, key: Key) -> Ask:
    return Ask(method, key, Token(1, 1), NOW, NOW + timedelta(minutes=1), "a", "i")


def test_a_lock_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")

    assert one.try_acquire()
    assert not other.try_acquire()
    one.release()
    assert other.try_acquire()
    other.release()


def test_a_lock_that_was_handed_over_is_held_until_the_heir_is_dead(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.try_acquire()
    heir = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", HOLD], stdin=subprocess.PIPE, pass_fds=[lock.fd]
    )
    lock.hand_over()

    assert is_held(tmp_path / "lock")
    heir.kill()
    heir.communicate()
    assert not is_held(tmp_path / "lock")


def test_a_lock_on_a_file_that_was_swept_away_guards_nothing(tmp_path: Path) -> None:
    stale, fresh = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert stale.try_acquire()
    (tmp_path / "lock").unlink()

    assert fresh.try_acquire()
    stale.release()
    fresh.release()


def test_a_record_is_written_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_whole(tmp_path / "inner" / "record", b'{"a": 1}')

    assert read_record(tmp_path / "inner" / "record") == {"a": 1}
    assert (tmp_path / "inner" / "record").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["record"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{"])
def test_a_broken_record_is_told_and_not_taken_for_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record").write_bytes(content)

    with pytest.raises(MalformedError):
        read_record(tmp_path / "record")


def test_a_broken_ledger_stops_all_work_on_it(tmp_path: Path) -> None:
    paths = Scope(tmp_path).work(WORK)
    write_whole(paths.ledger, b'{"work_id": "uid/step"}')

    with pytest.raises(MalformedError):
        LedgerFile(paths, WORK.text).ask(ask(Method.APPLY, Key(operation_pb2.VERB_PROVISION, 1)))


def test_a_ledger_reads_back_as_it_was_written(tmp_path: Path) -> None:
    book = LedgerFile(Scope(tmp_path).work(WORK), WORK.text)
    decision = book.ask(ask(Method.APPLY, Key(operation_pb2.VERB_PROVISION, 1)))

    assert book.read() == decision.ledger


def test_a_scope_has_one_name_whoever_asks_first(tmp_path: Path) -> None:
    assert Scope(tmp_path).identify("first") == "first"
    assert Scope(tmp_path).identify("second") == "first"


def destroyed(tmp_path: Path, method: Method = Method.DESTROY) -> Path:
    """Make the ledger of something that was destroyed (or only applied)."""
    verb = operation_pb2.VERB_DEPROVISION if method is Method.DESTROY else operation_pb2.VERB_PROVISION
    paths, key = Scope(tmp_path).work(WORK), Key(verb, 1)
    book = LedgerFile(paths, WORK.text)
    book.ask(ask(method, key))
    book.change(lambda ledger: finished(ledger, key, {"outcome": "OUTCOME_SUCCEEDED"}))
    os.utime(paths.ledger, (NOW.timestamp(), NOW.timestamp()))
    return paths.root


def test_the_tombstone_of_a_destroyed_work_goes_when_no_late_call_can_come(tmp_path: Path) -> None:
    root = destroyed(tmp_path)

    assert sweep(Scope(tmp_path), NOW + TOMBSTONE_AGE) == 0
    assert root.exists()
    assert sweep(Scope(tmp_path), NOW + TOMBSTONE_AGE + timedelta(minutes=5)) == 1
    assert not root.parent.exists()


def test_what_stands_is_never_swept(tmp_path: Path) -> None:
    root = destroyed(tmp_path, Method.APPLY)

    assert sweep(Scope(tmp_path), NOW + timedelta(days=1000)) == 0
    assert root.exists()


def test_a_plan_that_nobody_applied_is_swept(tmp_path: Path) -> None:
    root = Scope(tmp_path).work(WORK).root
    (root / "files").mkdir(parents=True)
    os.utime(root, (0, 0))

    assert sweep(Scope(tmp_path), NOW) == 1
    assert not root.exists()
