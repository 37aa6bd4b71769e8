"""A script that remembers a name in a file. It knows all verbs, and takes its time or fails when asked to."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

FILE = Path("name.json")


def answer(kind: str, **fields: object) -> None:
    """Answer the engine."""
    sys.stdout.write(json.dumps({"enchain": kind, **fields}) + "\n")
    sys.stdout.flush()


def standing() -> str | None:
    """Answer the name that is remembered."""
    return str(json.loads(FILE.read_text())["name"]) if FILE.exists() else None


def make(inputs: dict[str, Any]) -> None:
    """Remember."""
    answer("handle", data={"file": str(FILE.absolute())})
    sys.stdout.write(f"the token is {os.environ.get('SECRET_TOKEN', 'missing')}\n")
    sys.stdout.flush()
    subprocess.run(["sleep", str(inputs.get("seconds", 0))], check=True)
    FILE.write_text(json.dumps({"name": inputs["name"]}))
    if inputs.get("fail"):
        answer("diagnostic", summary="it was asked to fail", code="ASKED_TO")
        answer("result", ok=False)
        return
    outputs = {"name": inputs["name"], "run": uuid.uuid4().hex, "padding": "x" * inputs.get("bytes", 0)}
    answer("result", ok=True, outputs=outputs)


def look(asked: dict[str, Any]) -> None:
    """Say what would change, or what differs."""
    name = standing()
    if asked["destroys"]:
        answer("change", action="delete", address=FILE.name)
    elif name != asked["inputs"]["name"]:
        answer("change", action="update" if name else "create", address=FILE.name)


def main() -> None:
    """Do what is asked."""
    asked = json.load(sys.stdin)
    match asked["verb"]:
        case "apply" | "update":
            make(asked["inputs"])
        case "destroy":
            FILE.unlink(missing_ok=True)
            answer("result", ok=True)
        case "plan":
            look(asked)
            answer("result", ok=True, summary="looked")
        case "observe":
            present = FILE.exists()
            if present:
                look(asked)
            answer("result", ok=True, present=present)


if __name__ == "__main__":
    main()
