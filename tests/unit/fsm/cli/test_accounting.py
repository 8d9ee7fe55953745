"""`trades --export`: CSV whose sums are those of the database, and which no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import sqlite3
from decimal import Decimal
from pathlib import Path

from fsm.cli.accounting import FILL_FIELDS, _plain
from fsm.cli.trade_columns import EXPORTED

PAGE = Path(__file__).parents[4] / "docs" / "accounting.md"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_trades_sum_to_what_the_database_says_the_oldest_first(fsm, journal) -> None:
    rows = rows_of(fsm("trades", "--export", "--db", journal).stdout)
    connection = sqlite3.connect(journal)
    stored = connection.execute("SELECT net_pnl, fees, funding FROM trades WHERE status = 'CLOSED'").fetchall()
    for position, field in enumerate(("net_pnl_usdt", "fees_usdt", "funding_usdt")):
        assert sum(Decimal(row[field]) for row in rows) == sum(Decimal(found[position]) for found in stored)
    for row in rows:
        total = Decimal(row["pnl_usdt"]) - Decimal(row["fees_usdt"]) + Decimal(row["funding_usdt"])
        assert total == Decimal(row["net_pnl_usdt"])
    assert [row["opened_ms"] for row in rows] == sorted(row["opened_ms"] for row in rows)
    assert not any("E" in row["fees_usdt"] for row in rows)


def test_each_fill_is_a_row_and_its_fees_are_those_of_its_trade(fsm, journal) -> None:
    fills = rows_of(fsm("trades", "--export", "--per", "fill", "--db", journal).stdout)
    trades = {row["trade"]: row for row in rows_of(fsm("trades", "--export", "--db", journal).stdout)}
    connection = sqlite3.connect(journal)
    assert len(fills) == connection.execute("SELECT count(*) FROM fills").fetchone()[0] > 6
    for trade, row in trades.items():
        mine = [fill for fill in fills if fill["trade"] == trade]
        assert sum(Decimal(fill["fee"]) for fill in mine) == Decimal(row["fees_usdt"])
        assert sum(Decimal(fill["realized_pnl_usdt"]) for fill in mine) == Decimal(row["pnl_usdt"])
        for fill in mine:
            assert Decimal(fill["value_usdt"]) == Decimal(fill["price"]) * Decimal(fill["quantity"])


def test_a_symbol_and_a_time_narrow_it(fsm, journal) -> None:
    assert fsm("trades", "--export", "--symbol", "ETHUSDT", "--db", journal).stdout.splitlines() == [",".join(EXPORTED)]
    assert rows_of(fsm("trades", "--export", "--per", "fill", "--since", "2030-01-01", "--db", journal).stdout) == []


def test_the_page_describes_every_field() -> None:
    page = PAGE.read_text()
    assert [field for field in (*EXPORTED, *FILL_FIELDS) if f"| `{field}` |" not in page] == []


def test_text_that_a_spreadsheet_would_run_is_set_off() -> None:
    assert _plain("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert _plain(Decimal("-0.00000001")) == "-0.00000001"
