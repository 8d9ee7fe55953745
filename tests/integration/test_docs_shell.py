"""Every command that README and docs show is run, or is named here with the test that runs it.

A block ``sh`` is run here line by line, page by page, in a folder as a user has it after ``make run``, with what the
pages speak of beside it: other rules, other databases, archives of candles. A ``console`` block shows a command after
``$`` with its output. No other block holds a command.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fsm.cli.app import app
from store.database import open_store
from tests import archives
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
FROM_MS, TO_MS = 1_725_148_800_000, 1_730_419_200_000
OURS = ".venv/bin/python -m fsm "
A_COMMAND = re.compile(
    r"(?:\$ |\.venv/bin/|/opt/fsm|fsm [a-z]|python3? -|make [a-z]|docker |pip |cp |mkdir |install -|systemctl |curl )"
)
ROOTS = ("/opt/", "/etc/", "/mnt/", "/var/backups")
"""Below these a page writes on a user's machine; here they lie in a folder of the test."""

RUN = "tests/unit/fsm/cli/test_run.py::test_a_trade_opens_and_is_covered_and_the_run_ends_when_it_is_told_to"
GATE = ".ci/run::make test"
BOX = "tests/integration/test_box.py::test_bot_and_api_run_with_the_commands_of_the_box_from_what_the_image_installs"
UNITS = "tests/integration/test_operating.py::test_systemd_itself_takes_the_units"
WHEEL = "tests/integration/test_release.py::test_a_strangers_first_commands_run_from_the_wheel_alone"
LOCK = "tests/integration/test_release.py::test_the_lock_is_of_the_pinned_versions_and_of_all_that_is_installed"
READY = "tests/integration/test_doctor.py::test_it_is_ready_and_says_what_it_saw"
FETCHED = "tests/integration/test_data_download.py::test_what_is_fetched_is_what_the_exchange_has"
UPDATED = "tests/integration/test_data_download.py::test_update_asks_only_for_what_is_new"
SEARCHED = "tests/integration/test_optimise.py::test_the_table_has_the_rules_as_they_are_and_every_variant"
APPLIED = "tests/integration/test_optimise.py::test_a_trial_is_applied_to_a_file_of_its_own"
CLUSTER = "tests/integration/test_optimise_cluster.py::test_two_workers_that_are_killed_and_one_that_joins"
SHADOWS = "tests/integration/test_shadows.py::test_the_old_file_is_kept_and_the_new_one_is_whole"
PEEKS = "tests/integration/test_lookahead.py::test_shipped_rules_do_not_look_ahead"
TORTURE = "tests/integration/test_torture.py::test_a_range_of_seeds_holds_and_is_the_same_run_each_time"
WIRED = "tests/integration/test_torture.py::test_the_real_client_is_tortured_before_the_emulators_own_routes"
NAKED = "tests/integration/test_naked.py::test_positions_are_protected_within_one_round_trip_where_nothing_goes_wrong"
DEATHS = "tests/integration/test_crashsweep.py::test_survives_a_sample_of_deaths"
WEEK = "tests/integration/test_parity.py::test_a_week_of_two_symbols_has_the_same_transitions_as_the_backtest"
FLATTEN = "tests/integration/scenarios/test_managed_to_its_end.py::test_r63_that_no_run_ever_knew_rules_of"
SERVED = "tests/integration/test_sim_server_process.py::def test_the_streams_of_this_product_hear_it"
TESTNET = "tests/testnet/test_demo.py::def test_"
SHOWN = 'tests/unit/fsm/cli/test_runs.py::"show"'
BESIDE = "tests/integration/test_shadows.py::def test_each_has_its_own_book_journal_and_answers"
EVERY = "tests/unit/fsm/cli/test_db.py::test_every_goes_on_until_it_is_told_to_end"

COMPOSE, ADDRESS = "docker compose --profile backup --profile monitoring", "--scheduler tcp://127.0.0.1:8786"
PIP, OPT = ".venv/bin/python -m pip", "/opt/fsm/.venv/bin/pip install"
ELSEWHERE = {
    "make run": RUN,
    "make test": GATE,
    "docker compose up --detach": BOX,
    f"{COMPOSE} up --detach": BOX,
    "docker compose -f compose.cluster.yml up --build --scale worker=4": CLUSTER,
    f"{PIP} install --constraint constraints.txt '.[cluster]'": CLUSTER,
    ".venv/bin/python -m distributed.cli.dask_scheduler --host 127.0.0.1 --port 8786 --no-dashboard": CLUSTER,
    ".venv/bin/python -m distributed.cli.dask_worker tcp://127.0.0.1:8786 --nthreads 1 --no-dashboard": CLUSTER,
    "systemctl daemon-reload": UNITS,
    "systemctl enable --now fsm.service fsm-health.timer fsm-backup.service": UNITS,
    "python3 -m venv /opt/fsm/.venv": WHEEL,
    f"{OPT} fsm_futures_bot-*.whl": WHEEL,
    f"{OPT} --no-deps fsm_futures_bot-*.whl": WHEEL,
    f"{OPT} --require-hashes -r requirements.lock": LOCK,
    "fsm flatten": FLATTEN,
    "python -m exchange.sim --speed 60 --symbols BTCUSDT,SOLUSDT --start 2025-01-15 --balance 5000": SERVED,
    "BINANCE_ENV=testnet BINANCE_API_KEY=… BINANCE_API_SECRET=… python -m pytest -m testnet tests/testnet -rs": TESTNET,
    OURS + "run": RUN,
    OURS + "run --port 8081": RUN,
    OURS + "run --no-web": RUN,
    OURS + "doctor": READY,
    OURS + "show first": SHOWN,
    OURS + "shadow promote bolder": SHADOWS,
    OURS + "compare var/sim.sqlite var/shadows/sim/bolder.sqlite": BESIDE,
    OURS + "db backup /mnt/backups --every 6h --keep 28": EVERY,
    OURS + "data download --symbols AVAXUSDT --from 2024-01-01": FETCHED,
    OURS + "data download --timeframes 1m,1h": FETCHED,
    OURS + "data download --symbols AVAXUSDT,1000PEPEUSDT --from 2023-01-01": FETCHED,
    OURS + "data download --symbols BTCUSDT --timeframes 1m,1h --from 2025-01-01": FETCHED,
    OURS + "data update": UPDATED,
    OURS + "worker": "tests/integration/test_worker.py::test_rules_in_force_come_out_as_the_run_itself",
    OURS + f"optimise --vary adx_trend=23..35:1 {ADDRESS}": CLUSTER,
    OURS + "optimise --vary adx_trend=23..35:1 --vary spike=1.2..1.6:0.1 --study trend": SEARCHED,
    OURS + "worker --once": 'tests/integration/web/test_web_walk.py::"worker", "--once"',
    OURS
    + "optimise --sampler random --trials 500 --objective calmar --require 'trades>=50' --folds 8 --anchored": SEARCHED,
    OURS + "optimise apply trend --trial 17": APPLIED,
    OURS + "optimise show trend --csv trend.csv": APPLIED,
    OURS + "lookahead": PEEKS,
    OURS + "lookahead --symbols BTCUSDT --cuts 1000 --runs 10": PEEKS,
    OURS + "drift --table --years 1000": "tests/unit/fsm/backtest/drift/test_sequential.py::write it anew",
    OURS + "parity --symbols BTCUSDT,ETHUSDT --from 2024-10-01 --to 2024-12-31": WEEK,
    OURS + "crashsweep --sample 200 --doubles 50": DEATHS,
    OURS + "torture --seeds 1..20 --days 30 --symbols 3": TORTURE,
    OURS + "torture --client real --seeds 1..4 --days 10": WIRED,
    OURS + "naked": NAKED,
    OURS + "naked --only firewall-once --positions 200": NAKED,
}
"""Lines that do not end, take long, change the process that runs them, or need what no test has (an index of packages,
a network, a service manager), and the test that runs what they run."""

EXITS = {
    OURS + "status --alive": 3,  # no bot runs here
    OURS + "reload confirm": 3,  # no edit waits
    OURS + "reload reject": 3,
    OURS + "compare rules.yaml new.yaml --symbols BTCUSDT --from 2025-03-01 --to 2025-03-31": 4,  # they differ
}
"""Lines that end otherwise here."""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of every fenced block, also in a list."""
    for indent, language, text in re.findall(r"(?ms)^([ ]*)```(\S*)\n(.*?)^[ ]*```[ ]*$", page.read_text("utf-8")):
        yield language, re.sub(rf"(?m)^{indent}", "", text)


def commands(page: Path) -> Iterator[str]:
    """Each command of a page: a backslash joins lines, ``&&`` parts them, a comment is none."""
    for language, text in blocks(page):
        if language == "console":
            yield from (line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
        if language == "sh":
            for line in re.sub(r"\\\n\s*", "", text).splitlines():
                for command in re.sub(r"(?:^|\s+)#.*", "", line).split(" && "):
                    if command.strip():
                        yield command.strip()


def words_of(command: str) -> list[str]:
    """As a shell takes it apart, names with stars and a tilde included."""
    found: list[str] = []
    for word in shlex.split(command):
        word = os.path.expanduser(word)
        found += sorted(glob.glob(word)) or [word]
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it after `make run`, and beside it what pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("config.yaml", "rules.yaml", "rules.tests.yaml", ".env.example", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "docs").symlink_to(ROOT / "docs")
    (folder / "var").mkdir()
    recorded(folder / "var" / "sim.sqlite", from_ms=FROM_MS, to_ms=TO_MS)
    stage(folder)
    with pytest.MonkeyPatch.context() as patch:  # a store that has something, before a page takes something out of it
        patch.chdir(folder)
        assert run(OURS + "data import candles.csv --symbol AVAXUSDT", folder)[0] == 0
    return folder


def stage(folder: Path) -> None:
    """Other rules with their tests, other databases, archives in the home folder, a backup on another disk."""
    text = (ROOT / "rules.yaml").read_text("utf-8")
    changed = re.sub(r"(squeeze_expansion): 15\b", r"\1: 20", text)
    assert changed != text
    (folder / "new.yaml").write_text(changed, "utf-8")
    shutil.copy(ROOT / "rules.tests.yaml", folder / "mine.tests.yaml")
    for name in ("a.sqlite", "b.sqlite"):
        shutil.copy(folder / "var" / "sim.sqlite", folder / name)
    home, rows = folder / "home", archives.recorded("SOLUSDT-1h")[: 31 * 24]
    archives.published(home / "Downloads" / "data.binance.vision", "BTCUSDT", ["2024-01", "2024-02"])
    for symbol in ("BTCUSDT", "AVAXUSDT"):
        month = archives.klines(rows, header=True)
        archives.packed(home / "Downloads" / f"{symbol}-1h-2024-01.zip", month)
    place = home / "Downloads/data.binance.vision/data/futures/um/monthly/klines/AVAXUSDT/1h/AVAXUSDT-1h-2024-01.zip"
    archives.packed(place, archives.klines(rows, header=True))
    lines = ["open_time_ms,open,high,low,close,volume", *(",".join(row[:6]) for row in rows)]
    (folder / "candles.csv").write_text("\n".join(lines) + "\n", "utf-8")
    for place in ("mnt/backups", "etc/systemd/system"):
        (folder / place).mkdir(parents=True)
    shutil.copy(folder / "var" / "sim.sqlite", folder / "mnt" / "backups" / "mainnet-20261129T120000Z.sqlite")


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with no key of ours in the environment."""
    shutil.copytree(made, tmp_path / "project", symlinks=True)
    for name in ("BINANCE_ENV", "BINANCE_API_KEY", "BINANCE_API_SECRET", "DASHBOARD_TOKEN", "TG_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "project" / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(command: str, root: Path) -> tuple[int, str]:
    """Exit code and output of a command; what it would write elsewhere on the machine goes below ``root``."""
    for place in ROOTS:
        command = re.sub(rf"(?<![\w.]){place}", f"{root}{place}", command)
    if command.startswith(OURS):
        words, _, file = command.removeprefix(OURS).partition(" > ")
        done = CliRunner().invoke(app, words_of(words))
        if file:
            Path(file).write_text(done.stdout, "utf-8")
        return done.exit_code, done.output
    shell = subprocess.run(["bash", "-c", command], input="a key\n", capture_output=True, text=True, check=False)
    return shell.returncode, shell.stdout + shell.stderr


def test_no_other_block_holds_a_command() -> None:
    for page in PAGES:
        for language, text in blocks(page):
            if language not in ("sh", "console"):
                held = [line for line in text.splitlines() if A_COMMAND.match(line)]
                assert held == [], f"{page.name}: make it a block `sh`, so that it is run"


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, project: Path) -> None:
    with open_store(project / "var" / "sim.sqlite", mode="read") as store:
        ((head,),) = store.connection.execute("SELECT hash FROM transitions ORDER BY id DESC LIMIT 1")
    for command in commands(page):
        if command in ELSEWHERE:
            continue
        if command == OURS + "init":  # in a folder of its own, as nothing is written over
            with pytest.MonkeyPatch.context() as patch:
                (project / "empty").mkdir()
                patch.chdir(project / "empty")
                code, output = run(command, project)
        else:
            code, output = run(command.replace("HASH", head), project)
        assert code == EXITS.get(command, 0), f"{page.name}: {command}\n{output}"
        assert output.strip() or not command.startswith(OURS), command


def test_what_is_run_elsewhere_is_still_shown_and_its_test_is_there() -> None:
    shown = {command for page in PAGES for command in commands(page)}
    assert set(ELSEWHERE) | set(EXITS) <= shown
    for test in ELSEWHERE.values():
        path, _, name = test.partition("::")
        assert name in (ROOT / path).read_text("utf-8"), test


@pytest.mark.parametrize("command", [command for command in ELSEWHERE if command.startswith(OURS)])
def test_what_takes_long_is_at_least_a_command_with_its_options(command: str) -> None:
    words = words_of(command.removeprefix(OURS))
    found: Any = app
    while hasattr(found, "commands") and not words[0].startswith("-"):
        found = found.get_command(click.Context(found), words.pop(0))
    found.make_context("it", words).close()
