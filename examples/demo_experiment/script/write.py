#!/usr/bin/env -S python3 -I -S
"""Writes a page, and waits for a proof-reader first. A script of the script engine; standard library only."""

import json
import sys
import time
from pathlib import Path

PROOF_SECONDS = 0.6
PAGE = Path("index.html")


def main() -> None:
    """Do what is asked."""
    asked = json.load(sys.stdin)
    if asked["verb"] == "destroy":
        PAGE.unlink(missing_ok=True)
    else:
        time.sleep(PROOF_SECONDS)
        PAGE.write_text(f"<h1>{asked['inputs']['text']}, {asked['inputs']['name']}</h1>\n", encoding="utf-8")
    sys.stdout.write('{"enchain": "result", "ok": true}\n')


main()
