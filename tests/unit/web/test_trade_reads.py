"""One trade in full and all of them in groups: every figure is that of the journal."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store import queries
from store.studies import TrialRow, study_store
from web.page import FILES, PAGES


def test_a_trade_is_told_with_its_orders_fills_and_steps(browser: Any, daemon: Any) -> None:
    (row, *_) = queries.trades(daemon.store, status="CLOSED", limit=1)
    found = browser.get(f"/api/trades/{row.id}").json()
    assert Decimal(found["trade"]["stop_price_initial"]) == row.stop_price_initial
    assert {order["client_order_id"] for order in found["orders"]} == {
        order.client_order_id for order in queries.orders(daemon.store, trade_id=row.id, limit=1_000)
    }
    fills = queries.fills(daemon.store, trade_id=row.id)[::-1]
    assert [Decimal(fill["price"]) for fill in found["fills"]] == [fill.price for fill in fills]
    assert sum(Decimal(fill["commission"]) for fill in found["fills"]) == -Decimal(found["fees"]["usdt"])
    steps = queries.transitions(daemon.store, queries.TransitionFilter(trade_id=row.id), limit=1_000).rows[::-1]
    assert [(step["id"], step["hash"]) for step in found["steps"]] == [(step.id, step.hash) for step in steps]
    assert found["steps"][0]["trigger"] == "signal"


def test_the_parts_of_a_trades_result_add_up(browser: Any, daemon: Any) -> None:
    for row in queries.trades(daemon.store, status="CLOSED", limit=1_000):
        found = browser.get(f"/api/trades/{row.id}").json()
        parts = [Decimal(found[name]["usdt"]) for name in ("before_fees", "fees", "funding")]
        assert sum(parts) == Decimal(found["net"]["usdt"]) == row.net_pnl
        assert row.r is not None
        assert abs(Decimal(found["net"]["r"]) - row.r) <= Decimal("0.0001")
        entries = [fill for fill in found["fills"] if (fill["side"] == "BUY") == (row.side == "LONG")]
        paid = sum(Decimal(fill["price"]) * Decimal(fill["quantity"]) for fill in entries)
        planned = sum(row.entry_price_planned * Decimal(fill["quantity"]) for fill in entries)
        better = planned - paid if row.side == "LONG" else paid - planned
        assert Decimal(found["entry_slippage"]["usdt"]) == pytest.approx(better, abs=Decimal("0.000001"))


def test_a_trade_that_is_not_there_is_404(browser: Any) -> None:
    answer = browser.get("/api/trades/NOPE-9")
    assert answer.status_code == 404
    assert "there is no trade NOPE-9" in answer.json()["error"]["message"]


def test_each_way_of_grouping_counts_every_closed_trade_once(browser: Any, daemon: Any) -> None:
    closed = queries.trades(daemon.store, status="CLOSED", limit=1_000)
    found = browser.get("/api/statistics").json()
    assert sum(bucket["trades"] for bucket in found.pop("r_distribution")) == sum(row.r is not None for row in closed)
    assert len(found) == 9
    for groups in found.values():
        assert sum(group["trades"] for group in groups) == len(closed)
        assert sum(group["wins"] for group in groups) == sum(1 for row in closed if row.net_pnl and row.net_pnl > 0)
        assert sum(Decimal(group["net_pnl"]) for group in groups) == sum(row.net_pnl or 0 for row in closed)
        assert sum(Decimal(group["fees"]) for group in groups) == sum(row.fees for row in closed)
    by_hour: dict[str, Decimal] = defaultdict(Decimal)
    for row in closed:
        by_hour[datetime.fromtimestamp(row.opened_ms / 1000, tz=UTC).strftime("%H:00")] += row.net_pnl or 0
    assert {group["key"]: Decimal(group["net_pnl"]) for group in found["hour"]} == by_hour
    assert [group["key"] for group in found["hour"]] == sorted(by_hour)


def test_statistics_of_a_span_are_of_the_trades_that_ended_in_it(browser: Any, daemon: Any) -> None:
    ends = sorted(row.closed_ms for row in queries.trades(daemon.store, status="CLOSED", limit=1_000) if row.closed_ms)
    span = {"since": str(ends[1]), "until": str(ends[-1])}
    (total,) = browser.get("/api/statistics", params=span).json()["total"]
    assert total["trades"] == sum(1 for end in ends if ends[1] <= end < ends[-1]) < len(ends)


def test_weekdays_stand_in_the_order_of_the_week(browser: Any) -> None:
    week = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    found = [group["key"] for group in browser.get("/api/statistics").json()["weekday"]]
    assert found == [day for day in week if day in found]


def test_executions_are_those_of_the_journal(browser: Any, daemon: Any) -> None:
    filled = [row for row in queries.trades(daemon.store, limit=1_000) if row.entry_price is not None]
    found = browser.get("/api/execution").json()
    assert found["total"]["trades"] == len(filled)
    assert Decimal(found["total"]["fees"]) == sum(row.fees for row in filled)
    one = browser.get("/api/execution", params={"symbol": "BTCUSDT"}).json()
    assert one["total"]["trades"] == sum(1 for row in filled if row.symbol == "BTCUSDT") < len(filled)
    assert browser.get("/api/execution", params={"since": "soon"}).status_code == 422


def test_every_address_of_a_page_is_the_same_shell(browser: Any) -> None:
    for path in PAGES:
        answer = browser.get(path.format(symbol="BTCUSDT", id="BTCUSDT-1"))
        assert answer.status_code == 200
        assert answer.content == FILES["/"].body
        assert answer.headers["content-type"].startswith("text/html")


def test_symbols_at_a_glance_are_those_of_the_machine_the_nearest_first(browser: Any, daemon: Any) -> None:
    rows = browser.get("/api/symbols").json()["symbols"]
    assert {row["machine"]["symbol"] for row in rows} == {
        row["symbol"] for row in browser.get("/api/machine").json()["symbols"]
    }
    closest = browser.get("/api/why").json()["closest"]
    flat = [row["machine"]["symbol"] for row in rows if row["nearest"] and row["machine"]["trade_id"] is None]
    assert flat == [symbol for symbol in closest if symbol in flat]
    closed = queries.trades(daemon.store, status="CLOSED", limit=1_000)
    for row in rows:
        mine = [trade.net_pnl or 0 for trade in closed if trade.symbol == row["machine"]["symbol"]]
        assert (row["trades"], Decimal(row["net_pnl"])) == (len(mine), sum(mine))


def test_kept_backtests_and_studies_beside_the_database_are_listed(visit: Any, daemon: Any, tmp_path: Path) -> None:
    for name, target in (("runs", "one"), ("runs", "no run"), ("studies", "first")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{target}.sqlite").write_bytes(b"nonsense")
    daemon.store.connection.execute("VACUUM INTO ?", (str(tmp_path / "sim.sqlite"),))
    run = tmp_path / "runs" / "one.sqlite"
    run.unlink()
    daemon.store.connection.execute("VACUUM INTO ?", (str(run),))
    with study_store(tmp_path / "studies" / "second.sqlite", new=True) as study:
        study.add([TrialRow(1, 0, {"a": 1}), TrialRow(2, 0, {"a": 2}, "no")])
    with visit(token=None, db=tmp_path / "sim.sqlite") as browser:
        found = browser.get("/api/kept").json()
    runs = {row["name"]: row for row in found["runs"]}
    row = queries.document(daemon.store, "backtest")
    assert row is not None
    told = json.loads(row.body_json)["summary"]
    assert (runs["one"]["trades"], runs["one"]["symbols"]) == (told["trades"], len(told["symbols"]))
    assert runs["one"]["net_pnl_usdt"] == pytest.approx(float(told["net_pnl_usdt"]))
    assert runs["no run"]["problem"]
    studies = {row["name"]: row for row in found["studies"]}
    assert (studies["second"]["trials"], studies["second"]["refused"]) == (2, 1)
    assert studies["first"]["problem"]
