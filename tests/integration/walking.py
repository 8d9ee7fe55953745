"""Walks of a user with a bot: the bot and the exchange as processes, and commands as they are typed beside them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import httpx

from exchange.sim.server.launch import Launched, launched
from exchange.sim.server.remote import Shown
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, RULES, START_MS, Hour, jump, quiet
from store import queries
from store.verify import verify

HOUR_MS = 3_600_000
SYMBOL = "BTCUSDT"
BTC, TOP, ETH = 60_000.0, 60_600.0, 3_000.0
NOON_MS = START_MS + QUIET_HOURS * HOUR_MS - HOUR_MS // 2
HOURS = {SYMBOL: [jump(BTC), *quiet(TOP, 6)], "ETHUSDT": quiet(ETH, 7)}
PATIENCE_S = 180.0
CONFIG = "version: 1\nsymbols: {BTCUSDT: {enabled: true}, ETHUSDT: {enabled: true}}\n"


class Walk:
    """One bot in a trade, and what a user types beside it."""

    def __init__(
        self,
        exchange: Launched,
        folder: Path,
        *,
        config: str = CONFIG,
        options: Sequence[str] = ("--no-web",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._exchange = exchange
        self._rest = exchange.rest
        self.config, self.rules = folder / "config.yaml", folder / "rules.yaml"
        self.config.write_text(config)
        self.rules.write_text(RULES)
        self.bot = RealBot(
            exchange, folder, config=self.config, rules=self.rules, options=options, environment=environment
        )
        self.symbols = config.count("enabled: true")
        self.closes = 0
        self.start_s = 0.0

    async def to_noon(self) -> None:
        """From the start until the last quiet hour is decided on."""
        await self.start()
        await self.bot.simulation.advance(HOUR_MS // 2 + 2_000)
        await self.decided()

    async def to_trade(self) -> None:
        """From the start until the position that the first hour brings is covered."""
        bot = self.bot
        await self.to_noon()
        await self.hour()
        await bot.until(lambda: bot.records()[SYMBOL].state is State.PROTECTED, "be protected")

    async def hour(self) -> None:
        await self.bot.simulation.advance(HOUR_MS)
        self.closes += 1
        await self.decided()

    async def decided(self) -> None:
        """Every symbol is: none of them is the first for certain."""
        candle_ms = START_MS + (QUIET_HOURS - 1 + self.closes) * HOUR_MS
        await self.bot.until(lambda: self.bot.has_decided(candle_ms, self.symbols), "decide")

    async def at_rest(self) -> Shown:
        """The account, once the journal remembers all of it and nothing is under way."""
        while not self.bot.agrees(shown := await self.bot.simulation.shown()):
            await self.bot.until(self.bot.has_written, "come to rest")
        return shown

    async def stop(self) -> None:
        self.bot.send(signal.SIGTERM)
        await asyncio.to_thread(self.bot.ended, PATIENCE_S)

    async def start(self) -> None:
        self.bot.spawn()
        await self.bot.until(self.bot.is_ready, "get ready")
        self.start_s = time.monotonic() - self.bot.started_s

    async def type(self, *words: str) -> tuple[int, str]:
        """A command as the user types it: its exit code, and everything it said."""
        bot = self.bot
        options = ["--config", str(self.config), "--rules", str(self.rules), "--db", str(bot.db)]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "fsm", *words, *options],
            env=bot._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def alerts(self, *parts: str) -> int:
        """How many messages say all of this."""
        return len(self.told(*parts))

    def told(self, *parts: str) -> list[str]:
        """The messages that say all of this."""
        return [row.text for row in queries.alerts(self.bot.store) if all(part in row.text for part in parts)]

    async def hears(self, *parts: str) -> str:
        """The message that says all of this, once it is there."""
        await self.bot.until(lambda: bool(self.told(*parts)), f"tell {parts}")
        return self.told(*parts)[0]

    def fault(self, **rule: object) -> None:
        """The exchange does this from now on (docs/simulator.md)."""
        answer = httpx.post(f"{self._rest}/sim/v1/faults", json={"rules": [rule]}, trust_env=False)
        assert answer.status_code == 200, answer.text

    def sets(self, **conditions: object) -> None:
        """The exchange behaves so from now on."""
        answer = httpx.post(f"{self._rest}/sim/v1/faults", json={"settings": conditions}, trust_env=False)
        assert answer.status_code == 200, answer.text

    def elsewhere(self, method: str, path: str, **params: str) -> None:
        """A signed call to the exchange with the same key, as from the exchange's own page."""
        now_ms = httpx.get(f"{self._rest}/fapi/v1/time", trust_env=False).json()["serverTime"]
        query = urlencode({**params, "timestamp": now_ms})
        signature = hmac.new(self._exchange.api_secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self._rest}{path}?{query}&signature={signature}"
        headers = {"X-MBX-APIKEY": self._exchange.api_key}
        answer = httpx.request(method, url, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text

    def mend(self) -> None:
        httpx.delete(f"{self._rest}/sim/v1/faults", trust_env=False)


Story = Callable[[Walk], Awaitable[None]]


def walk(
    folder: Path,
    story: Story,
    *,
    hours: Mapping[str, Sequence[Hour]] = HOURS,
    config: str = CONFIG,
    options: Sequence[str] = ("--no-web",),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Play a story on a market of these hours; at its end the journal holds."""
    for symbol, scripted in hours.items():
        _write(folder / f"{symbol}-1h.csv.gz", [*quiet(scripted[0][0], QUIET_HOURS), *scripted])

    async def play() -> None:
        with launched("--data", str(folder), "--start", str(NOON_MS), "--speed", "0") as exchange:
            walking = Walk(exchange, folder, config=config, options=options, environment=environment)
            try:
                await story(walking)
            finally:
                await walking.bot.close()

    asyncio.run(play())
    assert verify(folder / "bot.sqlite").fine
    assert replay(folder / "bot.sqlite").differences == ()


def _write(path: Path, hours: list[Hour]) -> None:
    with gzip.open(path, "wt") as file:
        file.write("open_time_ms,open,high,low,close,volume\n")
        for number, hour in enumerate(hours):
            prices = ",".join(f"{price:.1f}" for price in hour)
            file.write(f"{START_MS + number * HOUR_MS},{prices},1000.0\n")
