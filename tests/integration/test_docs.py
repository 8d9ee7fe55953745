"""The README and the pages of docs keep their word: blocks are what they say, queries answer, links lead somewhere.

A block says by its first word what it is. ``sh`` and ``console``: test_docs_shell.py. ``sql``: asked here of a database
with two months of trades; rows must come, unless its first line says ``-- may be empty``. Everything else (``text``,
``json``, …) is shown and not run.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fsm.cli import reference
from fsm.core.model.records import HaltCause
from fsm.core.model.transition_table import mermaid
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FROM_MS, TO_MS = 1_725_148_800_000, 1_730_419_200_000
LANGUAGES = {"sh", "console", "sql", "text", "json", "yaml", "python", "ini", "mermaid"}
MAY_BE_EMPTY = "-- may be empty"


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of every fenced block."""
    yield from re.findall(r"(?ms)^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"))


def sql_blocks() -> list[tuple[str, str]]:
    return [(page.name, text) for page in PAGES for language, text in blocks(page) if language == "sql"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With trades, as a user has it after `make run`."""
    return recorded(tmp_path_factory.mktemp("docs") / "sim.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= LANGUAGES
    assert page.read_text("utf-8").count("\n```") % 2 == 0


@pytest.mark.parametrize(("page", "sql"), sql_blocks())
def test_every_query_of_the_cookbook_answers(page: str, sql: str, database: Path) -> None:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(sql).fetchall()
    assert rows or sql.startswith(MAY_BE_EMPTY), f"{page}: no row came from\n{sql}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_yaml_and_json_blocks_can_be_read() -> None:
    for page in PAGES:
        for language, text in blocks(page):
            if language == "yaml":
                yaml.safe_load(text)
            if language == "json":
                json.loads(text)


def test_the_picture_in_the_readme_is_drawn_from_the_running_table() -> None:
    assert f"```mermaid\n{mermaid()}```" in (ROOT / "README.md").read_text("utf-8")


def test_the_page_of_commands_is_drawn_from_the_commands() -> None:
    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert written == reference.page(), "draw it anew: python -m fsm.cli.reference"
    assert reference.HELP.read_text("utf-8") == reference.top_help(), "write it anew: python -m fsm.cli.reference"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text("utf-8"))
        waiting += {(page.parent / target).resolve() for target in targets if "://" not in target} - reached
    assert set(PAGES) <= reached, "link it from the README's last table"


def test_every_code_that_troubleshooting_explains_is_one_that_the_program_gives() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    program = "".join(path.read_text("utf-8") for path in (ROOT / "fsm").rglob("*.py"))
    codes = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)", page)) - {"DASHBOARD_TOKEN"}
    assert len(codes) > 25
    assert {code for code in codes if code not in program} == set()
    explained = codes | set(re.findall(r"`([A-Z]+)`", page))
    assert {cause.value for cause in HaltCause} <= explained, "say in docs/troubleshooting.md who ends such a halt"


@pytest.mark.parametrize("target", ["run", "test", "check", "bench", "soak", "clean"])
def test_make_knows_every_target_that_is_named(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
