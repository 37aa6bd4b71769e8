"""The command as a whole: its table of commands, its codes, and what becomes of a fault of our own."""

import click
import pytest
from click.testing import CliRunner

from enchain.cli import exits
from enchain.cli.main import COMMANDS, LazyGroup, main


class OneCommand(LazyGroup):
    """A group whose only command does what a test says."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        return self.commands.get(cmd_name)


def ends_with(error: BaseException) -> tuple[int, str]:
    @click.command()
    def work() -> None:
        raise error

    done = CliRunner().invoke(OneCommand(commands={"work": work}), ["work"])
    return done.exit_code, done.stderr


def test_a_fault_of_our_own_has_a_code_of_its_own_and_shows_where_it_happened() -> None:
    code, told = ends_with(ZeroDivisionError("nobody thought of it"))

    assert code == exits.BUG
    assert "nobody thought of it" in told
    assert "Traceback" in told
    assert "fault of enchain's own" in told


@pytest.mark.parametrize(
    ("error", "code"), [(click.UsageError("wrong"), exits.USAGE), (click.Abort(), 1), (SystemExit(7), 7)]
)
def test_what_click_ends_by_itself_is_no_fault(error: BaseException, code: int) -> None:
    ended, told = ends_with(error)

    assert ended == code
    assert "Traceback" not in told


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_and_explains_itself(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])

    assert done.exit_code == exits.OK, done.output
    assert done.stdout.startswith(f"Usage: main {name}")


def test_every_code_is_told_by_the_help() -> None:
    told = " ".join(CliRunner().invoke(main, ["--help"]).stdout.split())

    assert all(f"{code} {meaning}" in told for code, meaning in exits.EXITS.items())


@pytest.mark.parametrize("files", [("--tls-cert", "a"), ("--tls-cert", "a", "--tls-key", "b")])
def test_files_for_tls_go_together(files: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*files, "resources"])

    assert done.exit_code == exits.USAGE
    assert "go together" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plan"], "name a WORKLOAD"),
        (["plan", "site", "--resource", "x"], "name a WORKLOAD"),
        (["plan", "site", "--destroy"], "--destroy goes with --resource"),
        (["get", "chains", "site"], "WORKLOAD/CHAIN"),
        (["get", "nothing"], "instances"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(words: list[str], told: str) -> None:
    done = CliRunner(env={"ENCHAIN_CONTROL": "127.0.0.1:1", "ENCHAIN_ROUTERS": "127.0.0.1:1"}).invoke(
        main, words
    )

    assert done.exit_code == exits.USAGE
    assert told in done.stderr
