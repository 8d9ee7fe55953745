"""Runs under names: kept by `backtest --name`, listed by `runs`, and shown by `show`: figures, report, dashboard."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
SHORT = ("--symbols", "BTCUSDT", "--from", "2024-09-01", "--to", "2024-09-10")


@pytest.fixture
def kept(project: Path, journal: Path) -> Path:
    """A project that has kept one run, called autumn."""
    folder = project / "var" / "runs"
    folder.mkdir(parents=True)
    shutil.copy(journal, folder / "autumn.sqlite")
    return project


def test_a_run_is_kept_under_its_name_listed_and_shown(fsm, project) -> None:
    made = fsm("backtest", *SHORT, "--name", "first", "--json").document
    assert (project / "var" / "runs" / "first.sqlite").is_file()
    listed = fsm("runs", "--json").document
    assert [run["name"] for run in listed["runs"]] == ["first"]
    shown = fsm("show", "first", "--json").document
    told = {name: value for name, value in made.items() if name != "seconds"}
    assert shown["summary"] == listed["runs"][0]["summary"] == told


def test_the_way_on_is_told(fsm, project) -> None:
    ended = fsm("backtest", *SHORT, "--name", "first")
    assert "show first  " in ended.stdout
    assert "audit verify --db var/runs/first.sqlite" in ended.stdout


def test_a_name_that_is_taken_is_refused_and_the_run_stays(fsm, kept) -> None:
    before = (kept / "var" / "runs" / "autumn.sqlite").read_bytes()
    ended = fsm("backtest", *SHORT, "--name", "autumn")
    assert ended.code == 2
    assert "a run called autumn is kept already" in ended.stderr
    assert (kept / "var" / "runs" / "autumn.sqlite").read_bytes() == before


def test_a_run_that_does_not_end_leaves_its_name_free(fsm, project) -> None:
    assert fsm("backtest", *SHORT, "--name", "first", "--from", "2031-01-01").code == 2
    assert fsm("runs", "--json").document["runs"] == []
    assert fsm("backtest", *SHORT, "--name", "first").code == 0


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "-x", "run.sqlite", "x" * 65, "a b", "<b>"])
def test_what_is_no_name_is_refused(fsm, project, name) -> None:
    ended = fsm("backtest", *SHORT, f"--name={name}")
    assert ended.code == 2
    assert "is no name of a run" in ended.stderr
    assert sorted(path.name for path in project.iterdir()) == ["config.yaml", "rules.yaml"]


def test_a_name_and_a_database_contradict_each_other(fsm, project) -> None:
    ended = fsm("backtest", *SHORT, "--name", "first", "--db", "other.sqlite")
    assert ended.code == 2
    assert "both say where the run is kept" in ended.stderr


def test_without_runs_it_is_said_how_to_keep_one(fsm, project) -> None:
    assert "backtest --name NAME" in fsm("runs").stdout
    ended = fsm("show", "nobody")
    assert ended.code == 2
    assert "no run is called nobody" in ended.stderr


def test_what_is_no_finished_run_is_listed_as_such_and_not_shown(fsm, kept) -> None:
    folder = kept / "var" / "runs"
    (folder / "broken.sqlite").write_text("no database")
    listed = {run["name"]: run for run in fsm("runs", "--json").document["runs"]}
    assert (listed["autumn"]["finished"], listed["broken"]["finished"]) == (True, False)
    assert "unfinished" in fsm("runs").stdout
    assert fsm("show", "broken", "--json").code != 0


def test_the_report_of_a_kept_run_is_made_from_its_database(fsm, kept) -> None:
    ended = fsm("show", "autumn", "--report", "out/autumn.html")
    assert ended.code == 0, ended.stderr
    assert "<h1>Backtest autumn</h1>" in (kept / "out" / "autumn.html").read_text("utf-8")


def test_the_dashboard_serves_it_until_it_is_told_to_end(kept) -> None:
    kept_names = {name: text for name, text in os.environ.items() if not name.startswith(("BINANCE_", "DASHBOARD_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "fsm", "show", "autumn"],
        cwd=kept,
        env={**kept_names, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = next(filter(None, (re.search(r"dashboard is at (http://\S+)", line) for line in process.stdout)))[1]
        with urllib.request.urlopen(f"{url}/api/trades?limit=1", timeout=30) as answer:
            assert len(json.load(answer)["trades"]) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
