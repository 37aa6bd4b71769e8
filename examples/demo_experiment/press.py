"""An engine that writes pages on a press: `python press.py`. The control plane starts it."""

import asyncio
import hashlib
import sys
from collections.abc import Mapping

from enchain.sdk import serve
from enchain.sdk.port import Engine, Json, Step
from enchain.v1 import engine_pb2

QUICK_SECONDS = 0.2
SLOW_SECONDS = 0.75
SLOW_SHARE = 0.4
"""Of all pages: before them the plate must be changed."""


def press_seconds(work: str) -> float:
    """Answer how long a page takes; the same page always takes the same time."""
    drawn = int.from_bytes(hashlib.sha256(work.encode()).digest()[:6], "big") / 2**48
    return SLOW_SECONDS if drawn < SLOW_SHARE else QUICK_SECONDS


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
        await asyncio.sleep(press_seconds(step.work_id))
        await asyncio.to_thread(page.write_text, f"<h1>{step.inputs['text']}, {step.inputs['name']}</h1>\n")
        return {}

    async def destroy(self, step: Step) -> None:
        """Delete it."""
        await asyncio.to_thread((step.directory / "index.html").unlink, missing_ok=True)


if __name__ == "__main__":
    sys.exit(serve.main(PressEngine))
