"""`trades`, `positions` and `status`: how things stand according to the database."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from pathlib import Path

import pytest

from fsm.cli import output
from fsm.live.operator.wording import because
from store.batch import Batch
from store.database import open_store
from store.journal import Journal
from store.lock import ProcessLock
from store.rows import DocumentRow


@pytest.fixture
def empty(project: Path) -> Path:
    path = project / "empty.sqlite"
    with open_store(path, mode="write") as store:
        store.bind(environment="sim", account=None, at_ms=0)
    return path


def test_trades_are_listed_with_their_results_the_newest_last(fsm, journal) -> None:
    found = fsm("trades", "--limit", "1000", "--json", "--db", journal).document
    rows = found["trades"]
    assert found["total"] == len(rows) > 3
    assert [row["number"] for row in rows] == sorted(row["number"] for row in rows)
    closed = [row for row in rows if row["status"] == "CLOSED"]
    assert all(row["net_pnl"] is not None and row["r"] is not None and row["exit_reason"] for row in closed)

    lines = fsm("trades", "--limit", "1000", "--db", journal).stdout.splitlines()
    net = sum(Decimal(row["net_pnl"]) for row in closed)
    assert lines[-1].endswith(f"net {net:,.2f} USDT")
    assert f"{len(rows)} trades; of {len(closed)} closed " in lines[-1]


def test_execution_says_how_well_trades_were_carried_out(fsm, journal) -> None:
    found = fsm("execution", "--json", "--db", journal).document
    trades = fsm("trades", "--limit", "1000", "--json", "--db", journal).document["trades"]
    assert [row["trade_id"] for row in found["trades"]] == [row["id"] for row in trades]
    text = fsm("execution", "--db", journal).stdout
    assert f"{len(trades)} trades filled" in text
    assert "entry, against the signal's price" in text
    assert f"{found['report']['total']['entry']['bp']['mean']:+.1f}" in text
    assert "no trade was filled" in fsm("execution", "--symbol", "ethusdt", "--db", journal).stdout


def test_trades_can_be_narrowed_down(fsm, journal) -> None:
    assert len(fsm("trades", "--limit", "2", "--json", "--db", journal).document["trades"]) == 2
    assert "2 of " in fsm("trades", "--limit", "2", "--db", journal).stdout.splitlines()[-1]
    assert fsm("trades", "--symbol", "ethusdt", "--db", journal).stdout.startswith("no trade matches: ETHUSDT")
    assert fsm("trades", "--status", "open", "--json", "--db", journal).document["total"] == 0
    assert fsm("trades", "--since", "2030-01-01", "--json", "--db", journal).document["trades"] == []
    assert (
        fsm("show-trades", "--limit", "2", "--db", journal).stdout
        == fsm("trades", "--limit", "2", "--db", journal).stdout
    )


def test_no_position_is_open_after_a_backtest(fsm, journal) -> None:
    assert fsm("positions", "--db", journal).stdout == "no position is open\n"
    assert fsm("positions", "--json", "--db", journal).document == {"positions": [], "not_ours": []}


def test_status_has_the_account_and_one_reason_for_each_symbol_r55(fsm, journal) -> None:
    found = fsm("status", "--json", "--db", journal).document
    assert found["environment"] == "backtest"
    assert found["daemon"] == {"running": False, "pid": None}
    assert Decimal(found["account"]["equity"]) > 0
    (symbol,) = found["symbols"]
    assert symbol["symbol"] == "BTCUSDT"
    assert symbol["outcome"] in ("NO_SIGNAL", "NO_TRADE", "BLOCKED", "IN_TRADE", "HALTED", "SIGNAL")
    assert symbol["reason"]
    text = fsm("status", "--db", journal).stdout
    assert re.search(r"(?m)^equity +[\d,.]+ USDT at 2024-", text)
    assert re.search(rf"(?m)^BTCUSDT .* {re.escape(because(symbol['reason']))}$", text)


def test_status_of_an_empty_database_is_empty(fsm, empty) -> None:
    ended = fsm("status", "--db", empty)
    assert ended.code == 0
    assert "open positions  0" in ended.stdout
    assert fsm("status", "--json", "--db", empty).document["symbols"] == []


def test_status_says_that_a_bot_is_running(fsm, empty) -> None:
    with ProcessLock(empty):
        assert fsm("status", "--json", "--db", empty).document["daemon"]["running"]
        assert "running, process" in fsm("status", "--db", empty).stdout
    assert "not running" in fsm("status", "--db", empty).stdout


def test_status_says_what_became_of_the_newest_commands(fsm, journal_copy) -> None:
    fsm("halt", "BTCUSDT", "--db", journal_copy)
    assert "command 1       halt BTCUSDT, posted\n" in fsm("status", "--db", journal_copy).stdout
    (found,) = fsm("status", "--json", "--db", journal_copy).document["commands"]
    assert (found["kind"], found["state"]) == ("halt", "posted")


def test_status_alive_is_refused_unless_a_bot_runs_and_its_pulse_is_fresh(fsm, empty) -> None:
    def pulse(wall_ms: int) -> None:
        with open_store(empty, mode="write") as store:
            row = DocumentRow(name="health", at_ms=1, body_json=json.dumps({"wall_ms": wall_ms}))
            Journal(store, "run").commit(Batch(documents=[row]))

    assert fsm("status", "--alive", "--db", empty).code == 3
    now_ms = time.time_ns() // 1_000_000
    with ProcessLock(empty):
        never = fsm("status", "--alive", "--db", empty)
        assert (never.code, "never" in never.stderr) == (3, True)
        pulse(now_ms - 120_000)
        late = fsm("status", "--alive", "--db", empty)
        assert (late.code, "its last pulse 12" in late.stderr) == (3, True)
        pulse(time.time_ns() // 1_000_000)
        assert fsm("status", "--alive", "--db", empty).code == 0


def test_prices_are_as_long_as_one_reads_them() -> None:
    """Averages and marks come with as many digits as a division gives."""
    for given, shown in (
        ("2309.57000000", "2309.57"),
        ("2277.20157524", "2277.2016"),
        ("0.00001234", "0.00001234"),
        ("62607.88412698412698412698413", "62607.884"),
        ("100000", "100000"),
    ):
        assert output.price(Decimal(given)) == shown
    assert output.price(None) == ""
