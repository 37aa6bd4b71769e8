"""The console script `enchain-engine-ansible`."""

import sys

from enchain.engines.ansible.engine import AnsibleEngine
from enchain.sdk import serve


def main() -> int:
    """Serve the ansible engine until told to stop."""
    return serve.main(AnsibleEngine)


if __name__ == "__main__":
    sys.exit(main())
