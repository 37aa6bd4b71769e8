"""An engine in twenty lines: it writes a greeting. Start it with `python examples/hello_engine.py --help`."""

import sys
from collections.abc import Mapping

from enchain.sdk import serve
from enchain.sdk.port import Engine, Finding, Json, Step, StepFailedError


class HelloEngine(Engine):
    """Writes `hello NAME` into a file, with a tool that survives this server."""

    name = "hello"
    version = "1.0"
    inputs: Mapping[str, Json] = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    }
    outputs: Mapping[str, Json] = {"type": "object", "properties": {"file": {"type": "string"}}}

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Greet."""
        await step.handle({"file": str(step.directory / "greeting")})
        script = 'echo "hello $WHO" > greeting && echo greeted'
        run = await step.run("greet", ["sh", "-c", script], env={"WHO": step.inputs["name"]})
        async for line in run.lines():
            step.log(line)
        if (await run.wait()).returncode != 0:
            raise StepFailedError(Finding("the greeting could not be written"))
        return {"file": str(step.directory / "greeting")}

    async def destroy(self, step: Step) -> None:
        """Take the greeting back."""
        (step.directory / "greeting").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(serve.main(HelloEngine))
