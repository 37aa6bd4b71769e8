"""A script for the script engine: makes a thing, slowly, or fails in the way that it is asked to."""

import json
import sys
from pathlib import Path
from typing import Any

from effects import (  # type: ignore[import-not-found]  # it lies beside this file when it runs
    make,
    note,
    remove,
    thing,
)


def answer(kind: str, **fields: object) -> None:
    """Answer the engine."""
    sys.stdout.write(json.dumps({"enchain": kind, **fields}) + "\n")
    sys.stdout.flush()


def fails_clean(world: str, work: str) -> bool:
    """Say whether this is the first time; it leaves a note, so that the next time is not."""
    first = Path(world, "once", work.replace("/", "."))
    if first.exists():
        return False
    first.touch()
    return True


def apply(asked: dict[str, Any]) -> None:
    """Make the thing."""
    inputs = asked["inputs"]
    world, work, mark, fail = inputs["world"], asked["work_id"], str(asked["generation"]), inputs.get("fail")
    if fail == "clean" and fails_clean(world, work):
        note(world, work, asked["verb"], mark, "begin")
        answer("diagnostic", summary="it fails once, and leaves nothing", code="FAILS_ONCE")
        answer("result", ok=False, left_behind=False, retryable=True)
        return
    answer("handle", data={"thing": str(thing(world, work))})
    answer("progress", message="making")
    make(world, work, asked["verb"], mark, inputs.get("seconds", 0), inputs["round"])
    healed = Path(world, "healed", work.split("/")[0]).exists()
    if fail == "partial" or (fail == "until" and not healed):
        answer("diagnostic", summary="it was asked to fail", code="ASKED_TO")
        answer("result", ok=False)
        return
    answer("result", ok=True, outputs={"round": inputs["round"]})


def main() -> None:
    """Do what is asked."""
    asked = json.load(sys.stdin)
    if asked["verb"] == "destroy":
        world = asked["inputs"].get("world")
        if world:
            remove(world, asked["work_id"], str(asked["generation"]))
        answer("result", ok=True)
    else:
        apply(asked)


if __name__ == "__main__":
    main()
