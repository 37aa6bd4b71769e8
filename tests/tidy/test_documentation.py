"""Pages say what the code says: the exit codes, and links that lead somewhere."""

import re
from pathlib import Path

from enchain.cli.exits import EXITS

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_command_lists_the_exit_codes_as_they_are() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))

    assert rows == {str(code): meaning for code, meaning in EXITS.items()}


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]

    assert broken == []
