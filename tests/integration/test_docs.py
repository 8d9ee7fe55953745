"""The README and the pages of docs keep their word: every shell and SQL block in them is run.

A block says by its first word what it is. ``sh``: run here, line by line, in a folder with the shipped files and a
database with two months of trades, as ``make run`` leaves one. ``sql``: asked of that database; rows must come, unless
its first line says ``-- may be empty``. Everything else (``text``, ``json``, …) is shown and not run.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from fsm.cli import reference
from fsm.cli.app import app
from fsm.core.model.records import HaltCause
from fsm.core.model.transition_table import mermaid
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FROM_MS, TO_MS = 1_725_148_800_000, 1_730_419_200_000
OURS = ".venv/bin/python -m fsm "
LANGUAGES = {"sh", "sql", "text", "json", "yaml", "python", "ini", "mermaid"}
MAY_BE_EMPTY = "-- may be empty"

ELSEWHERE = {
    "make run": "tests/unit/fsm/cli/test_run.py",
    "make run FRESH=1": "tests/unit/fsm/cli/test_run.py",
    "make test": "CI",
    "make check": "CI",
    "cp .env.example .env": "tests/unit/fsm/config/test_environment.py",
    "docker compose up": "tests/integration/test_box.py",
    "docker compose up --detach": "tests/integration/test_box.py",
    OURS + "run": "tests/unit/fsm/cli/test_run.py",
    OURS + "doctor": "tests/integration/test_doctor.py",
}
"""Lines that are run by other tests, or by CI itself."""

EXITS = {OURS + "status --alive": 3}
"""Lines that end otherwise here, where no bot runs."""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of every fenced block."""
    yield from re.findall(r"(?ms)^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"))


def shell_lines(page: Path) -> list[str]:
    """Every command of a page's shell blocks; a backslash joins lines, a comment is none."""
    found = []
    for language, text in blocks(page):
        if language == "sh":
            joined = re.sub(r"\\\n\s*", "", text)
            found += [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return found


def sql_blocks() -> list[tuple[str, str]]:
    return [(page.name, text) for page in PAGES for language, text in blocks(page) if language == "sql"]


PAGES_WITH_COMMANDS = [page for page in PAGES if shell_lines(page)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it after `make run`: the shipped files, and a database with trades."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("config.yaml", "rules.yaml", ".env.example"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "var").mkdir()
    recorded(folder / "var" / "sim.sqlite", from_ms=FROM_MS, to_ms=TO_MS)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with no key of ours in the environment."""
    shutil.copytree(made, tmp_path / "project")
    for name in ("BINANCE_ENV", "BINANCE_API_KEY", "BINANCE_API_SECRET", "DASHBOARD_TOKEN", "TG_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= LANGUAGES
    assert page.read_text("utf-8").count("\n```") % 2 == 0


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, project: Path) -> None:
    for line in shell_lines(page):
        if line in ELSEWHERE:
            continue
        assert line.startswith(OURS), f"{page.name}: nobody runs `{line}`: run it here, or name its test in ELSEWHERE"
        done = CliRunner().invoke(app, shlex.split(line)[3:])
        assert done.exit_code == EXITS.get(line, 0), f"{page.name}: {line}\n{done.output}"
        assert done.output.strip(), line


def test_what_is_run_elsewhere_is_still_written_somewhere_and_the_tests_exist() -> None:
    for test in ELSEWHERE.values():
        assert not test.startswith("tests/") or (ROOT / test).is_file(), test


@pytest.mark.parametrize(("page", "sql"), sql_blocks())
def test_every_query_of_the_cookbook_answers(page: str, sql: str, project: Path) -> None:
    with sqlite3.connect(f"file:{project / 'var' / 'sim.sqlite'}?mode=ro", uri=True) as connection:
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
