"""What the tools of the engines do: make a thing, or remove it, and write down in the witness that they did.

    python3 effects.py WORLD WORK VERB MARK SECONDS

The witness is a file outside enchain. Each line is one append, so that tools that run at once do not mix.
`begin` is written before anything is touched, `end` once the effect has happened. Standard library only.
"""

import os
import sys
import time
from pathlib import Path


def note(world: str, work: str, verb: str, mark: str, phase: str) -> None:
    """Append one line to the witness."""
    witness = os.open(Path(world, "witness"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(witness, f"{work} {verb} {mark} {phase} {os.getpid()}\n".encode())
    finally:
        os.close(witness)


def thing(world: str, work: str) -> Path:
    """Answer where the thing of a piece of work stands."""
    return Path(world, "things", work.replace("/", "."))


def make(world: str, work: str, verb: str, mark: str, seconds: float, content: str) -> None:
    """Make a thing, slowly."""
    note(world, work, verb, mark, "begin")
    time.sleep(seconds)
    thing(world, work).write_text(content)
    note(world, work, verb, mark, "end")


def remove(world: str, work: str, mark: str) -> None:
    """Remove a thing; one that is gone already is no error."""
    note(world, work, "destroy", mark, "begin")
    thing(world, work).unlink(missing_ok=True)
    note(world, work, "destroy", mark, "end")


def main() -> None:
    """Do what the command line says."""
    world, work, verb, mark, seconds = sys.argv[1:]
    if verb == "destroy":
        remove(world, work, mark)
    else:
        make(world, work, verb, mark, float(seconds), mark)


if __name__ == "__main__":
    main()
