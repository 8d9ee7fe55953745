"""The funding rate and the mark against the last, named in expressions: daemon, backtest, replay and `why` agree."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from exchange.binance.client import BinanceClient
from exchange.candle_files import CandleFolders
from exchange.errors import Unreachable
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.port_faults import Call, Fault
from exchange.sim.server.launch import launched
from fsm.backtest.history import build_history, read_market
from fsm.backtest.rules_through import told_rules
from fsm.backtest.run import Request, run_backtest
from fsm.journal.explain import Numbers, explain
from fsm.journal.replay import replay
from fsm.live.context.clock import DrivenClock
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from indicators.candle import Timeframe
from rules.load import Ruleset, parse_rules
from rules.moment_words import premium, settled_before
from rules.source.yaml_source import SourceError
from store import queries
from store.database import open_store
from tests.integration.test_timeframes import anchors_of, config_of, same

TEXT = """\
version: 1
timeframes: {entry: 1h}
features:
  close_1h: {indicator: close, timeframe: 1h}
  open_1h: {indicator: open, timeframe: 1h}
  atr_1h: {indicator: atr, timeframe: 1h, period: 14}
strategies:
  fade:
    long:
      setup:
        - {id: falls, when: close_1h < open_1h and BTCUSDT.close_1h < BTCUSDT.open_1h}
        - {id: cheap, when: "funding_rate < 0.02 and mark_premium > -0.05"}
      stop: close_1h - 2 * atr_1h
      exit_when: [{id: dear, when: funding_rate > 0.0101 or mark_premium > 0.04}]
    manage: {exit_after_candles: 10}
"""
SYMBOLS = ("BTCUSDT", "SOLUSDT")
FROM_MS = 1_717_200_000_000  # 2024-06-01
TO_MS = FROM_MS + 150 * HOUR_MS


@pytest.fixture
def rules() -> Ruleset:
    return parse_rules(TEXT, "rules.yaml")


def bot(rules: Ruleset, folder: Path, symbols: tuple[str, ...] = SYMBOLS) -> InProcessBot:
    folders = CandleFolders((shipped_folder(),))
    feeds = {symbol: SymbolFeed.read(folders, symbol, Timeframe.H1) for symbol in {*symbols, "BTCUSDT"}}
    config = config_of(folder, "1h", "1h", symbols=symbols)
    return InProcessBot(config=config, rules=rules, feeds=feeds, db=folder / "live.sqlite", start_ms=FROM_MS)


def test_daemon_backtest_replay_and_why_agree(rules: Ruleset, tmp_path: Path) -> None:
    r, lab = bot(rules, tmp_path), tmp_path / "lab.sqlite"

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(50.5)
        await r.restart()
        await r.until(TO_MS)

    r.run(script)
    request = Request(config=r.config, rules=rules, data=(shipped_folder(),), symbols=SYMBOLS, db=lab)
    with open_store(r.db, mode="read") as store:
        told = told_rules(store)
    anchors = anchors_of(r.db, rules, SYMBOLS)
    request = dataclasses.replace(request, from_ms=FROM_MS, to_ms=TO_MS, anchors=anchors, told=told)
    result = run_backtest(request)
    assert same(r.db, lab) > 20
    reasons = [trade.exit_reason for trade in result.trades]
    assert "EXIT_WHEN" in reasons
    every = dataclasses.replace(request, db=tmp_path / "every.sqlite", every_candle=True)
    assert run_backtest(every).journal_hash == result.journal_hash
    with open_store(r.db, mode="read") as store:
        found = [explain(store, "SOLUSDT", FROM_MS + hour * HOUR_MS + 1) for hour in range(2, 140)]
    assert {each.numbers for each in found} == {Numbers.RECORDED, Numbers.RECOMPUTED}
    assert any("funding_rate < 0.02" in str(each.document()) for each in found)


def test_over_http_the_rates_are_those_that_were_recorded() -> None:
    now_ms = FROM_MS + 20 * HOUR_MS
    span = ("--symbols", "SOLUSDT", "--start", str(now_ms), "--speed", "0", "--clock-slack-ms", "-1")

    async def asked(rest_url: str) -> list[tuple[int, float]]:
        client = BinanceClient(base_url=rest_url, clock=DrivenClock(lambda: now_ms))
        try:
            return await client.funding_rates("SOLUSDT", start_ms=FROM_MS)
        finally:
            await client.aclose()

    with launched("--data", str(shipped_folder()), *span) as simulator:
        found = asyncio.run(asked(simulator.rest))
    feed = SymbolFeed.read(CandleFolders((shipped_folder(),)), "SOLUSDT", Timeframe.H1)
    assert [at_ms for at_ms, _ in found] == [FROM_MS + hour * HOUR_MS for hour in (0, 8, 16)]
    assert [rate for _, rate in found] == [float(feed.funding(at_ms) or 0) for at_ms, _ in found]


def test_it_is_the_rate_settled_before_the_close_and_never_an_old_one() -> None:
    times, rates = np.array([8, 16, 48]) * HOUR_MS, np.array([0.0001, 0.0002, 0.0003])
    closes = np.array([8, 9, 16, 17, 24, 25, 48, 49]) * HOUR_MS
    found = settled_before(times, rates, closes)
    expected = [np.nan, 0.01, 0.01, 0.02, 0.02, np.nan, np.nan, 0.03]
    assert np.allclose(found, expected, equal_nan=True)
    assert np.isnan(settled_before(times[:0], rates[:0], closes)).all()


def test_the_premium_is_in_percent_of_the_last() -> None:
    assert premium(101.0, 100.0) == pytest.approx(1.0)
    assert premium(100.0, 0.0) is None


def test_columns_are_what_was_recorded(rules: Ruleset) -> None:
    own = rules.for_symbol("SOLUSDT")
    market = read_market(CandleFolders((shipped_folder(),)), "SOLUSDT", own)
    table = build_history(market, rules, 200).table
    index = int(np.searchsorted(table.candle_ms, FROM_MS + 12 * HOUR_MS))
    close_ms = FROM_MS + 13 * HOUR_MS
    rate, quote = market.feed.funding(FROM_MS + 8 * HOUR_MS), market.feed.opening(close_ms)
    assert rate is not None
    assert quote is not None
    assert table.facts_at(index)["funding_rate"] == float(rate) * 100
    assert table.facts_at(index)["mark_premium"] == premium(float(quote.mark), float(quote.last))


@pytest.mark.parametrize(("method", "symbol"), [("funding_rates", "SOLUSDT"), ("candles", "BTCUSDT")])
def test_what_rules_read_beside_their_symbol_keeps_no_close_waiting(
    rules: Ruleset, tmp_path: Path, method: str, symbol: str
) -> None:
    """Exits wait with it: a rate that came after a quarter of an hour held them up for so long."""
    r = bot(rules, tmp_path, ("SOLUSDT",))

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = lambda call: Fault(delay_s=900.0) if (call.method, call.symbol) == (method, symbol) else None
        began_s = asyncio.get_running_loop().time()
        await r.until(FROM_MS + HOUR_MS + 10_000)
        assert r.running.schedule.decided_ms == FROM_MS + HOUR_MS
        assert asyncio.get_running_loop().time() - began_s < 30

    r.run(script)


def test_a_rate_that_cannot_be_had_is_unknown_and_asked_for_again(rules: Ruleset, tmp_path: Path) -> None:
    r, asked = bot(rules, tmp_path, ("SOLUSDT",)), list[int]()

    def silent(call: Call) -> Fault | None:
        if call.method != "funding_rates":
            return None
        asked.append(r.venue.now_ms)
        return Fault(error=Unreachable("no answer")) if len(asked) < 4 else None

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = silent
        await r.hours(8.5)

    r.run(script)
    assert len(asked) == 8, "once an hour"
    assert replay(r.db).different == 0
    with open_store(r.db, mode="read") as store:
        first = explain(store, "SOLUSDT", FROM_MS + HOUR_MS + 1)
        assert {row.symbol for row in queries.each_decision(store)} == {"SOLUSDT"}
    assert "'cheap'" in str(first.document())
    assert first.rules.signal is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "strategies:",
            "regimes: {UP: {enter: [{id: a, when: funding_rate > 0}]}}\nstrategies:",
            "funding_rate speaks",
        ),
        ("funding_rate < 0.02", "funding_rate[1] < 0.02", "funding_rate has no earlier candles"),
        ("funding_rate < 0.02", "highest(mark_premium, 3) < 1", "mark_premium has no earlier candles"),
        ("funding_rate < 0.02", "fundingrate < 0.02", "did you mean funding_rate?"),
        ("funding_rate < 0.02", "funding_rate < close_1h", "cannot be compared"),
        ("funding_rate < 0.02", "BTCUSDT.funding_rate < 0.02", "funding_rate is no feature"),
    ],
)
def test_where_they_cannot_be_named_that_is_said(old: str, new: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_rules(TEXT.replace(old, new), "rules.yaml")
    assert message in str(refused.value)
