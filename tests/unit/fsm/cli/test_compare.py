"""`compare`: each planted cause is named, and confirmed by running again with it alone; equal runs differ not."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.sim.playback.symbols import shipped_folder
from tests.effort import sampled

SPAN = ("--symbols", "BTCUSDT", "--from", "2024-08-01", "--to", "2024-09-15")

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first backtest by the shipped files is kept, for the other tests that need one."""
    return tmp_path_factory.mktemp("unchanged") / "run.sqlite"


@pytest.fixture
def run(fsm, project: Path, unchanged: Path) -> Run:
    """A backtest with files that differ from the shipped ones in one place; its database."""

    def made(name: str, *options: str, **edits: tuple[str, str]) -> Path:
        if options or edits:
            return ran(name, *options, **edits)
        if not unchanged.exists():
            shutil.copy(ran("unchanged"), unchanged)
        return Path(shutil.copy(unchanged, project / f"{name}.sqlite"))

    def ran(name: str, *options: str, config: tuple[str, str] = ("", ""), rules: tuple[str, str] = ("", "")) -> Path:
        for file, (before, after) in (("config.yaml", config), ("rules.yaml", rules)):
            text = (project / file).read_text("utf-8")
            assert before in text
            (project / f"{name}-{file}").write_text(text.replace(before, after, 1) if before else text, "utf-8")
        files = ("--config", f"{name}-config.yaml", "--rules", f"{name}-rules.yaml")
        ended = fsm("backtest", *SPAN, *files, "--db", f"{name}.sqlite", *options)
        assert ended.code == 0, ended.stderr
        return project / f"{name}.sqlite"

    return made


def compared(fsm, a: Path, b: Path, *options: str) -> Any:
    ended = fsm("compare", a, b, "--json", *options)
    assert ended.code == 4, ended.stderr or ended.stdout
    return ended.document


def sources(found: Any) -> set[tuple[str, bool]]:
    return {(each["cause"]["source"], each["cause"]["confirmed"]) for each in found["differences"]}


def test_equal_runs_differ_in_nothing(fsm, run) -> None:
    one, other = run("one"), run("other", "--data", str(shipped_folder()))
    ended = fsm("compare", one, other)
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "no trade differs")
    assert fsm("compare", one, other, "--json").document["identical"] is True


@pytest.mark.parametrize(
    ("source", "path", "files"),
    sampled(
        [
            ("RULES", "thresholds.pullback_rsi_high", {"rules": ("pullback_rsi_high: 60", "pullback_rsi_high: 52")}),
            ("SETTING", "risk.risk_per_trade_pct", {"config": ("risk_per_trade_pct: 0.5", "risk_per_trade_pct: 0.4")}),
            ("SETTING", "simulation.stop_depth_share", {"config": ("stop_depth_share: 0.25", "stop_depth_share: 0")}),
            ("SETTING", "limits.drawdown_pct", {"config": ("drawdown_pct: 25.0", "drawdown_pct: 1.0")}),
        ],
        often=2,
    ),
    ids=["threshold", "risk", "fill", "limit"],
)
def test_a_planted_cause_is_named_and_confirmed(fsm, run, source: str, path: str, files: Any) -> None:
    found = compared(fsm, run("a"), run("b", **files))
    assert found["not_confirmed"] == ""
    assert [each["path"] for each in found["inputs"]] == [path]
    assert sources(found) == {(source, True)}
    assert {each["cause"]["path"] for each in found["differences"]} == {path}


@pytest.mark.slow
def test_two_causes_are_told_apart_and_what_takes_both_says_so(fsm, run) -> None:
    config = ("risk_per_trade_pct: 0.5", "risk_per_trade_pct: 0.4")
    rules = ("pullback_rsi_high: 60", "pullback_rsi_high: 52")
    found = compared(fsm, run("a"), run("b", config=config, rules=rules))
    assert sources(found) <= {("SETTING", True), ("RULES", True)}
    alone = {each["cause"]["path"] for each in found["differences"] if not each["cause"]["together"]}
    assert "risk.risk_per_trade_pct" in alone
    assert any(each["cause"]["together"] for each in found["differences"])


def folder_with(tmp_path: Path, name: str, change: Callable[[list[str]], list[str]]) -> Path:
    """The shipped files of BTCUSDT, one of them changed."""
    folder = tmp_path / f"data-{name}"
    folder.mkdir()
    for file in shipped_folder().rglob("BTCUSDT-*.csv.gz"):
        shutil.copy(file, folder / file.name)
    path = folder / f"BTCUSDT-{name}.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([*change(lines), ""]).encode(), 1, mtime=0))
    return folder


def lowered(at_ms: int, by: float) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        made = []
        for line in lines:
            cells = line.split(",")
            if cells[0] == str(at_ms):
                cells[3] = str(round(float(cells[3]) * by, 1))
            made.append(",".join(cells))
        return made

    return change


def test_one_other_candle_is_found_by_its_time(fsm, run, tmp_path: Path) -> None:
    base = run("a")
    connection = sqlite3.connect(base)
    opened_ms = connection.execute("SELECT MIN(signal_candle_ms) FROM trades WHERE side = 'LONG'").fetchone()[0]
    at_ms = opened_ms + 2 * 3_600_000
    data = folder_with(tmp_path, "1h", lowered(at_ms, 0.9))
    found = compared(fsm, base, run("b", "--data", str(data)), "--data-b", str(data))
    (candle,) = [each for each in found["inputs"] if each["path"].startswith("BTCUSDT 1h")]
    assert (candle["source"], candle["at_ms"]) == ("CANDLES", at_ms)
    assert sources(found) == {("CANDLES", True)}


def test_other_funding_is_found_and_confirmed(fsm, run, tmp_path: Path) -> None:
    def doubled(lines: list[str]) -> list[str]:
        cells = [line.split(",") for line in lines[1:]]
        return [lines[0], *(f"{at_ms},{float(rate) * 20!r}" for at_ms, rate in cells)]

    data = folder_with(tmp_path, "funding", doubled)
    found = compared(fsm, run("a"), run("b", "--data", str(data)), "--data-b", str(data))
    assert {each["source"] for each in found["inputs"]} == {"FUNDING"}
    assert sources(found) == {("FUNDING", True)}


def another_tick(tmp_path: Path, name: str, tick: str) -> Path:
    """The shipped files of BTCUSDT, with rules that say another tick."""
    folder = folder_with(tmp_path, "1h", lambda lines: lines)
    info = json.loads((shipped_folder() / "symbols.json").read_text())
    (row,) = [each for each in info["symbols"] if each["symbol"] == "BTCUSDT"]
    for rule in row["filters"]:
        if rule["filterType"] == "PRICE_FILTER":
            rule.update(tickSize=tick, minPrice=tick)
    (folder / name).write_text(json.dumps({"symbols": [row]}))
    return folder


@pytest.mark.parametrize(
    "name", sampled(["symbols.json", "symbols-2024-01-01.json", "symbols-2024-08-20.json"], often=1)
)
def test_another_tick_is_found_and_confirmed(fsm, run, tmp_path: Path, name: str) -> None:
    """For all times, from before the run on, and on the way."""
    data = another_tick(tmp_path, name, "5")
    found = compared(fsm, run("a"), run("b", "--data", str(data)))
    (rules,) = [each for each in found["inputs"] if each["source"] == "SYMBOL_RULES"]
    assert "filters.tick_size" in rules["path"]
    assert sources(found) == {("SYMBOL_RULES", True)}


def test_without_running_again_the_journals_still_say_how(fsm, run) -> None:
    rules = ("pullback_rsi_high: 60", "pullback_rsi_high: 52")
    found = compared(fsm, run("a"), run("b", rules=rules), "--no-confirm")
    assert found["not_confirmed"] == "the runs were not repeated"
    first = found["differences"][0]["cause"]
    assert "rsi_neutral" in first["told"] or "rsi" in first["told"]
    assert first["confirmed"] is False


def test_two_rules_files_are_run_and_compared(fsm, project: Path) -> None:
    text = (project / "rules.yaml").read_text("utf-8")
    (project / "new.yaml").write_text(text.replace("pullback_rsi_high: 60", "pullback_rsi_high: 52"), "utf-8")
    ended = fsm("compare", "rules.yaml", "new.yaml", *SPAN)
    assert ended.code == 4
    assert "rules thresholds.pullback_rsi_high: 60 in A, 52 in B" in ended.stdout
    assert "(confirmed)" in ended.stdout


def test_a_bots_database_is_held_against_a_backtest_of_what_it_saw(fsm, run) -> None:
    """Whatever wrote it: a journal that the engine would write again differs in nothing."""
    database = run("a")
    ended = fsm("compare", "--live", "--days", "30", "--db", database)
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "no trade differs")
    connection = sqlite3.connect(database)
    connection.execute("DROP TRIGGER IF EXISTS trades_update")
    connection.execute("UPDATE trades SET exit_price = '1', net_pnl = '-999' WHERE id = (SELECT MAX(id) FROM trades)")
    connection.commit()
    found = fsm("compare", "--live", "--db", database, "--json")
    assert found.code == 4
    (difference,) = found.document["differences"]
    assert (difference["cause"]["source"], set(difference["fields"])) == ("UNEXPLAINED", {"exit_price", "net_pnl"})


def test_what_is_no_run_is_said_to_be_none(fsm, project: Path, journal: Path) -> None:
    assert fsm("compare", journal).code == 2
    assert "no run is called nothing" in fsm("compare", journal, "nothing").stderr
    (project / "x.sqlite").write_text("not a database")
    assert fsm("compare", journal, "x.sqlite").code != 0
