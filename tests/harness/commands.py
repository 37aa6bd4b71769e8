"""Runs the `enchain` command as its users run it: a process of its own, on pipes or on a terminal."""

import json
import os
import pty
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from enchain.cli import exits
from enchain.cli.main import main

COMMAND = Path(sysconfig.get_path("scripts")) / "enchain"
SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Done:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, for programs."""
        assert self.code == exits.OK, self.err
        return json.loads(self.out)


class Command:
    """Runs the command in a folder, with what it needs to find the running enchain."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment, "TERM": "xterm", "COLUMNS": "100"}

    def __call__(self, *words: str, **environment: str) -> Done:
        """Run it to its end."""
        done = subprocess.run(
            [COMMAND, *words],
            cwd=self.folder, env={**self.environment, **environment}, timeout=SECONDS_MAX,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def here(self, *words: str) -> Done:
        """Run it in this process, where many runs would take long."""
        done = CliRunner(env=self.environment).invoke(main, words)
        return Done(done.exit_code, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run it without waiting; Ctrl-C reaches it, also where the tests run in the background."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", COMMAND, *words],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def on_a_terminal(self, *words: str) -> tuple[int, str]:
        """Run it on a terminal of its own; answer its code and all that the terminal got."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [COMMAND, *words], cwd=self.folder, env=self.environment, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # so Linux says that nobody holds the other end any more
            pass
        finally:
            os.close(ours)
        return process.wait(SECONDS_MAX), shown.decode()
