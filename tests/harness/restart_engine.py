"""Kills the engine server of a folder, if it runs, and starts it (again) at the same address.

`python -m tests.harness.restart_engine FOLDER`: the folder's `argv.json` is the server's command
line; `ready.json` is what it wrote when it served. Tests give this to the suite as its restart command.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

START_SECONDS = 30.0
POLL_SECONDS = 0.02


def kill(folder: Path) -> str:
    """Kill the server, if it runs; answer where it listened."""
    ready = folder / "ready.json"
    if not ready.exists():
        return "127.0.0.1:0"
    told = json.loads(ready.read_text())
    os.kill(told["pid"], signal.SIGKILL)
    ready.unlink()
    return str(told["address"])


def start(folder: Path, address: str) -> None:
    """Start the server and wait until it serves."""
    argv = json.loads((folder / "argv.json").read_text())
    argv += ["--listen", address, "--ready-file", str(folder / "ready.json")]
    with (folder / "log").open("ab") as log:
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "ready.json").exists():
        if time.monotonic() > deadline:
            sys.exit("the engine server did not start")
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    start(Path(sys.argv[1]), kill(Path(sys.argv[1])))
