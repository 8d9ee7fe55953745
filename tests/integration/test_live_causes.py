"""Causes of a bot's differences are confirmed by its backtest with each alone; a fault of ours is none of them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.core.orders import OrderState
from exchange.sim.port_faults import Fault
from fsm.backtest.comparing.causes import Finding
from fsm.backtest.comparing.confirming import held_against
from fsm.backtest.comparing.inputs import Source, differing_inputs
from fsm.backtest.comparing.lived import lived as lived_through
from fsm.backtest.comparing.lived_orders import NO_ENTRY
from fsm.backtest.comparing.rerun import Repeater
from fsm.backtest.injecting import Injected
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL
from tests.effort import sampled
from tests.integration.scenarios.acting import entry, post
from tests.integration.test_live_differences import MARKET, PLANTED, beside_its_backtest

HOUR_MS = 3_600_000
Make = Callable[..., InProcessBot]
Script = Callable[[InProcessBot], Awaitable[None]]


def found_in(db: Path, scratch: Path, data: tuple[Path, ...] = ()) -> list[Finding]:
    """As `compare --live` does it; ``data`` has the marks and the funding of the time."""
    with beside_its_backtest(db, scratch, data) as (live, run):
        inputs = differing_inputs(live, run, live.span)
        again = Repeater(live, live, live.span, data, data, scratch).with_injected
        findings, why = held_against(live, run, live.span, inputs, again)
        assert why == ""
        return findings


def lived(rehearse: Make, script: Script | None = None, *, latency_s: float = 0.0) -> InProcessBot:
    bot = rehearse(BTCUSDT=MARKET, latency_s=latency_s)

    async def whole(bot: InProcessBot) -> None:
        await bot.start()
        if script is None:
            await bot.hours(TO_SIGNAL + 10)
        else:
            await script(bot)

    bot.run(whole)
    return bot


def named(findings: list[Finding]) -> set[tuple[Source, bool]]:
    return {(found.cause.source, found.cause.confirmed) for found in findings}


def test_orders_that_arrive_late_are_latency(rehearse: Make, tmp_path: Path) -> None:
    bot = lived(rehearse, latency_s=0.3)
    (found,) = found_in(bot.db, tmp_path)
    assert (found.cause.source, found.cause.confirmed) == (Source.LATENCY, True)
    assert {*found.difference.fields} == {"first_fill_ms", "closed_ms"}


def filled(bot: InProcessBot, how: Callable[[OrderState], tuple[Decimal, Decimal]]) -> None:
    """The market takes entries otherwise than assumed: at which price, and how much."""
    bot.venue.state.taken = lambda order, now_ms: None if order.reduce_only else [(*how(order), False)]


def test_a_worse_price_than_assumed_is_slippage(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        filled(bot, lambda order: (Decimal("60640.00"), order.quantity))
        await bot.hours(TO_SIGNAL + 10)

    (found,) = found_in(lived(rehearse, script).db, tmp_path)
    assert "entry_price" in found.difference.fields
    assert (found.cause.source, found.cause.confirmed) == (Source.SLIPPAGE, True)
    assert found.cause.together == ("LATENCY",)


def test_half_an_entry_is_a_partial_fill(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        filled(bot, lambda order: (Decimal("60612.20"), order.quantity / 2))
        await bot.hours(TO_SIGNAL + 10)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.PARTIAL_FILL, True)}


def test_an_entry_that_was_refused_is_a_missed_entry(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        bot.faults = lambda call: Fault(refuse=-2010) if entry(call) else None
        await bot.hours(TO_SIGNAL + 10)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.MISSED_ENTRY, True)}


def test_an_operators_close_is_the_operators(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL + 1.4)
        post(bot, "flatten", "BTCUSDT")
        await bot.hours(8)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.OPERATOR, True)}


def test_trades_that_small_steps_made_small_are_explained_by_them(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        bot.running.live.engine.begin_small_steps(bot.venue.now_ms, "UPGRADE")
        await bot.hours(TO_SIGNAL + 10)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.SMALL_STEPS, True)}
    assert "quantity 0.002 as it traded, 0.064 in the backtest" in findings[0].cause.told


@pytest.mark.parametrize("kind", ["pause", "halt"])
def test_a_pause_of_the_whole_account_is_the_operators(rehearse: Make, tmp_path: Path, kind: str) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 1.5)
        post(bot, kind)
        await bot.hours(11.5)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.OPERATOR, True)}


def test_a_command_about_a_trade_that_the_repetition_has_not_is_refused_there(rehearse: Make, tmp_path: Path) -> None:
    """The stop was moved by hand in a trade that another cause took away."""

    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL + 1.4)
        post(bot, "move-stop 60100", "BTCUSDT")
        await bot.hours(8)

    db = lived(rehearse, script).db
    with beside_its_backtest(db, tmp_path) as (live, _):
        kinds = {each.source: each.injected for each in lived_through(live, live.span)}
        signal = live.trades[0].signal_candle_ms + HOUR_MS
        nothing = kinds[Source.OPERATOR].beside(Injected(refused={("BTCUSDT", signal): NO_ENTRY}))
        trades, _ = Repeater(live, live, live.span, (), (), tmp_path).with_injected(nothing)
    assert kinds[Source.OPERATOR].commands
    assert trades == {}


def test_a_signal_that_nobody_saw_is_an_outage(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 1.5)
        await bot.kill()
        await bot.hours(2.7)
        await bot.start()
        await bot.hours(8)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.OUTAGE, True)}


TICK_OFF = {
    "a stop one tick off": "UPDATE trades SET stop_price_initial = '59939.9'",
    "a stop that waited one tick off": (
        "UPDATE orders SET trigger_price = CAST(trigger_price + 0.1 AS TEXT) WHERE client_order_id ="
        " (SELECT max(client_order_id) FROM orders WHERE purpose = 'PlaceStop')"
    ),
    "an entry one tick off its fills": "UPDATE trades SET entry_price = '60612.3'",
    "an exit one tick off its fills": "UPDATE trades SET exit_price = '60785.2'",
    "a lot too many": "UPDATE trades SET quantity = '0.065'",
    "another end": "UPDATE trades SET exit_reason = 'STOP_HIT'",
    "a fee that nobody asked": "UPDATE trades SET net_pnl = '1.0'",
    **{name: plant for name, (plant, _) in PLANTED.items()},
}
"""What a fault of the bot could leave in its journal beside orders that were late."""


@pytest.mark.parametrize("fault", sampled(TICK_OFF, often=5))
def test_a_fault_of_ours_is_not_passed_off_as_latency(rehearse: Make, tmp_path: Path, fault: str) -> None:
    bot = lived(rehearse, latency_s=0.3)
    copy = Path(shutil.copy(bot.db, tmp_path / "copy.sqlite"))
    with sqlite3.connect(copy) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(TICK_OFF[fault])
    connection.close()
    (found,) = found_in(copy, tmp_path)
    assert (found.cause.source, found.cause.confirmed) == (Source.UNEXPLAINED, False)
