"""Small scripts for tests of the script engine."""

from pathlib import Path

OK = '{"enchain": "result", "ok": true}'


def answering(*lines: str, code: int = 0) -> str:
    """Write a bash script that prints lines and ends with an exit code."""
    said = "\n".join(f"echo '{line}'" for line in lines)
    return f"#!/bin/bash\n{said}\nexit {code}\n"


def was_pwned(root: Path) -> bool:
    """Say whether hostile text was run as a command anywhere below a directory."""
    return any(root.rglob("pwned"))
