"""Rules that read another symbol: daemon, backtest, restart, replay and `why` agree, also while it is silent."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from exchange.candle_files import CandleFolders
from exchange.errors import ExchangeError, Unreachable
from exchange.sim.core.reasons import refusal
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.port_faults import Call, Fault
from fsm.backtest.run import BacktestError, Request, run_backtest
from fsm.config import Config
from fsm.journal.explain import Numbers, explain
from fsm.journal.replay import replay
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from fsm.proofs.torture.rules import LIVELY
from indicators.candle import Timeframe
from rules.facts import Facts
from rules.load import Ruleset, parse_rules
from store import queries
from store.database import open_store
from store.verify import verify
from tests.integration.test_candle_holes import without
from tests.integration.test_timeframes import anchors_of, config_of, same

TRADED, READ = ("DOGEUSDT", "XRPUSDT"), "BTCUSDT"
FROM_MS = 1_717_200_000_000  # 2024-06-01
HOURS = 160


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    """Surges that go with BTC's hour, in a regime that its 4h mean tells."""
    more = "features:\n  mean_4h: {indicator: ema, timeframe: 4h, period: 10}\n"
    text = LIVELY.replace("features:\n", more).replace(
        "setup: [{id: surges,", "setup: [{id: leads, when: BTCUSDT.close_1h > BTCUSDT.open_1h}, {id: surges,"
    )
    text = text.replace("setup: [{id: drops,", 'setup: [{id: lags, when: "not BTCUSDT.mean_4h[2] > 10"}, {id: drops,')
    return parse_rules(text.replace('when: "close_1h > 0"', "when: BTCUSDT.mean_4h > 10"), "rules.yaml")


@pytest.fixture(scope="module")
def feeds() -> dict[str, SymbolFeed]:
    folders = CandleFolders((shipped_folder(),))
    return {symbol: SymbolFeed.read(folders, symbol, Timeframe.H1) for symbol in (*TRADED, READ)}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path, "1h", "4h", symbols=TRADED)


def bot(config: Config, rules: Ruleset, feeds: dict[str, SymbolFeed], folder: Path) -> InProcessBot:
    return InProcessBot(config=config, rules=rules, feeds=feeds, db=folder / "live.sqlite", start_ms=FROM_MS)


def lab(r: InProcessBot, to_ms: int) -> Path:
    """The same in a backtest, which begins with the candles that the bot began with."""
    path = r.db.with_name("lab.sqlite")
    request = Request(config=r.config, rules=r.rules, data=(shipped_folder(),), symbols=TRADED, db=path)
    anchors = anchors_of(r.db, r.rules, (*TRADED, READ))
    run_backtest(dataclasses.replace(request, from_ms=FROM_MS, to_ms=to_ms, anchors=anchors))
    return path


def reasons(path: Path, symbol: str) -> list[tuple[int, str]]:
    with open_store(path, mode="read") as store:
        return [(row.candle_ms, row.reason) for row in queries.each_decision(store) if row.symbol == symbol]


def test_daemon_restart_backtest_and_replay_agree_on_what_another_symbol_does(
    config: Config, rules: Ruleset, feeds: dict[str, SymbolFeed], tmp_path: Path
) -> None:
    r = bot(config, rules, feeds, tmp_path)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(70.5)
        before = {name: market.facts() for name, market in r.running.markets.items()}
        await r.restart()
        assert {name: market.facts() for name, market in r.running.markets.items()} == before
        assert all(facts["BTCUSDT.mean_4h"] is not None for facts in before.values())
        await r.until(FROM_MS + HOURS * HOUR_MS)

    r.run(script)
    found = lab(r, FROM_MS + HOURS * HOUR_MS)
    assert same(r.db, found) > 20
    assert verify(r.db).fine
    with open_store(r.db, mode="read") as store:
        assert {row.symbol for row in queries.anchors(store)} == {*TRADED, READ}
        assert {row.symbol for row in queries.trades(store, limit=100)} == set(TRADED)
        rows = store.connection.execute("SELECT count(*), count(DISTINCT open_time_ms) FROM candles WHERE symbol = ?"
                                        " AND timeframe = '1h'", (READ,)).fetchone()  # fmt: skip
        assert rows is not None
        assert rows[0] == rows[1] > HOURS, "each candle is kept once, whoever reads it"


def test_another_symbol_s_candles_are_asked_for_once_at_a_close_however_many_read_them(
    config: Config, rules: Ruleset, feeds: dict[str, SymbolFeed], tmp_path: Path
) -> None:
    r, asked = bot(config, rules, feeds, tmp_path), list[str]()

    def watch(call: Call) -> Fault | None:
        asked.extend([call.symbol] if call.method == "candles" else [])
        return None

    async def script(r: InProcessBot) -> None:
        await r.start()
        r.faults = watch
        await r.hours(3.5)

    r.run(script)
    assert [asked.count(symbol) for symbol in (*TRADED, READ)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("error", "waits"),
    [(Unreachable("no answer"), True), (refusal(-1121, "Invalid symbol."), False)],
    ids=["silent", "refused"],
)
def test_without_the_other_symbol_it_is_unknown_and_a_position_is_managed_on(
    config: Config,
    rules: Ruleset,
    feeds: dict[str, SymbolFeed],
    tmp_path: Path,
    error: ExchangeError,
    waits: bool,
) -> None:
    r = bot(config, rules, feeds, tmp_path)
    told: list[Facts] = []

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(20.5)
        r.faults = lambda call: Fault(error=error) if (call.method, call.symbol) == ("candles", READ) else None
        before_s = r.clock.monotonic()
        await r.hours(3)
        assert (r.clock.monotonic() - before_s > 60) == waits
        told.append(r.running.markets["XRPUSDT"].facts())
        assert r.running.schedule.decided_ms == r.venue.now_ms // HOUR_MS * HOUR_MS
        r.faults = lambda call: None
        await r.hours(1)
        told.append(r.running.markets["XRPUSDT"].facts())

    r.run(script)
    silent, heard = told
    assert silent["BTCUSDT.close_1h"] is None
    assert silent["close_1h"] is not None
    assert None not in heard.values()
    assert replay(r.db).different == 0


def test_a_start_goes_on_without_a_symbol_that_is_not_listed(
    config: Config, rules: Ruleset, feeds: dict[str, SymbolFeed], tmp_path: Path
) -> None:
    r = bot(config, rules, {name: feeds[name] for name in TRADED}, tmp_path)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(3)

    r.run(script)
    assert {reason for _, reason in reasons(r.db, "XRPUSDT")} == {"WARMING_UP BTCUSDT 4h: 0 of 200"}


def test_a_hole_in_the_other_symbol_s_candles_is_the_same_in_a_backtest(
    config: Config, rules: Ruleset, feeds: dict[str, SymbolFeed], tmp_path: Path
) -> None:
    gone = {FROM_MS + hour * HOUR_MS for hour in (30, 31)}
    r = bot(config, rules, {**feeds, READ: without(feeds[READ], gone)}, tmp_path)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(60)

    r.run(script)
    with open_store(r.db, mode="read") as store:
        holes = queries.system_events(store, kind="CANDLE_HOLE", limit=10)
    assert [row.symbol for row in holes] == [READ]
    assert any(reason.startswith("CANDLE_HOLE") for _, reason in reasons(r.db, "XRPUSDT"))
    assert replay(r.db).different == 0


def test_why_calculates_between_the_ends_of_a_stretch_what_the_other_symbol_was(
    config: Config, rules: Ruleset, feeds: dict[str, SymbolFeed], tmp_path: Path
) -> None:
    r = bot(config, rules, feeds, tmp_path)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(30)

    r.run(script)
    with open_store(r.db, mode="read") as store:
        found = [explain(store, "XRPUSDT", FROM_MS + hour * HOUR_MS + 1) for hour in range(2, 30)]
    kinds = {each.numbers for each in found}
    assert kinds <= {Numbers.RECORDED, Numbers.RECOMPUTED}
    assert Numbers.RECOMPUTED in kinds
    assert any("BTCUSDT.close_1h > BTCUSDT.open_1h" in str(each.document()) for each in found)


def test_a_backtest_without_the_other_symbol_s_candles_says_which_are_missing(
    config: Config, rules: Ruleset, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for symbol in TRADED:
        (data / f"{symbol}-1h.csv.gz").symlink_to(shipped_folder() / f"{symbol}-1h.csv.gz")
    with pytest.raises(BacktestError, match="BTCUSDT"):
        run_backtest(Request(config=config, rules=rules, data=(data,), symbols=TRADED))
