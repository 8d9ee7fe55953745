"""A real bot with two shadows beside it: its trading loop is as on time as without them."""

from __future__ import annotations

import asyncio
import statistics
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.server.launch import launched
from fsm.backtest.shadows import ShadowFolder
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import RULES
from rules.load import parse_rules
from store import queries
from tests.integration.stories import CONFIG, NOON_MS, write_market
from tests.integration.web.test_crowd_while_trading import LAG_MORE_MS_MAX, LIMITS, SPEED, lags_ms, market

SHADOWS = {"same": RULES, "far": RULES.replace("entry + 3 * risk", "entry + 6 * risk")}
SPANS, SPANS_MAX, ROUNDS = 8, 60, 3
"""So many spans of five seconds are longer than two looks at the shadows lie apart."""


@pytest.mark.slow
def test_the_trading_loop_is_as_on_time_beside_shadows_as_without(tmp_path: Path) -> None:
    write_market(tmp_path, market())
    (tmp_path / "config.yaml").write_text(CONFIG + LIMITS)
    (tmp_path / "rules.yaml").write_text(RULES)

    async def play() -> None:
        with launched("--data", str(tmp_path), "--start", str(NOON_MS), "--speed", "0") as exchange:
            bot = RealBot(exchange, tmp_path, config=tmp_path / "config.yaml", rules=tmp_path / "rules.yaml")
            try:
                bot.spawn()
                await bot.until(bot.is_ready, "get ready")
                await bot.simulation.set_speed(SPEED)
                await bot.until(lambda: bool(queries.latest_decisions(bot.store)), "decide on a close")
                await by_turns(bot, ShadowFolder(bot.db))
            finally:
                await bot.close()

    asyncio.run(play())


async def by_turns(bot: RealBot, folder: ShadowFolder) -> None:
    """With and without, since the machine is busy with other things, too."""
    without, beside = list[float](), list[float]()
    for _ in range(ROUNDS):
        without.append(max(await lags_ms(bot, SPANS)))
        for name, text in SHADOWS.items():
            folder.add(name, Path(f"{name}.yaml"), parse_rules(text, name), CONFIG + LIMITS, Decimal(10_000))
        spans = await lags_ms(bot, SPANS)
        while not all(folder.figures(name).to_ms for name in SHADOWS) and len(spans) < SPANS_MAX:
            spans += await lags_ms(bot, 1)
        beside.append(max(spans))
        assert all(folder.figures(name).to_ms for name in SHADOWS), "each is decided while the loop is watched"
        for name in SHADOWS:
            folder.remove(name)
    print(f"\nlongest lag of the loop in {SPANS} spans of 5 s, in ms: without {without}, beside shadows {beside}")
    assert statistics.median(beside) <= statistics.median(without) + LAG_MORE_MS_MAX
