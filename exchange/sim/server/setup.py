"""Builds a simulation from what the command line says: data, rules of the symbols, account, or a saved state."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from exchange.candle_files import CandleFolders
from exchange.sim.core.venue import Venue
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.rulebook import Rulebook
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server import fault_file
from exchange.sim.server.clock import SimClock
from exchange.sim.server.control import arm
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.keys import keys_of
from exchange.sim.server.saved import SavedState
from exchange.sim.server.world import World
from indicators.candle import Timeframe

DAY_MS = Timeframe.D1.ms


class SettingError(ValueError):
    """What was asked for cannot be simulated; the message says why, and what could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAccount:
    """What a simulated account begins with, what it pays, and how its orders are filled (percentages are percent)."""

    seed: int = 0
    balance: Decimal = Decimal(10_000)
    maker_fee_pct: Decimal = Decimal("0.02")
    taker_fee_pct: Decimal = Decimal("0.05")
    slippage_pct: Decimal = Decimal("0.02")
    stop_depth: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSetup(SimulatedAccount):
    """One simulation. ``start_ms`` None: in the middle of the data, so that half of it is history."""

    folders: tuple[Path, ...] = ()
    instead: tuple[Path, ...] = ()
    """Folders for symbols that the others have nothing of."""

    symbols: tuple[str, ...] = ()
    start_ms: int | None = None
    speed: float = 1.0
    faults: Path | None = None
    slack_ms: int = 0
    step: Timeframe = Timeframe.H1
    """Length of the bars in which prices move, and of the shortest candles; up to 1h."""


def build(
    setting: SimulationSetup, saved: SavedState | None = None, monotonic: Callable[[], float] = time.monotonic
) -> Emulator:
    """Raises SettingError, CandleFileError or FaultError."""
    plan = None if setting.faults is None else fault_file.read(setting.faults)
    book = Rulebook.read((*setting.instead, *setting.folders), setting.start_ms)
    feeds = _feeds(setting, book)
    begins_ms = _start(setting, feeds) if saved is None else saved.hour_ms
    book, _ = book.of_candles({name: feed.shown_decimals for name, feed in feeds.items()}, begins_ms)
    if saved is None:
        venue = Venue(
            filters=book.filters,
            brackets=book.brackets,
            balance=setting.balance,
            maker_rate=setting.maker_fee_pct / 100,
            taker_rate=setting.taker_fee_pct / 100,
            slippage=setting.slippage_pct / 100,
            stop_depth=setting.stop_depth,
        )
        world = World.begin(venue, feeds, begins_ms)
        seed = setting.seed
    else:
        venue, seed = saved.load_venue(book.filters, book.brackets), saved.seed
        if saved.step is not setting.step:
            raise SettingError(
                f"the saved simulation moves in steps of {saved.step}, not of {setting.step}: begin afresh"
            )
        gone = sorted({*venue.state.quotes} - {*feeds})
        if gone:
            raise SettingError(f"the saved simulation has {', '.join(gone)}, and now there are no candles of it")
        world = World(venue, feeds, bar_ms=saved.hour_ms, marks=saved.marks)
    emulator = Emulator(
        world=world,
        clock=SimClock(world.now_ms, setting.speed, monotonic),
        credentials=keys_of(seed),
        exchange_info=book.exchange_info,
        seed=seed,
        monotonic=monotonic,
        slack_ms=setting.slack_ms,
        hidden=set() if saved is None else set(saved.hidden),
    )
    if plan is not None:
        arm(emulator, plan)
    return emulator


def _feeds(setting: SimulationSetup, book: Rulebook) -> dict[str, SymbolFeed]:
    folders = CandleFolders(setting.folders or (shipped_folder(),), setting.instead)
    recorded = folders.symbols(setting.step)
    known = [name for name in recorded if name in book.filters and name in book.brackets]
    for name in setting.symbols:
        if name not in recorded:
            raise SettingError(f"{name}: no candles in the data; there are {', '.join(recorded) or 'none at all'}")
        if name not in known:
            raise SettingError(book.missing([name]))
    if not known:
        raise SettingError("the data has no symbol with known filters and brackets")
    return {name: SymbolFeed.read(folders, name, setting.step) for name in setting.symbols or known}


def _start(setting: SimulationSetup, feeds: Mapping[str, SymbolFeed]) -> int:
    first_ms = min(feed.start_ms for feed in feeds.values())
    end_ms = max(feed.end_ms for feed in feeds.values())
    if setting.start_ms is None:
        middle = first_ms + (end_ms - first_ms) // 2
        return max(middle - middle % DAY_MS, first_ms)
    if not first_ms <= setting.start_ms < end_ms:
        raise SettingError(f"--start {setting.start_ms} is outside the data, which goes from {first_ms} to {end_ms}")
    return setting.start_ms
