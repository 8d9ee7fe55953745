"""Stories of a real bot before a real emulator on a small market, for tests with processes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from exchange.sim.server.launch import launched
from fsm.core.model.records import State
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, RULES, START_MS, Hour, quiet

HOUR_MS = 3_600_000
SYMBOL = "BTCUSDT"
BTC = 60_000.0
TOP = BTC * 1.01
LOW = BTC * 0.998
NOON_MS = START_MS + QUIET_HOURS * HOUR_MS - HOUR_MS // 2
CONFIG = f"version: 1\nsymbols: {{{SYMBOL}: {{enabled: true}}}}\n"

Story = Callable[[RealBot], Awaitable[None]]


def tell(
    folder: Path,
    hours: list[Hour],
    story: Story,
    *,
    config: str = CONFIG,
    options: Sequence[str] = ("--no-web",),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Play a story with a real bot on a small market of these hours, half an hour before the first of them. What the
    bot keeps is in a folder of its own."""
    write_market(folder, hours)
    (folder / "config.yaml").write_text(config)
    (folder / "rules.yaml").write_text(RULES)

    async def play() -> None:
        with launched("--data", str(folder), "--start", str(NOON_MS), "--speed", "0") as exchange:
            home = folder / "home"
            home.mkdir()
            bot = RealBot(
                exchange,
                home,
                config=folder / "config.yaml",
                rules=folder / "rules.yaml",
                options=options,
                environment=environment,
            )
            try:
                await story(bot)
            finally:
                await bot.close()

    asyncio.run(play())


def write_market(folder: Path, hours: list[Hour]) -> None:
    """The candle file of an exchange on which these hours follow enough quiet ones."""
    with gzip.open(folder / f"{SYMBOL}-1h.csv.gz", "wt") as file:
        file.write("open_time_ms,open,high,low,close,volume\n")
        for number, hour in enumerate([*quiet(BTC, QUIET_HOURS), *hours]):
            prices = ",".join(f"{price:.1f}" for price in hour)
            file.write(f"{START_MS + number * HOUR_MS},{prices},1000.0\n")


async def to_protected(bot: RealBot) -> None:
    """From the start until the position that the first hour brings is covered."""
    bot.spawn()
    await bot.until(bot.is_ready, "get ready")
    await bot.simulation.advance(HOUR_MS // 2 + 2_000)
    await bot.until(lambda: bot.has_decided(START_MS + (QUIET_HOURS - 1) * HOUR_MS, 1), "decide on a quiet hour")
    await bot.simulation.advance(HOUR_MS)
    await until_state(bot, State.PROTECTED)


async def until_state(bot: RealBot, state: State) -> None:
    await bot.until(lambda: SYMBOL in bot.records() and bot.records()[SYMBOL].state is state, f"be {state}")
