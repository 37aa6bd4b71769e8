"""An engine that writes pages at once: `python press.py`. The control plane starts it."""

import asyncio
import sys
from collections.abc import Mapping

from enchain.sdk import serve
from enchain.sdk.port import Engine, Json, Step
from enchain.v1 import engine_pb2


class PressEngine(Engine):
    """Writes a page without a tool."""

    name = "press"
    version = "1"
    capabilities = frozenset({engine_pb2.CAPABILITY_UPDATE})
    inputs: Mapping[str, Json] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "text": {"type": "string"}},
        "required": ["name", "text"],
    }
    repeatable = True  # it writes the same file again

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Write it."""
        page = step.directory / "index.html"
        await step.handle({"file": page.name})
        await asyncio.to_thread(page.write_text, f"<h1>{step.inputs['text']}, {step.inputs['name']}</h1>\n")
        return {}

    async def destroy(self, step: Step) -> None:
        """Delete it."""
        await asyncio.to_thread((step.directory / "index.html").unlink, missing_ok=True)


if __name__ == "__main__":
    sys.exit(serve.main(PressEngine))
