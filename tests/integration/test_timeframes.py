"""Every timeframe decides alike everywhere: the daemon, a backtest and the replay of both, at each entry timeframe."""

from __future__ import annotations

import dataclasses
import gzip
import json
from math import lcm
from pathlib import Path
from random import Random

import pytest
import yaml

from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.history import step_of
from fsm.backtest.result import iso
from fsm.backtest.rules_through import ToldRules, told_rules
from fsm.backtest.run import Request, run_backtest
from fsm.config import Config, load_config
from fsm.journal.replay import replay
from fsm.proofs.parity.comparison import compare
from fsm.proofs.parity.run import stepped
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.torture.rules import LIVELY
from indicators.candle import Timeframe
from rules.load import Ruleset, parse_rules
from store import queries
from store.database import open_store
from tests.effort import sampled

SYMBOLS = ("BTCUSDT", "XRPUSDT")
MINUTE_MS = 60_000
FIRST_MS = 1_717_200_000_000  # 2024-06-01
DAYS = 20
CLOSES = 150
"""So many closes are decided on live."""

LONGER = {
    "1m": "5m",
    "3m": "15m",
    "5m": "15m",
    "15m": "30m",
    "30m": "1h",
    "1h": "4h",
    "2h": "6h",
    "4h": "12h",
    "6h": "8h",  # not a multiple: its candles close between decisions
    "8h": "12h",
    "12h": "1d",
    "1d": "1d",
}


def write_minutes(folder: Path, symbol: str, price: float, seed: int, days: int = DAYS) -> None:
    """Minutes of a restless market."""
    chance, lines = Random(seed), ["open_time_ms,open,high,low,close,volume"]
    for minute in range(days * 24 * 60):
        close = price * (1 + chance.gauss(0, 0.0012))
        high, low = (
            max(price, close) * (1 + chance.random() * 0.0006),
            min(price, close) * (1 - chance.random() * 0.0006),
        )
        prices = ",".join(f"{each:.4f}" for each in (price, high, low, close))
        lines.append(f"{FIRST_MS + minute * MINUTE_MS},{prices},{chance.randrange(1, 900)}")
        price = float(f"{close:.4f}")
    (folder / f"{symbol}-1m.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", mtime=0))


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minutes")
    write_minutes(folder, "BTCUSDT", 60_000.0, 1)
    write_minutes(folder, "XRPUSDT", 0.6, 2)
    return folder


def rules_of(entry: str, longer: str) -> Ruleset:
    """Lively rules at this entry timeframe, whose regime is read on another."""
    text = LIVELY.replace("1h", entry).replace(f"regimes:\n  timeframe: {entry}", f"regimes:\n  timeframe: {longer}")
    if longer != entry:
        more = f"features:\n  close_{longer}: {{indicator: close, timeframe: {longer}}}"
        text = text.replace("features:", more).replace(f'when: "close_{entry} > 0"', f'when: "close_{longer} > 0"')
    assert f"timeframe: {longer}" in text
    return parse_rules(text, "rules.yaml")


def config_of(folder: Path, entry: str, longer: str, more: str = "", symbols: tuple[str, ...] = SYMBOLS) -> Config:
    enabled = ", ".join(f"{name}: {{}}" for name in symbols)
    text = (
        f"version: 1\nsymbols: {{{enabled}}}\nmarket_data: {{history_candles: 300}}\n"
        f"timeframes: {{entry: {entry}, setup: {longer}, trend: {longer}}}\n"
        "limits: {daily_loss_pct: 20, weekly_loss_pct: 40, monthly_loss_pct: 60, drawdown_pct: 90}\n"
        f"risk: {{stop_distance_pct_min: 0.05, stop_distance_pct_max: 40{more}}}\n"
    )
    path = folder / "config.yaml"
    path.write_text(text)
    config = stepped(load_config(path, None, {"BINANCE_ENV": "sim"}), symbols)
    return dataclasses.replace(config, text=yaml.safe_dump(config.settings.plain()))


def data_of(entry: Timeframe, minutes: Path) -> Path:
    return minutes if entry.ms < Timeframe.H1.ms else shipped_folder()


def span_of(entry: Timeframe, longer: Timeframe, feeds: dict[str, SymbolFeed]) -> tuple[int, int]:
    """Where a bot starts that has enough candles of both, and where it ends."""
    first_ms = max(feed.start_ms for feed in feeds.values())
    begin_ms = first_ms + 205 * longer.ms
    begin_ms += -begin_ms % lcm(entry.ms, longer.ms)
    return begin_ms, min(begin_ms + CLOSES * entry.ms, min(feed.end_ms for feed in feeds.values()) - entry.ms)


def anchors_of(path: Path, rules: Ruleset, symbols: tuple[str, ...] = SYMBOLS) -> dict[str, dict[Timeframe, int]]:
    with open_store(path, mode="read") as store:
        found = {name: {t: queries.series_anchor(store, name, t.value) for t in rules.timeframes} for name in symbols}
    return {name: {t: at for t, at in each.items() if at is not None} for name, each in found.items()}


def told_by(live: Path) -> tuple[ToldRules, ...]:
    """The rules of symbols that the bot was told, whatever its candles show of ticks."""
    with open_store(live, mode="read") as store:
        return told_rules(store)


def same(live: Path, lab: Path) -> int:
    with open_store(live, mode="read") as ours, open_store(lab, mode="read") as theirs:
        compared, differences = compare(ours, theirs)
    assert differences == []
    for path in (live, lab):
        found = replay(path)
        assert (found.differences, found.identical > 0) == ((), True), path
    return compared


@pytest.mark.parametrize("name", sampled(LONGER, often=2))
def test_daemon_and_backtest_and_replay_agree_at_every_entry_timeframe(
    tmp_path: Path, minutes: Path, name: str
) -> None:
    entry, longer = Timeframe(name), Timeframe(LONGER[name])
    rules, config = rules_of(name, longer), config_of(tmp_path, name, longer)
    data = data_of(entry, minutes)
    folders = CandleFolders((data,))
    feeds = {symbol: SymbolFeed.read(folders, symbol, step_of(entry)) for symbol in SYMBOLS}
    from_ms, to_ms = span_of(entry, longer, feeds)
    live, lab = tmp_path / "live.sqlite", tmp_path / "lab.sqlite"
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=live, start_ms=from_ms)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.until(to_ms)

    r.run(script)
    result = run_backtest(
        Request(
            config=config,
            rules=rules,
            data=(data,),
            symbols=SYMBOLS,
            from_ms=from_ms,
            to_ms=to_ms,
            db=lab,
            anchors=anchors_of(live, rules),
            told=told_by(live),
        )
    )
    assert same(live, lab) > 20
    assert len(result.trades) >= 4
    assert 0 < result.to_json()["exposure_pct"] <= 100


def stretches(path: Path) -> list[tuple[str, int, str]]:
    """When each symbol's reason changed: symbol, candle, reason."""
    with open_store(path, mode="read") as store:
        rows = store.connection.execute(
            "SELECT symbol, candle_ms, reason FROM decisions UNION "
            "SELECT symbol, candle_ms, reason FROM decision_stretches ORDER BY 1, 2"
        ).fetchall()
    return [(symbol, candle_ms, reason) for symbol, candle_ms, reason in rows if "WARMING_UP" in reason]


def test_a_bot_that_starts_on_young_symbols_and_a_backtest_count_the_same_candles(
    tmp_path: Path, minutes: Path
) -> None:
    entry, longer = Timeframe.M15, Timeframe.M30
    rules, config = rules_of(entry, longer), config_of(tmp_path, entry, longer)
    folders = CandleFolders((minutes,))
    feeds = {symbol: SymbolFeed.read(folders, symbol, entry) for symbol in SYMBOLS}
    from_ms = FIRST_MS + 190 * longer.ms
    to_ms = from_ms + 30 * longer.ms
    live, lab = tmp_path / "live.sqlite", tmp_path / "lab.sqlite"
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=live, start_ms=from_ms)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.until(to_ms)

    r.run(script)
    request = Request(config=config, rules=rules, data=(minutes,), symbols=SYMBOLS, db=lab)
    result = run_backtest(
        dataclasses.replace(request, from_ms=from_ms, to_ms=to_ms, anchors=anchors_of(live, rules), told=told_by(live))
    )
    assert stretches(live) == stretches(lab)
    assert {reason for _, _, reason in stretches(lab)} >= {"WARMING_UP 30m: 195 of 200", "WARMING_UP 30m: 199 of 200"}
    assert result.to_json()["could_trade_from"] == dict.fromkeys(SYMBOLS, iso(FIRST_MS + 200 * longer.ms))
    assert same(live, lab) > 0


CAPS = ("MAX_CORRELATED_RISK", "MAX_SAME_DIRECTION_RISK")


def test_daemon_and_backtest_measure_alike_how_symbols_move_together(tmp_path: Path) -> None:
    """With a cap that depends on it; both directions of it are journalled and come out the same."""
    entry, longer = Timeframe.H1, Timeframe.H4
    caps = ", max_correlated_risk_pct: 0.8, max_same_direction_risk_pct: 0.9"
    rules, config = rules_of(entry, longer), config_of(tmp_path, entry, longer, caps)
    folders = CandleFolders((shipped_folder(),))
    feeds = {symbol: SymbolFeed.read(folders, symbol, entry) for symbol in SYMBOLS}
    from_ms, _ = span_of(entry, longer, feeds)
    to_ms = from_ms + CLOSES * entry.ms
    live, lab = tmp_path / "live.sqlite", tmp_path / "lab.sqlite"
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=live, start_ms=from_ms)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.until(to_ms)

    r.run(script)
    request = Request(config=config, rules=rules, data=(shipped_folder(),), symbols=SYMBOLS, db=lab)
    run_backtest(
        dataclasses.replace(request, from_ms=from_ms, to_ms=to_ms, anchors=anchors_of(live, rules), told=told_by(live))
    )
    assert same(live, lab) > 20
    assert refusals(live) == refusals(lab)
    assert {reason for _, _, reason, _ in refusals(lab)} & set(CAPS)


def refusals(path: Path) -> list[tuple[str, int, str, list[str]]]:
    """What became of each signal, with the numbers of the caps on what moves together."""
    with open_store(path, mode="read") as store:
        rows = store.connection.execute(
            "SELECT symbol, candle_ms, reason, guards_json FROM decisions WHERE guards_json <> '[]' ORDER BY 2, 1"
        ).fetchall()
    return [
        (
            symbol,
            candle_ms,
            reason,
            [f"{g['name']} {g['value']} {g['limit']}" for g in json.loads(guards) if g["name"] in CAPS],
        )
        for symbol, candle_ms, reason, guards in rows
    ]


FIVE = {"BTCUSDT": 60_000.0, "DOGEUSDT": 0.15, "ETHUSDT": 3_000.0, "SOLUSDT": 150.0, "XRPUSDT": 0.6}
MONTH = 30


@pytest.mark.slow
def test_a_month_of_five_symbols_at_entries_of_a_minute(tmp_path: Path) -> None:
    """Daemon, backtest and replay of both; 43,200 closes of five symbols."""
    print(month_of_minutes(tmp_path, MONTH))


def month_of_minutes(folder: Path, days: int, closes: int | None = None) -> str:
    """What was compared over so many days, or over so many closes of them."""
    data = folder / "data"
    data.mkdir()
    for seed, (symbol, price) in enumerate(FIVE.items()):
        write_minutes(data, symbol, price, seed, days + 2)
    entry, longer = Timeframe.M1, Timeframe.M5
    rules = rules_of(entry, longer)
    config = config_of(folder, entry, longer, ", max_same_direction_risk_pct: 1.5", tuple(FIVE))
    feeds = {symbol: SymbolFeed.read(CandleFolders((data,)), symbol, entry) for symbol in FIVE}
    from_ms = FIRST_MS + 24 * 60 * MINUTE_MS
    to_ms = from_ms + (closes or days * 24 * 60) * MINUTE_MS
    live, lab = folder / "live.sqlite", folder / "lab.sqlite"
    r = InProcessBot(config=config, rules=rules, feeds=feeds, db=live, start_ms=from_ms)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.until(to_ms)

    r.run(script)
    request = Request(config=config, rules=rules, data=(data,), symbols=tuple(FIVE), db=lab)
    result = run_backtest(
        dataclasses.replace(
            request, from_ms=from_ms, to_ms=to_ms, anchors=anchors_of(live, rules, tuple(FIVE)), told=told_by(live)
        )
    )
    compared = same(live, lab)
    assert len(result.trades) > days
    closes = (to_ms - from_ms) // MINUTE_MS
    return f"{closes:,} closes, {result.candles:,} candles, {len(result.trades)} trades, {compared:,} rows compared"
