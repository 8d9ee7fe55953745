"""When a bot decided, heard and acted matters: its backtest lives through those moments, or they are unexplained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.errors import Unreachable
from exchange.sim.port_faults import Call, Fault
from fsm.backtest.comparing.inputs import Source
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL
from tests.integration.scenarios.acting import entry, post
from tests.integration.test_live_causes import found_in, lived, named

Make = Callable[..., InProcessBot]


@pytest.mark.parametrize("late", [0.05, 0.2, 0.8])
def test_a_close_that_was_decided_on_late_is_latency(rehearse: Make, tmp_path: Path, late: float) -> None:
    """The bot was down at the close: it sized, planned and entered by the prices of later in the hour."""

    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 1.5)
        await bot.kill()
        await bot.hours(1.5 + late)
        await bot.start()
        await bot.hours(8)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.LATENCY, True)}


def test_an_entry_that_was_heard_of_late_is_latency(rehearse: Make, tmp_path: Path) -> None:
    """Nothing reached the exchange for a while after it: stop and targets came later."""

    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL - 0.5)
        sent_ms: list[int] = []

        def nothing_after_the_entry(call: Call) -> Fault | None:
            if entry(call):
                sent_ms.append(bot.venue.now_ms)
                return None
            if sent_ms and bot.venue.now_ms < sent_ms[0] + 1_500_000:
                return Fault(error=Unreachable("no connection"))
            return None

        bot.faults = nothing_after_the_entry
        await bot.hours(10)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert Source.UNEXPLAINED not in {source for source, _ in named(findings)}


def test_a_stop_that_was_hit_before_the_bot_closed_anything_ended_the_trade(rehearse: Make, tmp_path: Path) -> None:
    """The operator's flatten waited for a bot that was down; by its start the exchange had closed the position."""

    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL + 1.4)
        post(bot, "flatten", "BTCUSDT")
        await bot.kill()
        await bot.hours(6)
        await bot.start()
        await bot.hours(2)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert Source.UNEXPLAINED not in {source for source, _ in named(findings)}


def test_a_trade_that_ended_behind_the_last_close_is_open_in_the_comparison(rehearse: Make, tmp_path: Path) -> None:
    async def script(bot: InProcessBot) -> None:
        await bot.hours(TO_SIGNAL + 2.4)
        post(bot, "flatten", "BTCUSDT")
        await bot.hours(0.2)

    findings = found_in(lived(rehearse, script).db, tmp_path)
    assert named(findings) == {(Source.LATENCY, True)}
