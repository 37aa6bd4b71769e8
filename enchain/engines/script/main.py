"""The console script `enchain-engine-script`."""

import sys

from enchain.engines.script.engine import ScriptEngine
from enchain.sdk import serve


def main() -> int:
    """Serve the script engine until told to stop."""
    return serve.main(ScriptEngine)


if __name__ == "__main__":
    sys.exit(main())
