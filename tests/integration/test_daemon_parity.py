"""The daemon and the backtest do the same: every transition, on the shipped candles, in the columns that must agree."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.port_faults import Fault
from fsm.backtest.comparing.inputs import Source
from fsm.backtest.rules_through import told_rules
from fsm.backtest.run import Request, run_backtest
from fsm.config import Config, load_config
from fsm.proofs.parity.comparison import compare
from fsm.proofs.parity.explained import Why, explained
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from rules.load import load_rules, parse_rules
from store.database import open_store
from store.verify import verify
from tests.effort import sampled
from tests.integration.test_parity import TRAILING
from tests.integration.test_timeframes import anchors_of, config_of

ROOT = Path(__file__).parents[2]
NEVER_MS = 10**12
LATE_FROM_MS = 1_717_286_400_000  # 2024-06-02


def stepped(config: Config) -> Config:
    """What runs on real time stands still while the market is moved by hand."""
    settings = config.settings
    loops = {"reconcile_interval_ms": NEVER_MS, "lists_interval_ms": NEVER_MS, "equity_interval_ms": NEVER_MS}
    settings = msgspec.structs.replace(
        settings,
        loops=msgspec.structs.replace(settings.loops, **loops),
        limits=msgspec.structs.replace(settings.limits, equity_age_ms_max=2**60),
    )
    return dataclasses.replace(config, settings=settings)


def check(tmp_path: Path, symbols: tuple[str, ...], hours: int) -> int:
    given = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
    config = stepped(dataclasses.replace(given, settings=given.settings.with_symbols(symbols)))
    rules = load_rules(ROOT / "rules.yaml")
    folders = CandleFolders((shipped_folder(),))
    feeds = {name: SymbolFeed.read(folders, name) for name in symbols}
    start_ms = min(found.start_ms for found in feeds.values())
    live, lab = tmp_path / "live.sqlite", tmp_path / "lab.sqlite"
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=live, start_ms=start_ms)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.until(start_ms + hours * HOUR_MS)

    r.run(script)
    until_ms = start_ms + hours * HOUR_MS
    run_backtest(Request(config=config, rules=rules, data=(shipped_folder(),), symbols=symbols, to_ms=until_ms, db=lab))
    with open_store(live, mode="read") as ours, open_store(lab, mode="read") as theirs:
        compared, differences = compare(ours, theirs)
    assert differences == []
    assert verify(live).fine
    return compared


@pytest.mark.slow
def test_one_symbol_until_its_first_trades(tmp_path: Path) -> None:
    assert check(tmp_path, ("XRPUSDT",), 5_400) >= 6


@pytest.mark.slow
def test_five_symbols_over_everything_that_is_shipped(tmp_path: Path) -> None:
    assert check(tmp_path, ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"), 13_000) > 500


@pytest.mark.parametrize(
    ("method", "delay_s", "cause", "told"),
    sampled(
        [
            ("place_algo", 1.0, Why.LATE, "A looked for itself: sweep STRAY_ORDERS"),
            ("place_algo", 6.0, Why.LATE, "A looked for itself: reprotect STOP_MOVE_UNFINISHED"),
            ("mark_price", 6.0, Source.FILL, "the signal led to no position in A: SETUP_UNKNOWN"),
            ("funding_rates", 6.0, Source.RULES, "funding_rate < 0.02 (None and 0.02) is UNKNOWN in A"),
            ("candles", 6.0, Source.RULES, "(None and None) is UNKNOWN in A"),
        ],
        often=2,
    ),
)
def test_what_a_bot_does_as_answers_are_late_is_explained(
    tmp_path: Path, method: str, delay_s: float, cause: str, told: str
) -> None:
    """Live logic goes by how fast the exchange answers, and parity says where that made a difference."""
    rules, folders = parse_rules(TRAILING, "rules.yaml"), CandleFolders((shipped_folder(),))
    feeds = {name: SymbolFeed.read(folders, name) for name in ("BTCUSDT", "SOLUSDT")}
    config, until_ms = config_of(tmp_path, "1h", "1h", symbols=("SOLUSDT",)), LATE_FROM_MS + 20 * HOUR_MS
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=tmp_path / "live.sqlite", start_ms=LATE_FROM_MS)

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = lambda call: Fault(answer_delay_s=delay_s) if call.method == method else None
        await r.until(until_ms)

    r.run(script)
    lab = tmp_path / "lab.sqlite"
    request = Request(config=config, rules=rules, data=(shipped_folder(),), symbols=("SOLUSDT",), db=lab)
    anchors = anchors_of(r.db, rules, ("SOLUSDT",))
    with open_store(r.db, mode="read") as store:
        stated = told_rules(store)
    run_backtest(dataclasses.replace(request, from_ms=LATE_FROM_MS, to_ms=until_ms, anchors=anchors, told=stated))
    with open_store(r.db, mode="read") as ours, open_store(lab, mode="read") as theirs:
        _, differences = compare(ours, theirs, before_ms=until_ms)
        trades = explained(ours, theirs, before_ms=until_ms)
    assert differences
    assert {found.cause for found in trades} <= {cause, Source.EARLIER}, trades
    assert trades[0].cause == cause
    assert told in trades[0].told
