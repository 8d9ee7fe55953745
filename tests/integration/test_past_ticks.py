"""Old prices keep the tick of their time, on real candles: backtest, replay, simulator, reports and `data check`."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder, symbol_rows
from exchange.sim.server.setup import SimulationSetup, build
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.core.model.records import Trade
from fsm.journal.replay import replay
from fsm.search.evaluate import evaluate
from fsm.search.prepared import prepare
from rules.load import load_rules
from store.verify import verify
from tests.integration.test_parity import moment, run

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "klines"
SOL = "SOLUSDT"
COARSER_MS = moment("2025-05-02T07:00")
"""From then on no price of SOL has three decimals."""


def request_of(db: Path | None = None, **changes: object) -> Request:
    request = Request(
        config=load_config(ROOT / "config.yaml", None, {}),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=(SOL,),
        from_ms=moment("2024-10-01"),
        db=db,
    )
    return replace(request, **changes)


def ordered(trades: tuple[Trade, ...]) -> list[tuple[int, Decimal]]:
    """Prices that were planned: when, and which."""
    return [(trade.opened_ms, trade.stop_price_initial) for trade in trades]


def is_on(price: Decimal, tick: str) -> bool:
    return price % Decimal(tick) == 0


def test_stops_lie_on_the_tick_of_their_time_and_on_todays_after_it(tmp_path: Path) -> None:
    result = run_backtest(request_of(tmp_path / "run.sqlite"))
    before = [price for at_ms, price in ordered(result.trades) if at_ms < COARSER_MS]
    after = [price for at_ms, price in ordered(result.trades) if at_ms >= COARSER_MS]
    assert len(before) > 20
    assert len(after) > 5
    assert all(is_on(price, "0.001") for price in before)
    assert sum(not is_on(price, "0.01") for price in before) > len(before) // 2
    assert all(is_on(price, "0.01") for price in after)
    assert result.to_json()["ticks"] == {
        SOL: [
            {"from": "2024-10-01T00:00:00Z", "tick": "0.001", "known_by": "candles"},
            {"from": "2025-05-02T07:00:00Z", "tick": "0.01", "known_by": "later rules and candles"},
        ]
    }
    assert replay(tmp_path / "run.sqlite").different == 0
    assert verify(tmp_path / "run.sqlite").fine


@pytest.mark.slow
def test_jumping_over_candles_changes_nothing_where_a_tick_changes() -> None:
    request = request_of(symbols=(SOL, "BTCUSDT"), from_ms=moment("2025-03-01"))
    quick, slow = run_backtest(request), run_backtest(replace(request, every_candle=True))
    assert slow.journal_hash == quick.journal_hash


@pytest.mark.slow
def test_a_search_gives_the_same_trades_as_the_backtest() -> None:
    for from_ms in (moment("2025-03-01"), moment("2025-05-05")):
        request = request_of(from_ms=from_ms)
        found = evaluate(prepare(request), request.rules, request.config.settings)
        expected = run_backtest(request)
        assert [trade.stop_price_initial for trade in found.trades] == [price for _, price in ordered(expected.trades)]
        assert found.figures["net_pnl_usdt"] == expected.to_json()["net_pnl_usdt"]
        assert found.by_engine == ""


def test_the_simulator_plays_the_tick_of_the_time_at_which_it_begins() -> None:
    for start, tick in (("2024-10-01", "0.001"), ("2025-06-01", "0.0100")):
        emulator = build(SimulationSetup(folders=(shipped_folder(),), start_ms=moment(start)))
        assert str(emulator.state.filters[SOL].tick_size) == tick
        (row,) = emulator.listing.rows({SOL: None})
        (price,) = [each for each in row["filters"] if each["filterType"] == "PRICE_FILTER"]  # type: ignore[attr-defined]
        assert price["tickSize"] == tick


def test_a_daemon_and_a_backtest_do_the_same_where_the_tick_changes(tmp_path: Path) -> None:
    report = run(tmp_path, (SOL,), ("2025-05-01", "2025-05-10"), stream=True)
    assert report.differences == []
    assert report.trades > 0


def test_rules_with_a_date_win_over_candles_and_change_on_their_day(tmp_path: Path) -> None:
    rows = {str(row["symbol"]): row for row in symbol_rows(shipped_exchange_info())}

    def write(day: str, tick: str) -> None:
        filters = [
            {**rule, "tickSize": tick, "minPrice": tick} if rule["filterType"] == "PRICE_FILTER" else rule
            for rule in rows[SOL]["filters"]  # type: ignore[attr-defined]
        ]
        (tmp_path / f"symbols-{day}.json").write_text(json.dumps({"symbols": [{**rows[SOL], "filters": filters}]}))

    write("2024-06-01", "0.05")
    write("2024-12-01", "0.5")
    request = request_of(tmp_path / "run.sqlite", data=(shipped_folder(), tmp_path), to_ms=moment("2025-02-01"))
    result = run_backtest(request)
    changed_ms = moment("2024-12-01")
    assert all(is_on(price, "0.05") for at_ms, price in ordered(result.trades) if at_ms < changed_ms)
    later = [price for at_ms, price in ordered(result.trades) if at_ms >= changed_ms]
    assert len(later) > 3
    assert all(is_on(price, "0.5") for price in later)
    assert [each["known_by"] for each in result.to_json()["ticks"][SOL]] == ["rules", "rules"]
    assert replay(tmp_path / "run.sqlite").different == 0
    assert run_backtest(replace(request, db=None, every_candle=True)).journal_hash == result.journal_hash


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="only where more recorded years are")
def test_other_years_and_coins_have_theirs(tmp_path: Path) -> None:
    request = request_of(tmp_path / "run.sqlite", data=(SHARED,), symbols=("ADAUSDT", "BTCUSDT"), from_ms=None)
    result = run_backtest(replace(request, to_ms=moment("2022-10-01")))
    ticks = {
        symbol: [(each["from"][:10], each["tick"]) for each in spans]
        for symbol, spans in result.to_json()["ticks"].items()
    }
    assert ticks["ADAUSDT"][1:] == [("2021-05-19", "0.0001")]
    assert ticks["BTCUSDT"][1:] == [("2022-04-11", "0.1")]
    assert (ticks["ADAUSDT"][0][1], ticks["BTCUSDT"][0][1]) == ("0.00001", "0.01")
    assert replay(tmp_path / "run.sqlite").different == 0
