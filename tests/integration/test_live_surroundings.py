"""What others did, and what kept a bot from entering, is confirmed as the cause by a backtest that lives through it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.sim.core.state import TriggerFault
from exchange.types import OrderRequest, OrderType, Side
from fsm.backtest.comparing.inputs import Source
from fsm.backtest.comparing.lived import lived as lived_through
from fsm.backtest.comparing.rerun import Repeater
from fsm.backtest.injecting import Injected
from fsm.live.operator.reload import Reload
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, feed, jump, quiet
from tests.effort import sampled
from tests.integration.scenarios.acting import post
from tests.integration.test_candle_holes import without
from tests.integration.test_live_causes import found_in, lived, named
from tests.integration.test_live_differences import BTC, MARKET, TOP, beside_its_backtest
from tests.integration.test_live_edits import FAR

HOUR_MS = 3_600_000
Make = Callable[..., InProcessBot]


def by_hand(bot: InProcessBot, side: Side, quantity: str | Decimal) -> None:
    bot.venue.place_order(
        OrderRequest(
            symbol="BTCUSDT",
            side=side,
            type=OrderType.MARKET,
            quantity=Decimal(quantity),
            client_id=f"by-hand-{side.value}",
        )
    )


def held(bot: InProcessBot) -> Decimal:
    return bot.venue.state.holding("BTCUSDT").quantity


@pytest.mark.parametrize("amount", [5_000, -5_000])
def test_a_size_after_money_came_or_went_is_the_transfers(rehearse: Make, tmp_path: Path, amount: int) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 1.5)
        (bot.venue.deposit if amount > 0 else bot.venue.withdraw)(Decimal(abs(amount)))
        await bot.hours(11.5)

    (found,) = found_in(lived(rehearse, script).db, tmp_path)
    assert "quantity" in found.difference.fields
    assert (found.cause.source, found.cause.confirmed) == (Source.TRANSFER, True)


def test_what_another_hand_closed_is_the_hands(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL + 1.4)
        by_hand(bot, Side.SELL, held(bot))
        await bot.hours(8)

    (found,) = found_in(lived(rehearse, script).db, tmp_path)
    assert found.difference.a is not None
    assert found.difference.a.exit_reason == "EXTERNAL_CLOSE"
    assert (found.cause.source, found.cause.confirmed) == (Source.HAND, True)


def test_a_signal_beside_what_another_hand_holds_is_the_hands(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 1.5)
        by_hand(bot, Side.BUY, "0.01")
        await bot.hours(11.5)

    ((source, confirmed),) = named(found_in(lived(rehearse, script).db, tmp_path))
    assert confirmed
    assert source in (Source.HAND, Source.MISSED_ENTRY)


def test_a_signal_while_the_exchange_lets_nothing_in_is_trouble(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 0.5)
        bot.running.live.blocks.set("BTCUSDT", "BRACKETS_UNKNOWN")
        await bot.hours(10.5)

    assert named(found_in(lived(rehearse, script).db, tmp_path)) == {(Source.TROUBLE, True)}


def test_an_edit_that_was_taken_back_is_repeated_as_both(rehearse: Make, tmp_path: Path) -> None:
    """Each text is kept once: that the first one was in force again is only in the journal of edits."""
    bot = rehearse(BTCUSDT=MARKET)
    files = {"rules": tmp_path / "rules.yaml", "config": tmp_path / "config.yaml"}
    files["rules"].write_text(RULES)
    files["config"].write_text(bot.config.text)

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        reload = Reload(bot.running, config=bot.config, config_path=files["config"], rules_path=files["rules"])
        await reload.look()
        for text in (FAR, RULES):
            await bot.hours(1)
            files["rules"].write_text(text)
            await reload.look()
            await reload.look()
        await bot.hours(TO_SIGNAL + 8)

    bot.run(script)
    with beside_its_backtest(bot.db, tmp_path) as (live, _):
        edits = next(each.injected.edits for each in lived_through(live, live.span) if each.source is Source.EDIT)
    assert [edit.rules for edit in edits] == [FAR, RULES]
    assert all(confirmed for _, confirmed in named(found_in(bot.db, tmp_path)))


TWICE = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, BTC * 0.99, BTC), *quiet(BTC, 3), jump(BTC), *quiet(TOP, 12)]
"""A signal whose trade is stopped out, and others behind it."""


def test_what_comes_after_an_unexplained_trade_is_explained_all_the_same(rehearse: Make, tmp_path: Path) -> None:
    """The first trade's stop was refused at its trigger, which nothing repeats. The last one is still open."""
    bot = rehearse(BTCUSDT=TWICE)

    async def script(bot: InProcessBot) -> None:
        bot.venue.state.trigger_fault = lambda algo: TriggerFault.REFUSED
        await bot.start()
        await bot.hours(TO_SIGNAL + 5)
        bot.venue.state.trigger_fault = lambda algo: None
        await bot.hours(14)

    bot.run(script)
    first, *others = found_in(bot.db, tmp_path)
    assert first.cause.source is Source.UNEXPLAINED
    assert first.difference.a is not None
    assert first.difference.a.exit_reason == "STOP_REJECTED_AT_TRIGGER"
    assert others[-1].difference.a is not None
    assert others[-1].difference.a.status == "OPEN"
    assert all(found.cause.confirmed for found in others)


def test_a_trade_is_sized_by_what_the_exchange_said_the_wallet_held(rehearse: Make, tmp_path: Path) -> None:
    """Whatever the trades before it became in the repetition, of which the first one has nothing here."""
    bot = rehearse(BTCUSDT=TWICE)

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(TO_SIGNAL + 19)

    bot.run(script)
    with beside_its_backtest(bot.db, tmp_path) as (live, _):
        first, second = live.trades[:2]
        earlier = next(each.injected for each in lived_through(live, live.span) if each.source is Source.EARLIER)
        close_ms = second.signal_candle_ms + HOUR_MS
        poorer = replace(earlier, wallets={**earlier.wallets, close_ms: Decimal(9_850)})
        missed = Injected(missed=frozenset({("BTCUSDT", first.signal_candle_ms + HOUR_MS)}))
        again = Repeater(live, live, live.span, (), (), tmp_path)
        as_it_was, _ = again.with_injected(earlier.beside(missed))
        smaller, _ = again.with_injected(poorer.beside(missed))
    key = second.symbol, second.signal_candle_ms, second.side
    assert [*as_it_was] == [*smaller]
    assert as_it_was[key].quantity == second.quantity
    assert smaller[key].quantity < second.quantity


FAULTS = {
    "a stop one tick off": "UPDATE trades SET stop_price_initial = '59939.9'",
    "a lot too many": "UPDATE trades SET quantity = quantity + 0.001",
    "an exit one tick off its fills": "UPDATE trades SET exit_price = exit_price + 0.1",
    "another end": "UPDATE trades SET exit_reason = 'STOP_HIT'",
    "a result that its fills did not make": "UPDATE trades SET net_pnl = '1.0'",
    "a trade that is in no book": "DELETE FROM trades",
}


@pytest.mark.parametrize("fault", sampled(FAULTS, often=3))
def test_what_others_did_hides_no_fault_of_ours(rehearse: Make, tmp_path: Path, fault: str) -> None:
    """Money came, a part was closed by hand, another hand traded before: all that was lived through, and a fault."""

    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 1.5)
        bot.venue.deposit(Decimal(5_000))
        await bot.hours(2.9)
        by_hand(bot, Side.SELL, Decimal("0.010"))
        await bot.hours(8)

    bot = lived(rehearse, script, latency_s=0.3)
    assert all(confirmed for _, confirmed in named(found_in(bot.db, tmp_path)))
    copy = Path(shutil.copy(bot.db, tmp_path / "copy.sqlite"))
    with sqlite3.connect(copy) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(FAULTS[fault])
    connection.close()
    (found,) = found_in(copy, tmp_path)
    assert (found.cause.source, found.cause.confirmed) == (Source.UNEXPLAINED, False)


@pytest.mark.parametrize("count", sampled([2, 30], often=1), ids=["carried", "the series began anew"])
def test_a_hole_in_the_candles_is_repeated_as_it_was_lived(rehearse: Make, tmp_path: Path, count: int) -> None:
    """A repetition carries what the bot carried, and begins a series anew where the bot did; then
    only the seconds between a close and its orders differ."""
    market = [*quiet(BTC, 8), *quiet(BTC, 40), jump(BTC), *quiet(TOP, 60)]
    bot = rehearse(BTCUSDT=market, ETHUSDT=MARKET)
    gone = {bot.start_ms + hour * HOUR_MS for hour in range(TO_SIGNAL + 4, TO_SIGNAL + 4 + count)}
    bot.stage.feeds = {**bot.stage.feeds, "BTCUSDT": without(feed("BTCUSDT", market), gone)}  # type: ignore[misc]

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(TO_SIGNAL + 90)

    bot.run(script)
    assert named(found_in(bot.db, tmp_path)) == {(Source.LATENCY, True)}
    with beside_its_backtest(bot.db, tmp_path) as (live, run):
        assert len(live.trades) == len(run.trades) >= 1


def test_a_close_that_was_asked_for_and_reached_the_exchange_late_is_named(rehearse: Make, tmp_path: Path) -> None:
    bot = rehearse(BTCUSDT=MARKET, latency_s=0.3)

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(TO_SIGNAL + 1.4)
        post(bot, "flatten", "BTCUSDT")
        await bot.hours(8)

    bot.run(script)
    ((source, confirmed),) = named(found_in(bot.db, tmp_path))
    assert confirmed
    assert source in (Source.OPERATOR, Source.LATENCY)
