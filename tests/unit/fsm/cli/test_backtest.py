"""`backtest`: the document with the fields that programs rely on, the summary for people, and what is refused."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from tests.effort import sampled

ROOT = Path(__file__).parents[4]
SHORT = ("--symbols", "BTCUSDT", "--from", "2024-09-01", "--to", "2024-09-30")
FIELDS = (
    "symbols from to candles trades wins losses net_pnl_usdt fees_usdt funding_usdt return_pct max_drawdown_pct "
    "expectancy_r sharpe exposure_pct per_regime per_strategy per_symbol transitions journal_hash rules_hash "
    "config_hash seconds"
)


def test_the_document_is_alone_on_stdout_and_the_logs_are_json_on_stderr(fsm_process) -> None:
    ended = fsm_process("backtest", *SHORT, "--json")
    assert ended.code == 0, ended.stderr
    found = ended.document
    assert set(FIELDS.split()) <= set(found)
    assert set(found["seconds"]) == {"load", "features", "run", "report"}
    assert (found["symbols"], found["from"], found["to"]) == (
        ["BTCUSDT"], "2024-09-01T00:00:00Z", "2024-10-01T00:00:00Z",
    )  # fmt: skip
    assert found["candles"] == 30 * 24
    phases = [json.loads(line)["phase"] for line in ended.stderr.splitlines()]
    assert phases == ["load", "features", "run"]


def test_every_way_of_running_it_gives_the_same_journal(fsm) -> None:
    plain = fsm("backtest", *SHORT, "--json").document
    slow = fsm("backtesting", *SHORT, "--every-candle", "--json").document
    data = fsm("backtest", "--data", shipped_folder(), *SHORT, "--json").document
    assert plain["journal_hash"] == slow["journal_hash"] == data["journal_hash"]


def test_the_tick_of_the_time_is_told(fsm, tmp_path: Path) -> None:
    span = ("--symbols", "BTCUSDT,SOLUSDT", "--from", "2025-04-01", "--to", "2025-06-15")
    ended = fsm("backtest", *span, "--report", tmp_path / "report.html")
    told = "SOLUSDT 0.001 (as its candles show), 0.01 from 2025-05-02 07:00 on"
    assert f"price steps               {told}" in ended.stdout
    assert f"Price steps of then: {told}." in (tmp_path / "report.html").read_text("utf-8")


def test_one_edited_threshold_changes_the_rules_hash_and_not_the_config_hash(fsm, project) -> None:
    before = fsm("backtest", *SHORT, "--json").document
    path = project / "rules.yaml"
    text = path.read_text("utf-8")
    assert "\n  confirmations: 3" in text
    path.write_text(text.replace("\n  confirmations: 3", "\n  confirmations: 2"), "utf-8")
    after = fsm("backtest", *SHORT, "--json").document
    assert after["rules_hash"] != before["rules_hash"]
    assert after["journal_hash"] != before["journal_hash"]
    assert after["config_hash"] == before["config_hash"]


def test_people_get_a_summary_and_the_commands_to_go_on_with(fsm, project) -> None:
    ended = fsm("backtest", *SHORT, "--db", "out/kept.sqlite", "--report", "report.html")
    assert ended.code == 0, ended.stderr
    for text in ("\nnet PnL ", "\nlargest drawdown ", "\nstrategy ", "\nregime at entry ", "\nsymbol "):
        assert text in ended.stdout
    assert "The report is in report.html." in ended.stdout
    assert "<html" in (project / "report.html").read_text("utf-8")
    assert "audit verify --db out/kept.sqlite" in ended.stdout
    assert fsm("audit", "verify", "--db", "out/kept.sqlite").code == 0


TRADERS_READ = (
    "win_rate_pct profit_factor average_win_usdt average_loss_usdt payoff expectancy_usdt sortino calmar "
    "longest_drawdown_days return_yearly_pct wins_in_a_row losses_in_a_row hours_held_mean hours_held_median"
)


def test_the_document_has_the_figures_that_traders_read(fsm) -> None:
    found = fsm("backtest", *SHORT, "--json").document
    assert set(TRADERS_READ.split()) <= set(found)
    assert found["profit_factor"] >= 0
    assert found["calmar"] is not None, "a month is enough for a yearly return"
    assert found["per_symbol"]["BTCUSDT"]["payoff"] == found["payoff"]


@pytest.mark.parametrize("columns", sampled([60, 80, 132], often=1))
def test_the_summary_fits_the_terminal_and_its_money_has_two_decimals(project, columns) -> None:
    lines = on_terminal(columns, "backtest", *SHORT)
    assert [line for line in lines if len(line) > columns] == []
    for name in (
        "win rate",
        "profit factor",
        "average win",
        "payoff",
        "Sortino ratio",
        "Calmar ratio",
        "longest drawdown",
    ):
        assert any(line.startswith(name) for line in lines), name
    for name in ("net PnL", "fees", "funding", "average win", "average loss"):
        (told,) = [line for line in lines if line.startswith(name)]
        assert re.search(r"-?[\d,]+\.\d\d USDT", told), told


def on_terminal(columns: int, *args: str) -> list[str]:
    """What a person sees on a terminal that is so wide, without colours."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fsm", *args],
        stdout=inner,
        stderr=subprocess.DEVNULL,
        env={**environment, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(inner)
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(terminal)
    assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r", "").split("\n")


def test_without_a_database_nothing_is_left_behind(fsm, project) -> None:
    before = sorted(project.iterdir())
    assert "The journal was not kept" in fsm("backtest", *SHORT).stdout
    assert sorted(project.iterdir()) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--symbols", "NOSUCHUSDT"), "NOSUCHUSDT"),
        (("--symbols", "BTCUSDT,,"), "no list of symbols"),
        (("--data", "nowhere"), "nowhere"),
        (("--data", "."), "BTCUSDT"),
        (("--from", "2025-01-01", "--to", "2024-01-01"), "the data covers"),
        (("--from", "2031-01-01"), "the data covers"),
        (("--from", "soon"), "is no time"),
        (("--to", "1735689600"), "not in milliseconds"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(fsm, args, message) -> None:
    ended = fsm("backtest", *SHORT, *args)
    assert ended.code == 2
    assert message in ended.stderr
    assert ended.stdout == ""


def test_an_existing_database_is_never_written_over(fsm, journal_copy) -> None:
    before = journal_copy.read_bytes()
    ended = fsm("backtest", *SHORT, "--db", journal_copy)
    assert ended.code == 2
    assert "exists already" in ended.stderr
    assert journal_copy.read_bytes() == before


def test_a_broken_candle_file_is_named_with_its_line(fsm, project) -> None:
    data = project / "data"
    data.mkdir()
    lines = gzip.decompress((shipped_folder() / "BTCUSDT-1h.csv.gz").read_bytes()).decode().splitlines()
    lines[9] = lines[9].replace(".", "x", 1)
    (data / "BTCUSDT-1h.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    ended = fsm("backtest", *SHORT, "--data", data)
    assert ended.code == 2
    assert "BTCUSDT-1h.csv.gz:10: " in ended.stderr


def test_broken_rules_are_reported_before_anything_is_read(fsm, project) -> None:
    (project / "rules.yaml").write_text("version: 1\n", "utf-8")
    ended = fsm("backtest", *SHORT, "--json")
    assert ended.code == 2
    assert ended.document["problems"][0]["file"] == "rules.yaml"
