"""R66 as a user meets it: the walks of docs/candles.md, bot and exchange as processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.core.model.records import State
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, START_MS
from store import queries
from tests.integration.walking import HOUR_MS, SYMBOL, Walk, walk

OTHER = "ETHUSDT"
FIRST_MS = START_MS + QUIET_HOURS * HOUR_MS
"""When the candle opens whose close brings the trade."""


async def lose(walking: Walk, first: int, count: int, how: str) -> None:
    """Of the hours after the one that brings the trade."""
    from_ms = FIRST_MS + first * HOUR_MS
    lost = {"from_ms": from_ms, "until_ms": from_ms + count * HOUR_MS, "how": how}
    await walking.bot.simulation.fault(
        match={"path": "/fapi/v1/klines", "symbol": SYMBOL}, effect={"candles": lost}, name="lost candles"
    )


def decided(walking: Walk, symbol: str, candle_ms: int) -> bool:
    last = queries.decision_at(walking.bot.store, symbol)
    return last is not None and last.last_ms >= candle_ms


@pytest.mark.slow
def test_two_hours_that_were_never_recorded(tmp_path: Path) -> None:
    async def story(walking: Walk) -> None:
        await walking.to_trade()
        bot = walking.bot
        await lose(walking, 1, 2, "missing")
        for hour in (1, 2):
            await bot.simulation.advance(HOUR_MS)
            await bot.until(lambda at=FIRST_MS + hour * HOUR_MS: decided(walking, OTHER, at), "decide on the other")  # type: ignore[misc]
            assert not decided(walking, SYMBOL, FIRST_MS + HOUR_MS), "it is left out of this close"
            assert SYMBOL in (await bot.simulation.shown()).stops()
        await bot.simulation.advance(HOUR_MS)
        await bot.until(lambda: decided(walking, SYMBOL, FIRST_MS + 3 * HOUR_MS), "carry the hole and decide")
        assert bot.records()[SYMBOL].state is State.PROTECTED
        await walking.hears(SYMBOL, "2 candles of 1h", "No entries there before")
        code, text = await walking.type("why", SYMBOL)
        assert code == 0, text
        assert "in trade" in text, "the trade goes on"
        code, text = await walking.type("flatten", SYMBOL)
        assert (code, "done" in text) == (0, True), text
        await walking.type("resume", SYMBOL)
        await bot.simulation.advance(HOUR_MS)
        await bot.until(lambda: decided(walking, SYMBOL, FIRST_MS + 4 * HOUR_MS), "decide again")
        code, text = await walking.type("why", SYMBOL)
        assert "CANDLE_HOLE until 2024-01-11 15:00 UTC" in text
        code, text = await walking.type("status")
        assert "2024-01-11 15:00" in text, text

    walk(tmp_path, story)


@pytest.mark.slow
def test_a_candle_that_contradicts_itself_while_the_bot_was_stopped(tmp_path: Path) -> None:
    async def story(walking: Walk) -> None:
        await walking.to_trade()
        bot = walking.bot
        await walking.type("flatten", SYMBOL)
        await walking.stop()
        await lose(walking, 1, 1, "contradictory")
        await bot.simulation.advance(2 * HOUR_MS)
        await walking.start()
        assert not decided(walking, SYMBOL, FIRST_MS + HOUR_MS), "a hole is confirmed before it is believed"
        await walking.type("resume", SYMBOL)
        await bot.simulation.advance(HOUR_MS)
        await bot.until(lambda: decided(walking, SYMBOL, FIRST_MS + 3 * HOUR_MS), "decide")
        await walking.hears(SYMBOL, "1 candle of 1h is missing", "No entries there before")
        code, text = await walking.type("why", SYMBOL)
        assert (code, "CANDLE_HOLE until" in text) == (0, True), text
        await walking.stop()
        await walking.start()
        assert walking.alerts(SYMBOL, "No entries there before") == 1

    walk(tmp_path, story)
