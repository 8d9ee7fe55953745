"""A bot held against a backtest of what it saw: what latency and slippage explain, and what is called unexplained."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fsm.backtest.comparing.causes import Finding, causes
from fsm.backtest.comparing.inputs import Source, differing_inputs
from fsm.backtest.comparing.live_checks import checked
from fsm.backtest.comparing.matching import differences
from fsm.backtest.comparing.rerun import Repeater
from fsm.backtest.comparing.side import Side, read_side
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store.database import open_store

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
DOWN = [(TOP, TOP, 60_300.0, 60_300.0), (60_300.0, 60_300.0, BTC, BTC)]
MARKET = [jump(BTC), *quiet(TOP, 2), (TOP, TOP * 1.013, TOP * 0.9995, TOP), *quiet(TOP, 2), *DOWN, *quiet(BTC, 4)]


@pytest.fixture
def lived(rehearse: Make) -> Path:
    """A bot whose requests take a while, with one finished trade."""
    bot = rehearse(BTCUSDT=MARKET, latency_s=0.3)

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(TO_SIGNAL + 10)

    bot.run(script)
    return bot.db


@contextmanager
def beside_its_backtest(db: Path, scratch: Path, data: tuple[Path, ...] = ()) -> Iterator[tuple[Side, Side]]:
    """What the bot did, and what a backtest of its own candles, rules and account does."""
    with open_store(db, mode="read") as store:
        live = read_side("live", store)
        path = scratch / "backtest.sqlite"
        path.unlink(missing_ok=True)
        Repeater(live, live, live.span, data, data, scratch).with_inputs((), keep=path)
        with open_store(path, mode="read") as other:
            yield live, read_side("backtest", other)


def compared(db: Path, scratch: Path) -> list[Finding]:
    with beside_its_backtest(db, scratch) as (live, run):
        inputs = differing_inputs(live, run, live.span)
        found, _ = causes(live, run, differences(live.trades, run.trades, live.span), inputs, None)
        return checked(live, inputs, found)


def test_a_bot_that_did_as_decided_has_nothing_unexplained(lived: Path, tmp_path: Path) -> None:
    assert [found for found in compared(lived, tmp_path) if found.cause.source is Source.UNEXPLAINED] == []


PLANTED = {
    "fees that its fills did not pay": ("UPDATE trades SET fees = '99'", "of fees, its books say 99"),
    "a size that risks too much": ("UPDATE trades SET risk_usdt = '400'", "it risked 400.00 USDT"),
    "a fill where the market never was": (
        "UPDATE fills SET price = '70000' WHERE id = 1; UPDATE trades SET entry_price = '70000'",
        "lies outside of its candle",
    ),
    "an exit of another size": (
        "UPDATE fills SET quantity = '9' WHERE id = (SELECT max(id) FROM fills); UPDATE trades SET exit_price = '1'",
        "its fills bought",
    ),
    "a stop that the rules did not give": (
        "UPDATE trades SET stop_price_initial = '59000'",
        "the rules, settings and candles are the same, and yet stop price initial",
    ),
    "a strategy that nobody asked": (
        "UPDATE trades SET strategy_used = 'other'",
        "the rules, settings and candles are the same, and yet strategy used",
    ),
}
"""What a fault of the bot could leave in its journal, and what must be said of it: never latency."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_unexplained_and_no_latency(lived: Path, tmp_path: Path, fault: str) -> None:
    plant, told = PLANTED[fault]
    copy = Path(shutil.copy(lived, tmp_path / "copy.sqlite"))
    with sqlite3.connect(copy) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(plant)
    connection.close()
    (found,) = [each for each in compared(copy, tmp_path) if each.cause.source is Source.UNEXPLAINED]
    assert told in found.cause.told
