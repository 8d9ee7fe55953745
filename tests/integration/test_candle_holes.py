"""R66: candles with holes and contradictions, the same in daemon, restart, backtest and replay."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_columns import CandleColumns
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, Result, run_backtest
from fsm.config import load_config
from fsm.journal.explain import Numbers, explain
from fsm.journal.replay import replay
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, feed, jump, quiet, triggers
from indicators.holes import RESTART_ABOVE
from rules.load import load_rules
from store import queries
from store.database import open_store
from store.verify import verify

Make = Callable[..., InProcessBot]
ROOT = Path(__file__).parents[2]
BTC = 60_000.0
FROM_MS, TO_MS = 1_725_148_800_000, 1_730_419_200_000  # 2024-09-01 to 2024-11-01
LOST = range(TO_SIGNAL + 4, TO_SIGNAL + 6)
"""Hours after the start of the in-process bot that are missing: two of them."""


def without(made: SymbolFeed, hours: set[int]) -> SymbolFeed:
    """The same market, of which the exchange never had these hours (by their open times)."""
    columns = made._columns[made._columns.__iter__().__next__()]
    kept = np.array([int(open_ms) not in hours for open_ms in columns.open_time_ms])
    names = ("open_time_ms", "open", "high", "low", "close", "volume")
    parts = {name: getattr(columns, name)[kept] for name in names}
    return SymbolFeed(candles=CandleColumns(symbol=columns.symbol, timeframe=columns.timeframe, **parts))


def lossy(rehearse: Make, market: list[tuple[float, float, float, float]], lost: range) -> InProcessBot:
    r = rehearse(BTCUSDT=market, ETHUSDT=market)
    gone = {r.start_ms + hour * HOUR_MS for hour in lost}
    r.stage.feeds = {**r.stage.feeds, "BTCUSDT": without(feed("BTCUSDT", market), gone)}  # type: ignore[misc]
    return r


def decisions(r: InProcessBot, symbol: str) -> list[tuple[str, str]]:
    with open_store(r.db, mode="read") as store:
        rows = list(queries.each_decision(store))
    return [(row.outcome, row.reason) for row in rows if row.symbol == symbol]


def holes_of(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.facts_json for row in queries.system_events(store, kind="CANDLE_HOLE", limit=100)]


QUIET = [*quiet(BTC, 12), jump(BTC), *quiet(BTC * 1.01, 60)]


def test_a_symbol_with_two_missing_hours_goes_on_and_opens_nothing_for_a_day(rehearse: Make) -> None:
    """Two missing hours made a symbol undecidable for 33 days."""
    market = [*quiet(BTC, 8), jump(BTC), *quiet(BTC * 1.01, 60)]
    r = lossy(rehearse, market, LOST)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 50)

    r.run(script)
    assert len(holes_of(r)) == 1
    btc = decisions(r, "BTCUSDT")
    [blocked] = {reason for outcome, reason in btc if outcome == "BLOCKED" and "HOLE" in reason}
    assert blocked.startswith("CANDLE_HOLE until 2024-01-")
    assert [step for step in triggers(r, "BTCUSDT") if step.startswith("signal")] == []
    assert [step for step in triggers(r, "ETHUSDT") if step.startswith("signal")] == ["signal jump LONG"]
    assert not [reason for _, reason in decisions(r, "ETHUSDT") if "HOLE" in reason], "only its symbol is affected"
    with open_store(r.db, mode="read") as store:
        [told] = [row.text for row in queries.alerts(store, limit=100) if "missing at the exchange" in row.text]
    assert "BTCUSDT: 2 candles of 1h" in told
    assert "No entries there before" in told
    assert replay(r.db).different == 0
    assert verify(r.db).fine


def test_a_restart_reads_the_hole_from_the_journal(rehearse: Make) -> None:
    r = lossy(rehearse, QUIET, LOST)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(LOST.stop + 5.5)
        before = r.running.markets["BTCUSDT"]
        until_ms, facts = before.blocked_until_ms, before.facts()
        assert until_ms > r.venue.now_ms
        await r.restart()
        after = r.running.markets["BTCUSDT"]
        assert (after.blocked_until_ms, after.facts()) == (until_ms, facts)
        assert after.regime == before.regime

    r.run(script)
    assert len(holes_of(r)) == 1, "it is journalled once"


def test_a_hole_in_the_history_of_a_first_start_is_carried_too(rehearse: Make) -> None:
    r = lossy(rehearse, QUIET, range(-40, -38))

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(2)
        assert r.running.markets["BTCUSDT"].candle_ms is not None

    r.run(script)
    assert len(holes_of(r)) == 1
    assert any(reason.startswith("CANDLE_HOLE") for _, reason in decisions(r, "BTCUSDT")) is False, "it is long over"


def test_a_trade_keeps_its_stop_through_a_hole_and_is_managed_behind_it(rehearse: Make) -> None:
    fall = (BTC * 1.01, BTC * 1.01, BTC * 1.004, BTC * 1.005)  # the rules' exit: a candle that falls by more than 0.3 %
    market = [jump(BTC), *quiet(BTC * 1.01, 5), fall, *quiet(BTC * 1.005, 10)]
    r = lossy(rehearse, market, range(TO_SIGNAL + 1, TO_SIGNAL + 3))

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 2.5)
        assert r.running.workers["BTCUSDT"].looking.stop_seen is not None
        await r.hours(10)

    r.run(script)
    assert any(step.startswith("exit EXIT_WHEN") for step in triggers(r, "BTCUSDT"))


# --- backtests ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def holey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped candles of BTCUSDT with a hole of two hours, one of thirty, and a row that contradicts itself."""
    folder = tmp_path_factory.mktemp("holey")
    lines = gzip.decompress((shipped_folder() / "BTCUSDT-1h.csv.gz").read_bytes()).decode().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(str(FROM_MS + 200 * HOUR_MS)))
    wrong = lines[at + 500].split(",")
    wrong[2] = "1.0"
    lines[at + 500] = ",".join(wrong)
    kept = lines[:at] + lines[at + 2 : at + 800] + lines[at + 830 :]
    (folder / "BTCUSDT-1h.csv.gz").write_bytes(gzip.compress("\n".join(kept).encode() + b"\n"))
    return folder


def backtest(folder: Path, db: Path | None = None, **changes: object) -> Result:
    config = load_config(ROOT / "config.yaml", None, {})
    request = Request(
        config=config,
        rules=load_rules(ROOT / "rules.yaml"),
        data=(folder,),
        symbols=("BTCUSDT",),
        from_ms=FROM_MS,
        to_ms=TO_MS,
        db=db,
    )
    return run_backtest(replace(request, **changes))  # type: ignore[arg-type]


def test_a_backtest_runs_over_holes_counts_them_and_jumping_changes_nothing(holey: Path, tmp_path: Path) -> None:
    db = tmp_path / "out.sqlite"
    result = backtest(holey, db)
    hours = [each for each in result.to_json()["candle_holes"] if each["timeframe"] == "1h"]
    assert [each["candles"] for each in hours] == [2, 1, 30]
    assert backtest(holey, every_candle=True).journal_hash == result.journal_hash
    assert replay(db).different == 0
    assert verify(db).fine
    with open_store(db, mode="read") as store:
        reasons = {row.reason for row in queries.each_decision(store)}
    assert sum(reason.startswith("CANDLE_HOLE until") for reason in reasons) >= 2


def test_why_behind_a_hole_calculates_what_was_decided(holey: Path, tmp_path: Path) -> None:
    """It fed the indicators through a hole of 30 candles that had made them begin anew."""
    db = tmp_path / "out.sqlite"
    result = backtest(holey, db)
    [*_, long] = [hole for _, hole in result.holes if hole.timeframe.value == "1h"]
    assert long.restarts
    with open_store(db, mode="read") as store:
        rows = [row for row in queries.each_decision(store) if row.count > 2 and row.outcome == "NO_SIGNAL"]
        behind = [row for row in rows if row.candle_ms > long.end_ms]
        assert min(len(behind), len(rows) - len(behind)) > 5
        for row in rows:
            found = explain(store, "BTCUSDT", row.candle_ms + 2 * HOUR_MS)
            assert found.numbers is Numbers.RECOMPUTED, row.candle_ms
            assert found.rules.signal is not None
            assert found.rules.signal.reason.value == row.reason
            assert found.rules.state.regime == row.regime


def test_why_in_a_running_bot_sees_a_hole_as_the_bot_did(rehearse: Make) -> None:
    """Candles of before the hole, and the carried ones, which are not classified."""
    lost = range(TO_SIGNAL + 4, TO_SIGNAL + 4 + RESTART_ABOVE + 2)
    r = lossy(rehearse, [*quiet(BTC, 12), jump(BTC), *quiet(BTC * 1.01, 60)], lost)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 50)

    r.run(script)
    with open_store(r.db, mode="read") as store:
        rows = [row for row in queries.each_decision(store) if row.count > 2 and row.symbol == "BTCUSDT"]
        for row in rows:
            assert explain(store, "BTCUSDT", row.candle_ms + 2 * HOUR_MS).numbers is Numbers.RECOMPUTED, row
    assert {row.candle_ms < r.start_ms + lost.start * HOUR_MS for row in rows} == {True, False}


def test_whole_candles_give_no_hole(tmp_path: Path) -> None:
    assert backtest(shipped_folder()).to_json()["candle_holes"] == []
