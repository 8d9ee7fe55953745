"""Measures what months of running cost: the bot's own memory, and how its database grows by symbol and day.

The real daemon trades simulated months on the shipped candles (symbols beyond those are the same candles, shifted).
The simulated exchange lives in the same process and never forgets an order, so resident memory says little: what counts
is what Python has allocated and not freed for the bot, everything but the exchange and the in-process bot itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import sys
import tempfile
import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

import structlog

from exchange.sim.playback.symbols import shipped_folder
from fsm.config import load_config
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import adapted
from fsm.proofs.torture.market import Market
from fsm.proofs.torture.rules import LIVELY
from fsm.proofs.torture.soak import memory_mb
from rules.load import parse_rules

ROOT = Path(__file__).parents[1]
DAY_MS = 86_400_000
MONTH_DAYS = 30
GENTLE = {
    "limits": dict.fromkeys(("daily_loss_pct", "weekly_loss_pct", "monthly_loss_pct", "drawdown_pct"), Decimal(90)),
    "risk": {"risk_per_trade_pct": Decimal("0.05")},
    "simulation": {"balance_usdt": Decimal(1_000_000)},
}
"""Little is risked and nothing stops it: it is to trade on to the end."""
NOT_THE_BOT = ("*/exchange/sim/*", "*/fsm/lab/*", "*/benchmarks/*", "*/tracemalloc.py", "*/linecache.py")


@dataclass(frozen=True)
class Row:
    day: int
    bot_kb: float
    resident_mb: float
    database_kb: float
    trades: int


class Months:
    def __init__(self, db: Path, days: int, symbols: int, every: int, top: int) -> None:
        market = Market([shipped_folder()], symbols)
        days_at_hand = (market.last_ms - market.first_ms) // DAY_MS
        assert days <= days_at_hand, f"the candles have {days_at_hand} days"
        config = load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})
        self.bot = InProcessBot(
            config=adapted(config, market.symbols, GENTLE),
            rules=parse_rules(LIVELY, "rules that trade often"),
            feeds=market.feeds,
            filters=market.filters,
            brackets=market.brackets,
            db=db,
            start_ms=market.first_ms,
        )
        self.rows: list[Row] = []
        self._days, self._every, self._top = days, every, top
        self._first: tracemalloc.Snapshot | None = None

    async def live(self, bot: InProcessBot) -> None:
        await bot.start()
        for day in range(1, self._days + 1):
            await bot.hours(24)
            bot.steps.clear()
            if day % self._every == 0:
                self._look(day)
        await asyncio.sleep(0)

    def _look(self, day: int) -> None:
        gc.collect()
        taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, name) for name in NOT_THE_BOT])
        bot_kb = (sum(trace.size for trace in taken.traces) - held_by_exchange(self.bot)) / 1024
        store = self.bot.store
        assert store is not None
        ((trades,),) = store.connection.execute("SELECT count(*) FROM trades WHERE status = 'CLOSED'")
        ((pages,),) = store.connection.execute("PRAGMA page_count")
        ((page_size,),) = store.connection.execute("PRAGMA page_size")
        row = Row(day, round(bot_kb, 1), round(memory_mb(), 1), pages * page_size / 1024, trades)
        self.rows.append(row)
        print(json.dumps(vars(row)), flush=True)
        if self._top and self._first is None and day >= self._days / 3:
            self._first = taken
        elif self._top and self._first is not None and day + self._every > self._days:
            for difference in taken.compare_to(self._first, "lineno")[: self._top]:
                print(difference, flush=True)


def held_by_exchange(bot: InProcessBot) -> int:
    """Bytes of ids and amounts that the bot made and sent, and that the exchange keeps in its orders for ever."""
    seen: set[int] = set()
    waiting: list[object] = [bot.venue.state]
    size = 0
    while waiting:
        held = waiting.pop()
        if id(held) in seen or isinstance(held, (type, ModuleType, FunctionType, MethodType)):
            continue
        seen.add(id(held))
        waiting += gc.get_referents(held)
        made = tracemalloc.get_object_traceback(held)
        if made is not None and not any(fnmatch(made[0].filename, name) for name in NOT_THE_BOT):
            size += sys.getsizeof(held)
    return size


def slope(points: Iterable[tuple[float, float]]) -> float:
    """Of the straight line that fits best."""
    found = list(points)
    mean_x, mean_y = (sum(column) / len(found) for column in zip(*found, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in found)
    return sum((x - mean_x) * (y - mean_y) for x, y in found) / spread if spread else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--every", type=int, default=5, help="days between looks")
    parser.add_argument("--from-day", type=int, default=MONTH_DAYS, help="what came before is warming up")
    parser.add_argument("--top", type=int, default=0, help="tell so many lines of code whose memory grew most")
    parser.add_argument("--plot", type=Path, help="write an SVG of memory and database")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder:
        months = Months(Path(folder) / "sim.sqlite", options.days, options.symbols, options.every, options.top)
        months.bot.run(months.live)
    rows = [row for row in months.rows if row.day >= options.from_day] or months.rows
    result = {
        "days": options.days,
        "symbols": options.symbols,
        "trades": months.rows[-1].trades,
        "bot_mb_a_month": round(slope((row.day, row.bot_kb) for row in rows) * MONTH_DAYS / 1024, 3),
        "database_kb_a_symbol_and_day": round(slope((row.day, row.database_kb) for row in rows) / options.symbols, 2),
    }
    print(json.dumps(result, indent=2))
    if options.plot:
        options.plot.write_text(plot(months.rows), "utf-8")


def plot(rows: list[Row]) -> str:
    """The bot's memory (blue) and its database (grey) by day, each to its own height."""
    last = max(row.day for row in rows)
    lines = []
    for color, name, values in (
        ("#2563eb", "bot", [row.bot_kb for row in rows]),
        ("#6b7280", "database", [row.database_kb for row in rows]),
    ):
        most = max(values)
        points = " ".join(
            f"{40 + 740 * row.day / last:.0f},{280 - 250 * value / most:.0f}"
            for row, value in zip(rows, values, strict=True)
        )
        lines.append(f'<polyline fill="none" stroke="{color}" points="{points}"/>')
        lines.append(
            f'<text x="{60 + 360 * (name != "bot")}" y="18" fill="{color}">{name}: {most / 1024:.1f} MB</text>'
        )
    axis = f'<path d="M40 30V280H780" fill="none" stroke="#000"/><text x="700" y="298">day {last}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 300" font-size="12">{axis}{"".join(lines)}</svg>\n'
    )


if __name__ == "__main__":
    main()
