"""Which pages the playbook cannot write. Pure; the same as `playbook/site.yml` says."""

import hashlib

MIRRORS = ("north", "east", "south")
GONE = "south"


def is_broken(page: str) -> bool:
    """Say whether the playbook fails for a page: it goes to the mirror that is gone."""
    number = int(hashlib.sha1(page.encode(), usedforsecurity=False).hexdigest()[:8], 16)
    return MIRRORS[number % len(MIRRORS)] == GONE
