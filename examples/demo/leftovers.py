"""Look for what the demonstration left behind, without asking enchain. Standard library only.

Run as a script with the facts on standard input as JSON: `data` (folder), `etcd` (host:port), `ports`, `pids`
and `operations`. It looks at the kernel's list of processes, at ports, at the disk and, by etcd's own JSON
gateway, at the keys; prints what it found as JSON, and ends with 1 where something is left.
"""

import base64
import json
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

KEEPS = {"ledger.json", "ledger.lock", "task.lock", "tool.lock"}
"""What an engine keeps of work that is gone: its ledger, so that a late caller cannot make it again."""

ENDED = {"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"}


def processes(data: str, pids: list[int]) -> list[str]:
    """Find tools and services: processes that work below the scopes, or that were named."""
    left = []
    scopes = f"{data}/scopes/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            cwd = str((entry / "cwd").readlink())
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if cwd.startswith(scopes) or int(entry.name) in pids:
            left.append(f"{entry.name}: {line.strip()} in {cwd}")
    return left


def ports(numbers: list[int]) -> list[int]:
    """Find ports on which something still listens."""
    left = []
    for number in numbers:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", number)) == 0:
                left.append(number)
    return left


def directories(data: str) -> list[str]:
    """Find what lies below the engines' work folders, ledgers left out."""
    left = []
    for work in Path(data, "scopes").glob("*/work"):
        left += [str(p.relative_to(data)) for p in work.rglob("*") if p.is_file() and p.name not in KEEPS]
    services = Path(data, "scopes", "process")
    left += [str(p.relative_to(data)) for p in services.glob("services/*/*") if p.is_dir()]
    return left


def keys(etcd: str, prefix: str) -> dict[str, Any]:
    """Read the keys under a prefix by etcd's JSON gateway."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    body = {"key": _b64(prefix), "range_end": _b64(end)}
    request = urllib.request.Request(
        f"http://{etcd}/v3/kv/range", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
        found = json.load(answer).get("kvs", [])
    return {_text(kv["key"]): json.loads(_text(kv["value"])) for kv in found}


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _text(data: str) -> str:
    return base64.b64decode(data).decode()


def look(facts: dict[str, Any]) -> dict[str, Any]:
    """Look everywhere; answer what is left, and operations that no longer answer."""
    root = "/enchain/v1/"
    records = keys(facts["etcd"], f"{root}operations/records/")
    ended = {record["name"] for record in records.values() if record.get("state") in ENDED}
    return {
        "processes": processes(facts["data"], facts["pids"]),
        "ports": ports(facts["ports"]),
        "directories": directories(facts["data"]),
        "keys": [
            key
            for prefix in ("operations/owners/", "operations/active/", "resources/")
            for key in keys(facts["etcd"], root + prefix)
        ],
        "operations_not_answering": [name for name in facts["operations"] if name not in ended],
    }


def main() -> int:
    """Look, print, and answer the exit code."""
    left = look(json.load(sys.stdin))
    print(json.dumps(left, indent=2))
    return 1 if any(left.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
