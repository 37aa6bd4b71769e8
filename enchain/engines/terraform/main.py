"""The console script `enchain-engine-terraform`."""

import sys

from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk import serve


def main() -> int:
    """Serve the terraform engine until told to stop."""
    return serve.main(TerraformEngine)


if __name__ == "__main__":
    sys.exit(main())
