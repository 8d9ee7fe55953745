"""Every read answers from the journal what the journal holds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fsm.config import load_config
from store import queries
from store.batch import Batch
from store.rows import DocumentRow, ErrorRow, SystemEventRow

ROOT = Path(__file__).parents[3]
TO_MS = 1_733_011_200_000
HOUR_MS = 3_600_000
CLOCK = {"clock_offset_ms": -40, "clock_measured_ms": TO_MS}

BESIDE = {
    "task_failures": {"reload": 2},
    "output_lines_dropped": 7,
    "output_errors": 1,
    "files_looked_age_ms": 3_000,
    "alerts_undelivered": False,
}


def test_health_is_open_and_says_only_whether_things_work(visit: Any, daemon: Any) -> None:
    """And by whose clock it goes (R76)."""
    with visit() as anybody:
        answer = anybody.get("/api/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "stopped", "daemon_running": False, "pulse_age_ms": 2_000, **CLOCK, **BESIDE}


def test_the_summary_adds_up(browser: Any, daemon: Any) -> None:
    found = browser.get("/api/summary").json()
    equity, account = queries.latest_equity(daemon.store), queries.account(daemon.store)
    assert equity is not None
    assert account is not None
    assert Decimal(found["equity"]) == equity.equity
    assert Decimal(found["equity_high"]) == account.equity_high
    fall = (account.equity_high - equity.equity) / account.equity_high * 100
    assert found["drawdown_pct"] == pytest.approx(float(fall), abs=1e-4)
    assert found["environment"] == "backtest"
    assert found["as_of_ms"] == TO_MS
    assert found["positions_room"] == {"allowed": "3", "used": "1"}
    assert found["open_positions"] == 1
    assert found["protection_deadline_ms"] == 5_000
    closed = queries.trades(daemon.store, status="CLOSED", limit=1_000)
    assert found["trades"] == len(closed)
    assert Decimal(found["net_pnl"]) == sum((trade.net_pnl for trade in closed if trade.net_pnl), Decimal(0))


def test_r34_the_summary_says_what_a_breached_limit_does(browser: Any, daemon: Any) -> None:
    assert browser.get("/api/summary").json()["limit_action"] == "BLOCK_ENTRIES"
    daemon.document("limits", {"action": "FLATTEN", "losses": []})
    assert browser.get("/api/summary").json()["limit_action"] == "FLATTEN"


def test_budgets_say_what_is_left(browser: Any) -> None:
    budgets = {row["cause"]: row for row in browser.get("/api/summary").json()["budgets"]}
    assert Decimal(budgets["LIMIT_DAY"]["remaining"]) == Decimal("164.5")
    floors = browser.get("/api/equity").json()["floors"]
    equity = Decimal(browser.get("/api/summary").json()["equity"])
    assert Decimal(floors["LIMIT_DAY"]) == equity - Decimal("164.5")


def test_a_position_shows_entry_stop_targets_r_and_when_its_stop_was_seen(browser: Any, daemon: Any) -> None:
    (found,) = browser.get("/api/positions").json()["positions"]
    trade = queries.trade(daemon.store, found["trade_id"])
    assert trade is not None
    assert found["symbol"] == "BTCUSDT"
    assert found["state"] == "PROTECTED"
    assert Decimal(found["entry"]) == trade.entry_price
    assert found["r"] == pytest.approx(float(Decimal("12.5") / trade.risk_usdt), abs=1e-4)
    assert found["stop_price"] is not None
    assert found["targets"]
    assert found["stop_verified_age_ms"] == 4_000


def test_a_verification_of_another_stop_does_not_count(browser: Any, daemon: Any) -> None:
    daemon.document("health", {"stops": {"BTCUSDT": {"client_id": "fother-S1.1", "verified_wall_ms": 1}}})
    (found,) = browser.get("/api/positions").json()["positions"]
    assert found["stop_verified_age_ms"] is None


def test_trades_turn_page_by_page_without_loss_or_repetition(browser: Any, daemon: Any) -> None:
    total = browser.get("/api/trades").json()["total"]
    seen = [
        trade["id"]
        for offset in range(0, total, 7)
        for trade in browser.get("/api/trades", params={"limit": 7, "offset": offset}).json()["trades"]
    ]
    assert len(seen) == total == len(set(seen))


def test_open_orders_are_those_that_may_rest(browser: Any, daemon: Any) -> None:
    found = browser.get("/api/orders", params={"open": "true"}).json()["orders"]
    assert {order["client_order_id"] for order in found} == {
        order.client_order_id for order in queries.open_orders(daemon.store)
    }
    assert browser.get("/api/orders", params={"limit": 5, "symbol": "DOGEUSDT"}).json()["orders"][0]["symbol"] == (
        "DOGEUSDT"
    )


@pytest.mark.parametrize("span", ["1d", "7d", "30d", "all"])
def test_results_of_a_range_are_those_of_its_trades(browser: Any, daemon: Any, span: str) -> None:
    found = browser.get("/api/pnl", params={"range": span}).json()
    closed = [
        trade
        for trade in queries.trades(daemon.store, status="CLOSED", limit=1_000)
        if found["since_ms"] <= (trade.closed_ms or 0) < found["until_ms"]
    ]
    assert found["trades"] == len(closed)
    assert sum(Decimal(day["net_pnl"]) for day in found["days"]) == Decimal(found["net_pnl"])


RANGES_MS = {"1d": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000}


@pytest.mark.parametrize(("span", "length_ms"), RANGES_MS.items())
def test_a_range_is_as_long_as_it_says_and_ends_with_the_newest_time(
    browser: Any, daemon: Any, span: str, length_ms: int
) -> None:
    """A month that was 31 days long gave a sum that fitted its trades all the same."""
    found = browser.get("/api/pnl", params={"range": span}).json()
    assert (found["until_ms"], found["since_ms"]) == (TO_MS + 1, TO_MS + 1 - length_ms)
    points = browser.get("/api/equity", params={"range": span, "points": 2_000}).json()["points"]
    assert TO_MS - length_ms <= points[0]["at_ms"] < TO_MS - length_ms + HOUR_MS
    assert points[-1]["at_ms"] == TO_MS


def test_everything_begins_with_the_journal(browser: Any) -> None:
    assert browser.get("/api/pnl", params={"range": "all"}).json()["since_ms"] == 0


def test_equity_is_ascending_with_its_drawdown(browser: Any) -> None:
    points = browser.get("/api/equity", params={"points": 40}).json()["points"]
    assert 2 <= len(points) <= 41
    assert [point["at_ms"] for point in points] == sorted(point["at_ms"] for point in points)
    assert all(point["drawdown_pct"] >= 0 for point in points)


def test_regimes_carry_the_counters_of_the_hysteresis(browser: Any) -> None:
    regimes = browser.get("/api/regimes").json()["regimes"]
    assert [row["symbol"] for row in regimes] == ["BTCUSDT", "DOGEUSDT"]
    for row in regimes:
        assert row["regime"] in ("TREND", "RANGE", "BREAKOUT", "NO_TRADE")
        assert row["confirmations"] == 3
        assert row["hysteresis"]
        assert row["features"]
        assert [change["at_ms"] for change in row["changes"]] == sorted(change["at_ms"] for change in row["changes"])


def test_r55_every_symbol_has_one_present_reason(browser: Any) -> None:
    rows = browser.get("/api/why").json()["symbols"]
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "DOGEUSDT"]
    assert all(row["summary"] for row in rows)


def test_a_symbol_that_warms_up_says_what_is_short_and_until_when(browser: Any, daemon: Any) -> None:
    newest = queries.latest_decisions(daemon.store)[0]
    row = queries.decisions(daemon.store, symbol=newest.symbol, limit=1)[0]
    later = {"candle_ms": TO_MS, "last_ms": TO_MS, "at_ms": TO_MS + 3_600_000, "outcome": "NO_TRADE", "id": 0}
    short = replace(row, reason="WARMING_UP 1d: 147 of 200", guards_json="[]", prev_hash="", hash="", **later)
    daemon.journal.commit(Batch(decisions=[short]))
    for found in (
        browser.get(f"/api/why/{newest.symbol}").json(),
        next(each for each in browser.get("/api/why").json()["symbols"] if each["symbol"] == newest.symbol),
    ):
        assert found["reason"] == "WARMING_UP 1d: 147 of 200"
        assert found["summary"].startswith(
            "warming up: 147 of 200 candles of 1d have closed; nothing is entered before"
        )


def test_why_gives_each_condition_with_numbers_and_distance(browser: Any, daemon: Any) -> None:
    found = browser.get("/api/why/BTCUSDT").json()
    comparisons = [comparison for row in found["conditions"] for comparison in row["trace"]["comparisons"]]
    assert any(comparison["distance"] is not None for comparison in comparisons)
    assert any(row["scope"].endswith("enter") for row in found["conditions"])
    signal = queries.decisions(daemon.store, symbol="BTCUSDT", outcome="SIGNAL", limit=1)[0]
    then = browser.get("/api/why/BTCUSDT", params={"at": signal.candle_ms}).json()
    assert (then["outcome"], then["candle_ms"]) == ("SIGNAL", signal.candle_ms)
    assert then["guards"]


def test_r44_a_signal_that_was_not_taken_names_the_guard(browser: Any, daemon: Any) -> None:
    blocked = queries.decisions(daemon.store, outcome="BLOCKED", limit=1)
    refused = [row for row in blocked if '"passed":false' in row.guards_json]
    for row in refused:
        found = browser.get(f"/api/why/{row.symbol}", params={"at": row.candle_ms}).json()
        assert "refused by" in found["summary"]
    assert blocked, "the backtest has blocked entries"


def test_why_of_an_unknown_symbol_is_404_and_names_the_known(browser: Any) -> None:
    answer = browser.get("/api/why/NOSUCH")
    assert answer.status_code == 404
    assert "BTCUSDT" in answer.json()["error"]["hint"]


def test_transitions_are_explained_in_the_words_of_the_machine(browser: Any) -> None:
    page = browser.get("/api/transitions", params={"symbol": "BTCUSDT", "trigger": "protect", "limit": 1}).json()
    (found,) = page["transitions"]
    assert "the stop was read back and covers the position" in found["explanation"]


def test_one_transition_shows_everything_behind_it(browser: Any, daemon: Any) -> None:
    row = queries.transitions(daemon.store, queries.TransitionFilter(trigger="enter"), limit=1).rows[0]
    found = browser.get(f"/api/transitions/{row.id}").json()
    assert found["hash"] == row.hash
    assert found["record"]["symbol"] == row.symbol
    assert found["intents"][0]["kind"] == "PlaceEntry"
    assert found["intents"][0]["status"] == "CONFIRMED"


@pytest.mark.parametrize("until", ["2024-10-15", "2024-10-15T00:00:00+00:00", 1_728_950_400_000])
def test_times_may_be_given_in_words_or_milliseconds(browser: Any, until: object) -> None:
    found = browser.get("/api/transitions", params={"until": until, "limit": 1_000}).json()["transitions"]
    assert found
    assert all(row["at_ms"] < 1_728_950_400_000 for row in found)


def test_candles_are_the_newest_before_a_time(browser: Any) -> None:
    found = browser.get("/api/candles/BTCUSDT", params={"until": "2024-11-01", "limit": 3}).json()["candles"]
    assert [candle["time_ms"] for candle in found] == [1_730_408_400_000, 1_730_412_000_000, 1_730_415_600_000]


def test_time_to_protection_counts_every_filled_trade_once(browser: Any, daemon: Any) -> None:
    found = browser.get("/api/protection").json()
    filled = [trade for trade in queries.trades(daemon.store, limit=5_000) if trade.first_fill_ms is not None]
    assert found["trades"] == len(filled)
    assert sum(bucket["count"] for bucket in found["buckets"]) + found["unprotected"] == len(filled)
    assert found["deadline_ms"] == 5_000
    assert found["measured"]["count"] == 3


def test_rules_and_settings_in_force_are_shown(browser: Any) -> None:
    found = browser.get("/api/rules").json()
    assert "regimes:" in found["text"]
    assert found["config"]["config"]["protection"]["deadline_ms"] == 5_000


def test_a_symbol_that_has_not_moved_yet_is_idle(browser: Any, daemon: Any) -> None:
    symbols = {row["symbol"]: row for row in browser.get("/api/machine").json()["symbols"]}
    configured = load_config(ROOT / "config.yaml", None, {}).settings.symbols
    assert set(configured) <= set(symbols)
    unmoved = symbols["SOLUSDT"]
    assert (unmoved["state"], unmoved["at_ms"], unmoved["transition_id"]) == ("IDLE", None, None)


def test_what_happened_beside_trading_is_told_newest_first(browser: Any, daemon: Any) -> None:
    for kind, reason in (("HEARTBEAT", "ALIVE"), ("RECONCILIATION", "STOP_MISSING")):
        row = SystemEventRow(
            at_ms=TO_MS, kind=kind, symbol="BTCUSDT", reason=reason, facts_json='{"text":"placed again"}'
        )
        daemon.journal.commit(Batch(system_events=[row]))
    everything = browser.get("/api/system-events").json()["events"]
    assert [event["kind"] for event in everything[:2]] == ["RECONCILIATION", "HEARTBEAT"]
    assert everything[0]["facts"] == {"text": "placed again"}
    quiet = browser.get("/api/system-events", params={"quiet": "true"}).json()["events"]
    assert "HEARTBEAT" not in {event["kind"] for event in quiet}
    (one,) = browser.get("/api/system-events", params={"kind": "RECONCILIATION"}).json()["events"]
    assert (one["symbol"], one["reason"]) == ("BTCUSDT", "STOP_MISSING")


def test_errors_are_told_newest_first_from_a_time_on(browser: Any, daemon: Any) -> None:
    rows = [ErrorRow(at_ms=TO_MS + n, component="lane", symbol=None, error=f"number {n}") for n in range(3)]
    daemon.journal.commit(Batch(errors=rows))
    found = browser.get("/api/errors", params={"since": TO_MS + 1}).json()["errors"]
    assert [row["error"] for row in found] == ["number 2", "number 1"]


def test_the_machine_is_the_one_the_daemon_stored(browser: Any) -> None:
    found = browser.get("/api/machine").json()
    assert found["table"]["table"]["IDLE"]["signal"] == "SIGNALLED"
    states = {row["symbol"]: row["state"] for row in found["symbols"]}
    assert states["BTCUSDT"] == "PROTECTED"


def test_without_documents_the_reads_say_unknown_instead_of_failing(visit: Any) -> None:
    token = "another-token-of-enough-length"
    with visit(token=token, bearer=token) as client:
        assert client.get("/api/machine").json()["table"] is None
        assert client.get("/api/summary").json()["limit_action"] is None
        assert client.get("/api/positions").json() == {"positions": []}


@pytest.mark.parametrize("body", ["{", '"text"', '{"losses": 3}', '{"wall_ms": "soon"}'])
def test_a_document_that_cannot_be_read_counts_as_missing(browser: Any, daemon: Any, body: str) -> None:
    for name in ("machine", "limits", "health", "config"):
        daemon.journal.commit(Batch(documents=[DocumentRow(name=name, at_ms=1, body_json=body)]))
    assert browser.get("/api/summary").status_code == 200
    assert browser.get("/api/machine").json()["table"] is None


def test_conditions_are_told_as_trees_and_the_nearest_symbols_first(browser: Any, daemon: Any) -> None:
    found = browser.get("/api/why/BTCUSDT").json()
    listed = {(each["scope"], each["trace"]["id"]) for each in found["conditions"]}
    told = {
        (scope["scope"], leaf["id"])
        for scope in found["trees"]
        for node in scope["nodes"]
        for leaf in (node["children"] if node["id"] == "any of" else [node])
    }
    assert told == listed
    board = browser.get("/api/why").json()
    near = {row["symbol"]: row["nearest"] for row in board["symbols"] if row["nearest"] is not None}
    assert sorted(board["closest"]) == sorted(near)
    order = [(near[symbol]["lacking"], near[symbol]["steps"]) for symbol in board["closest"]]
    assert order == sorted(order)


def test_reasons_are_counted_over_a_period(browser: Any, daemon: Any) -> None:
    span = {"symbol": "BTCUSDT", "since": "2024-10-10", "until": "2024-10-20"}
    found = browser.get("/api/reasons", params=span).json()["reasons"]
    assert sum(row["candles"] for row in found) == 240
    assert {row["symbol"] for row in found} == {"BTCUSDT"}
    assert len({row["symbol"] for row in browser.get("/api/reasons").json()["reasons"]}) == 2
