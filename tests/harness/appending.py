"""An engine whose effect can be counted: its tool appends lines to a file, and waits for a gate in between.

Tests of the SDK use it in-process and, run as a program, as a server that they kill.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from enchain.sdk import serve
from enchain.sdk.port import Engine, Finding, Json, Step, StepFailedError
from enchain.v1 import engine_pb2

SCRIPT = """
echo "begun $$" >> "$EFFECT"
echo "working"
while [ -n "$GATE" ] && [ ! -e "$GATE" ]; do sleep 0.02; done
echo "done $$" >> "$EFFECT"
echo "finished"
exit "$CODE"
"""


class AppendingEngine(Engine):
    """Appends to the file `effect`, once `gate` exists; ends with `code`."""

    name = "appending"
    version = "1.0"
    capabilities = frozenset(
        {
            engine_pb2.CAPABILITY_CANCEL,
            engine_pb2.CAPABILITY_UPDATE,
            engine_pb2.CAPABILITY_REATTACH,
        }
    )
    inputs: Mapping[str, Json] = {
        "type": "object",
        "properties": {
            "effect": {"type": "string"},
            "gate": {"type": "string"},
            "code": {"type": "integer"},
        },
        "required": ["effect"],
        "additionalProperties": False,
    }

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Run the tool and pass on what it says."""
        await step.handle({"effect": step.inputs["effect"]})
        step.progress("appending")
        env = {
            "EFFECT": step.inputs["effect"],
            "GATE": step.inputs.get("gate", ""),
            "CODE": str(step.inputs.get("code", 0)),
        }
        run = await step.run("append", ["sh", "-c", SCRIPT], env=env)
        async for line in run.lines():
            step.log(line)
        how = await run.wait()
        if how.returncode != 0:
            raise StepFailedError(Finding("the tool failed", exit_code=how.returncode))
        return {"pid": run.pid}

    async def destroy(self, step: Step) -> None:
        """Note that it was destroyed, beside the file, by a tool too."""
        effect = str((step.prior or {}).get("effect", step.directory / "none"))
        run = await step.run("destroy", ["sh", "-c", 'echo "destroyed" >> "$EFFECT"'], env={"EFFECT": effect})
        await run.wait()


def lines_of(effect: Path) -> list[str]:
    """What the tools did so far, without their pids."""
    return [line.split()[0] for line in effect.read_text().splitlines()] if effect.exists() else []


if __name__ == "__main__":
    sys.exit(serve.main(AppendingEngine))
