"""The regime in force, named in expressions of strategies: live, over arrays, in tests of rules and in `why` alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.journal.explain import Numbers, explain
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from indicators.candle import Timeframe
from rules.load import parse_rules
from rules.source.yaml_source import SourceError
from store.database import open_store
from tests.integration.test_timeframes import anchors_of, config_of, same

TEXT = """\
version: 1
timeframes: {entry: 1h}
features:
  close_1h: {indicator: close, timeframe: 1h}
  open_1h: {indicator: open, timeframe: 1h}
  atr_1h: {indicator: atr, timeframe: 1h, period: 14}
  adx_4h: {indicator: adx, timeframe: 4h, period: 14}
define:
  settled: regime_candles >= 2 and regime_confidence > 0.1
regimes:
  timeframe: 4h
  confirmations: 2
  STRONG: {enter: [{id: strong, when: adx_4h >= 25}], confidence: [{value: adx_4h, zero_at: 10, full_at: 50}]}
  WEAK: {enter: [{id: weak, when: adx_4h < 25}]}
strategies:
  both:
    long:
      setup:
        - {id: rises, when: close_1h > open_1h}
        - {id: told, when: settled and (STRONG or regime_candles < 6)}
      stop: close_1h - 2 * atr_1h
      exit_when: [{id: over, when: not STRONG and regime_candles > 3}]
router:
  STRONG: both
  WEAK: both
"""
SYMBOLS = ("DOGEUSDT", "XRPUSDT")
FROM_MS = 1_717_200_000_000  # 2024-06-01
TO_MS = FROM_MS + 200 * HOUR_MS


def test_daemon_backtest_replay_and_why_agree_on_the_regime_that_expressions_name(tmp_path: Path) -> None:
    rules, config = parse_rules(TEXT, "rules.yaml"), config_of(tmp_path, "1h", "4h", symbols=SYMBOLS)
    folders = CandleFolders((shipped_folder(),))
    feeds = {symbol: SymbolFeed.read(folders, symbol, Timeframe.H1) for symbol in SYMBOLS}
    live, lab = tmp_path / "live.sqlite", tmp_path / "lab.sqlite"
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=live, start_ms=FROM_MS)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(70.5)
        await r.restart()
        await r.until(TO_MS)

    r.run(script)
    request = Request(config=config, rules=rules, data=(shipped_folder(),), symbols=SYMBOLS, db=lab)
    anchors = anchors_of(live, rules, SYMBOLS)
    request = dataclasses.replace(request, from_ms=FROM_MS, to_ms=TO_MS, anchors=anchors)
    result = run_backtest(request)
    assert same(live, lab) > 20
    assert {trade.regime for trade in result.trades} == {"STRONG", "WEAK"}
    assert any(trade.exit_reason == "EXIT_WHEN" for trade in result.trades)
    every = dataclasses.replace(request, db=tmp_path / "every.sqlite", every_candle=True)
    assert run_backtest(every).journal_hash == result.journal_hash
    with open_store(lab, mode="read") as store:
        found = [explain(store, "XRPUSDT", FROM_MS + hour * HOUR_MS + 1) for hour in range(5, 150)]
    assert {each.numbers for each in found} == {Numbers.RECORDED, Numbers.RECOMPUTED}
    told = {each.rules.state.regime: str(each.document()) for each in found}
    assert "regime_candles >= 2" in told["WEAK"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("adx_4h < 25}]", "adx_4h < 25 and STRONG}]", "STRONG speaks of the regime in force"),
        ("adx_4h < 25}]", "adx_4h < 25 and settled}]", "settled speaks of the regime in force"),
        ("close_1h > open_1h}", '"STRONG[1]"}', "STRONG has no earlier candles"),
        ("close_1h > open_1h}", '"count(STRONG, 3) > 1"}', "STRONG has no earlier candles"),
        ("close_1h > open_1h}", "STRONGER}", "did you mean STRONG?"),
        ("close_1h > open_1h}", "STRONG > 1}", "this is a condition"),
        ("close_1h > open_1h}", "regime_confidence > 2}", "can never hold"),
        ("close_1h > open_1h}", "regime_candles}", "this is a count and not a condition"),
    ],
)
def test_where_the_regime_cannot_be_named_that_is_said(old: str, new: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_rules(TEXT.replace(old, new), "rules.yaml")
    assert message in str(refused.value)


def test_without_regimes_there_is_none_to_name() -> None:
    text = TEXT.partition("regimes:")[0] + "strategies:" + TEXT.partition("strategies:")[2].partition("router:")[0]
    with pytest.raises(SourceError, match="is called regime_candles"):
        parse_rules(text, "rules.yaml")


def test_a_name_that_the_file_declares_is_its_own() -> None:
    text = TEXT.replace("define:\n", "define:\n  regime_candles: adx_4h / 10\n").replace(
        "adx_4h < 25}]", "regime_candles < 2}]"
    )
    rules = parse_rules(text, "rules.yaml").for_symbol("")
    assert rules.regime_words == ("STRONG", "regime_confidence")
