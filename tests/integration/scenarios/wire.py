"""The daemon behind our real client, on the emulator's own gateway: requests and answers are real to the byte.

Only the sockets are missing, so that a loop on which waiting takes no time can run it all.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from exchange.binance.client import BinanceClient
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.faults import Rule
from exchange.sim.server.gateway import Gateway
from exchange.sim.server.request_log import RequestLog
from exchange.sim.server.setup import SimulationSetup, build
from fsm.config import load_config
from fsm.live.context.clock import DrivenClock
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from fsm.proofs.testkit.scripted_market import LIVE_FROM, QUIET_HOURS, START_MS, Hour, in_process_bot_of, quiet
from tests.contract.wired import WiredTransport, credentials_of
from tests.integration.scenarios.acting import ROOT

ALGO, ORDER = "/fapi/v1/algoOrder", "/fapi/v1/order"


def write_hours(folder: Path, symbol: str, hours: list[Hour]) -> None:
    rows = [
        f"{START_MS + n * HOUR_MS},{hour[0]:.1f},{hour[1]:.1f},{hour[2]:.1f},{hour[3]:.1f},1000"
        for n, hour in enumerate([*quiet(hours[0][0], QUIET_HOURS), *hours])
    ]
    text = "\n".join(["open_time_ms,open,high,low,close,volume", *rows]) + "\n"
    (folder / f"{symbol}-1h.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


class WirePort:
    """Our client, and the hand that moves the emulator's market; whatever happens to the account wakes the daemon."""

    def __init__(self, emulator: Emulator, client: BinanceClient) -> None:
        self.nudge: Callable[[str], None] = lambda symbol: None
        self._emulator = emulator
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def advance(self, until_ms: int, answered: Callable[[], Awaitable[None]]) -> None:
        reached = False
        while not reached:
            progress = self._emulator.advance(until_ms, until_event=True)
            reached = progress.reached
            symbols = {str(event["symbol"]) for event in progress.events if event.get("symbol")}
            for symbol in sorted(symbols):
                self.nudge(symbol)
            if symbols:
                await answered()


class WiredRehearsal(InProcessBot):
    """A in-process bot whose exchange is the emulator, spoken to in Binance's own words."""

    def __init__(self, folder: Path, hours: list[Hour], **sections: dict[str, Any]) -> None:
        config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
        small = in_process_bot_of(config, folder / "sim.sqlite", {"BTCUSDT": hours}, sections=sections)
        vars(self).update(vars(small))
        write_hours(folder, "BTCUSDT", hours)
        setting = SimulationSetup(folders=(folder,), start_ms=START_MS + LIVE_FROM * HOUR_MS, speed=0.0, slack_ms=0)
        self.emulator = build(setting)
        self.requests = RequestLog()
        self.venue = self.emulator.venue
        self.clock = DrivenClock(lambda: self.emulator.now_ms)
        self.client = BinanceClient(
            base_url="http://127.0.0.1",
            clock=self.clock,
            credentials=credentials_of(self.emulator),
            transport=WiredTransport(Gateway(self.emulator, self.requests)),
        )
        self.port = WirePort(self.emulator, self.client)  # type: ignore[assignment]

    def fault(self, **rule: Any) -> None:
        """Arm a rule of the fault menu."""
        self.emulator.faults.add(msgspec.convert(rule, Rule))

    def asked(self, path: str, method: str = "POST") -> list[Any]:
        """The requests of this kind that the exchange has received."""
        rows = self.requests.since(0, 10_000)
        return [row for row in rows if (row.method, row.path) == (method, path)]
