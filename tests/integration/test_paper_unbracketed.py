"""A list on paper may name symbols whose margin brackets nobody tells without a key: they say so and enter nothing, and
the others trade."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_exchange_info, symbol_rows
from fsm.core.model.policy import ListRule
from indicators.candle import Timeframe
from store import queries
from store.database import open_store
from store.verify import verify
from tests.integration.paper_market import PaperBot
from tests.integration.test_timeframes import FIRST_MS, MINUTE_MS, config_of, rules_of, write_minutes

NEW, KNOWN = "BRANDNEWUSDT", "BTCUSDT"
BEGIN_MS = FIRST_MS + 1_100 * MINUTE_MS


def _listed_there(folder: Path) -> None:
    """The real exchange knows all about it, and tells its brackets to keys alone."""
    rows = {str(row["symbol"]): row for row in symbol_rows(shipped_exchange_info())}
    (folder / "symbols.json").write_text(json.dumps({"symbols": [{**rows["XRPUSDT"], "symbol": NEW}]}))
    bracket = {
        "bracket": 1,
        "initialLeverage": 20,
        "notionalCap": 10_000_000,
        "notionalFloor": 0,
        "maintMarginRatio": 0.01,
        "cum": 0.0,
    }
    (folder / "brackets.json").write_text(json.dumps([{"symbol": NEW, "brackets": [bracket]}]))


def test_they_enter_nothing_and_hold_up_nobody(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_minutes(data, KNOWN, 60_000.0, 1, 2)
    write_minutes(data, NEW, 0.6, 2, 2)
    _listed_there(data)
    config = config_of(tmp_path, "1m", "5m", symbols=(KNOWN,))
    settings = replace(config.settings, symbols={}, symbol_list=ListRule(n=2))
    loops = replace(settings.loops, reconcile_interval_ms=5_000, lists_interval_ms=60_000, equity_interval_ms=15_000)
    bot = PaperBot(
        config=dataclasses.replace(config, settings=replace(settings, loops=loops)),
        rules=rules_of("1m", "5m"),
        data=data,
        db=tmp_path / "paper.sqlite",
        start_ms=BEGIN_MS - 20_000,
        symbols=(KNOWN, NEW),
        step=Timeframe.M1,
    )

    async def life(bot: PaperBot) -> None:
        await bot.begin(watched=(KNOWN,))
        await bot.start()
        await bot.until(BEGIN_MS + 12 * MINUTE_MS)

    bot.run(life)
    with open_store(bot.db, mode="read") as store:
        entered = {row.symbol for row in queries.trades(store)}
        told = [(row.kind, row.text) for row in queries.alerts(store)]
        (decided,) = (row for row in queries.latest_decisions(store) if row.symbol == NEW)
        listed = queries.symbol_list(store)
    assert listed is not None
    assert listed.listed == (NEW, KNOWN)
    assert entered == {KNOWN}
    assert "BRACKETS_UNKNOWN" in decided.reason, decided.reason
    assert sum(NEW in text for _, text in told) <= 2, told
    assert not [text for kind, text in told if kind == "quarantine"], told
    assert verify(bot.db).fine
