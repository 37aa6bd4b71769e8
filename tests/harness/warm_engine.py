"""An engine that does the first step of a site, run as a program so that launchers can start it.

`python -m tests.harness.warm_engine`: it answers the name of a file, and makes nothing.
"""

import sys
from collections.abc import Mapping

from enchain.sdk import serve
from enchain.sdk.port import Engine, Json, Step


class WarmEngine(Engine):
    """Answers `files`."""

    name = "warm"
    version = "1"
    capabilities = frozenset()
    inputs: Mapping[str, Json] = {"type": "object", "properties": {"name": {"type": "string"}}}

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Make nothing, and say so."""
        await step.handle({"id": "none"})
        return {"files": f"files-{step.inputs.get('name', '')}"}

    async def destroy(self, step: Step) -> None:
        """Destroy nothing."""


if __name__ == "__main__":
    sys.exit(serve.main(WarmEngine))
