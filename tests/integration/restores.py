"""Databases put back over later ones, again and again, on one market, and what the exchange sees of it (R78)."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from exchange.client_ids import Leg, parse
from exchange.sim.port_faults import Call, Fault
from exchange.types import ConditionalType
from fsm.core.model.records import HaltCause
from fsm.live.trading.lost_trades import remembered_ids
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import Hour
from store import queries
from store.inbox import Inbox

WAIT_HOURS = 8
"""How long a bot that was restored is left without `resume`."""

PRICES = {"BTCUSDT": 60_000.0, "ETHUSDT": 3_000.0, "SOLUSDT": 150.0, "XRPUSDT": 0.6, "DOGEUSDT": 0.12}


def restless(symbol: str, hours: int, rng: random.Random) -> list[Hour]:
    """Hours with a signal in every third or so, and a market that wanders on after it."""
    price, found = PRICES[symbol], list[Hour]()
    for _ in range(hours):
        step = rng.choice((0.0, 0.003, -0.003, 0.01, -0.01, 0.006, -0.006)) if price > 0 else 0.0
        step -= 0.002 if price > PRICES[symbol] * 1.5 else -0.002 if price < PRICES[symbol] / 1.5 else 0.0
        end, wick = price * (1 + step), price * rng.uniform(0.0002, 0.002)
        low, high = min(price, end) - wick, max(price, end) + wick
        found.append((price, high, low, end))
        price = end
    return found


@dataclass(slots=True)
class Saved:
    """A copy of the database as it lay on the disk, and what had been sent by then."""

    folder: Path
    with_wal: bool
    sent: int


@dataclass(slots=True)
class Figures:
    points: int = 0
    older: int = 0
    trades_ahead: list[int] = field(default_factory=list)
    lost_trades: int = 0
    stops_kept: int = 0
    strangers: list[str] = field(default_factory=list)
    """Trades that somebody else is said to have closed: nobody else is there."""

    problems: list[str] = field(default_factory=list)


class Restores:
    """One market and one account that go on, and a database that is put back now and then."""

    def __init__(self, r: InProcessBot, rng: random.Random, folder: Path) -> None:
        self.r, self.rng, self.folder = r, rng, folder
        self.figures = Figures()
        self.sent: list[str] = []
        self._before: set[str] = set()
        self._entries_allowed = True
        self._tightest: dict[str, Decimal] = {}
        r.faults = self._heard

    def _heard(self, call: Call) -> Fault | None:
        """Sees each order before it arrives; does nothing to it."""
        parts = parse(call.client_id) if call.method in ("place_order", "place_algo") else None
        if parts is None or parts.leg is Leg.PROBE:
            return None
        if call.client_id in self._before and not self._is_planned(call):
            self._problem(f"{call.client_id} was used by a journal that is lost, and is used again")
        if parts.leg is Leg.ENTRY and not self._entries_allowed:
            self._problem(f"{call.client_id} enters before `resume`")
        self.sent.append(call.client_id)
        return None

    def _is_planned(self, call: Call) -> bool:
        """It follows from the journal that was put back, so it is the same order: it cannot rest twice."""
        live, worker = self.r.running.live, self.r.running.workers[call.symbol]
        return call.client_id in remembered_ids(worker.record, live.engine.context(call.symbol))

    def _problem(self, text: str) -> None:
        self.figures.problems.append(f"point {self.figures.points}: {text}")

    # --- putting back -------------------------------------------------------------------------
    def save(self, *, with_wal: bool) -> Saved:
        folder = self.folder / f"saved{self.figures.points}"
        folder.mkdir()
        for end in ("", "-wal") if with_wal else ("",):
            source = Path(f"{self.r.db}{end}")
            if source.exists():
                shutil.copy(source, folder / f"sim.sqlite{end}")
        return Saved(folder, with_wal, len(self.sent))

    async def put_back(self, saved: Saved) -> None:
        r = self.r
        await r.kill()
        _exchange_files(r.db, saved.folder)

    async def point(self) -> None:
        """Save, go on for some trades, put the copy back, start; then see what became of it."""
        r, rng = self.r, self.rng
        await r.hours(rng.uniform(0.2, 6.0))
        saved = self.save(with_wal=rng.random() < 0.6)
        wanted, began = rng.randint(0, 20), self._entries()
        deadline_ms = r.venue.now_ms + int(rng.uniform(0.0, 80.0) * 3_600_000)
        while self._entries() - began < wanted and r.venue.now_ms < deadline_ms:
            await r.hours(rng.uniform(0.3, 1.5))
        self.figures.trades_ahead.append(self._entries() - began)
        await self.put_back(saved)
        self.figures.points += 1
        stops = self._stops()
        self._before, self._entries_allowed = set(self.sent), False
        await r.start()
        await r.seconds(5)
        self._judge_start()
        await self._wait_for_resume(stops)
        self._entries_allowed = True
        self._before = set()

    async def _wait_for_resume(self, stops: dict[str, Decimal]) -> None:
        is_old = self.r.running.live.engine.account.halt is not None
        self._entries_allowed = not is_old
        self._compare_stops(stops)
        if is_old:
            await self.r.hours(WAIT_HOURS * self.rng.random())
            self.judge_fills()
            assert self.r.store is not None
            Inbox(self.r.store).post("resume", None, "cli", self.r.venue.now_ms)
            await self.r.seconds(2)
            if self.r.running.live.engine.account.halt is not None:
                self._problem(f"`resume` left {self.r.running.live.engine.account.halt}")

    # --- judging ------------------------------------------------------------------------------
    def _entries(self) -> int:
        return sum((parts := parse(client_id)) is not None and parts.leg is Leg.ENTRY for client_id in self.sent)

    def _accepted(self) -> set[str]:
        orders = {order.client_id for order in self.r.venue.state.orders}
        return orders | {algo.client_id for algo in self.r.venue.state.algos}

    def _judge_start(self) -> None:
        """Halted where something of ours is known there that the journal did not know, and only there."""
        account, store = self.r.running.live.engine.account, self.r.store
        assert store is not None
        done = queries.system_events(store, kind="RESTORED", limit=1)
        halted = account.halt is not None and account.halt.cause == HaltCause.RESTORED
        known = queries.orders_known(store, self._accepted())
        named = {
            oid for row in queries.system_events(store, kind="RESTORED", limit=1_000) for oid in _ids(row.facts_json)
        }
        open_or_filled = {o.client_id for o in self.r.venue.state.orders if parse(o.client_id) is not None}
        left = open_or_filled - known - named
        if left:
            self._problem(f"orders that neither the journal nor its word of a restoration has: {sorted(left)[:3]}")
        if halted:
            self.figures.older += 1
            self.figures.lost_trades += len(queries.system_events(store, kind="LOST_TRADE", limit=1_000))
            self.figures.strangers += [
                trade.id for trade in queries.trades(store, limit=10_000) if trade.exit_reason == "EXTERNAL_CLOSE"
            ]
            if not done or account.epoch == "":
                self._problem("halted without a new epoch")
        self.judge_fills()

    def judge_fills(self) -> None:
        """Every execution is in the books, named, or of the trade that is open."""
        store = self.r.store
        assert store is not None
        named: set[int] = set()
        for row in queries.system_events(store, kind="LOST_TRADE", limit=10_000):
            named |= set(msgspec.json.decode(row.facts_json)["trade"]["fill_ids"])
        for symbol, worker in self.r.running.workers.items():
            record = worker.record
            cursor = record.trade.last_fill_id if record.trade is not None else None
            for fill in self.r.venue.fills(symbol, start_ms=0):
                is_open = record.trade is not None and (cursor is None or fill.fill_id > cursor)
                if not (is_open or fill.fill_id in named or queries.has_fill(store, symbol, fill.fill_id)):
                    self._problem(f"{symbol} fill {fill.fill_id} is neither booked nor named")

    def _stops(self) -> dict[str, Decimal]:
        """The tightest stop of ours that rests, by symbol with a position; signed so that more is tighter."""
        found = {}
        for position in self.r.venue.positions():
            sign = 1 if position.quantity > 0 else -1
            prices = [
                sign * algo.trigger_price
                for algo in self.r.venue.open_algos(position.symbol)
                if algo.close_position and algo.type == ConditionalType.STOP_MARKET.value
            ]
            if position.quantity != 0 and prices:
                found[position.symbol] = max(prices)
        return found

    def _compare_stops(self, before: dict[str, Decimal]) -> None:
        now = self._stops()
        held = {position.symbol for position in self.r.venue.positions() if position.quantity != 0}
        for symbol in held & set(before):
            if symbol not in now:
                self._problem(f"{symbol} has lost its stop")
            elif now[symbol] < before[symbol]:
                self._problem(f"{symbol}: a stop was loosened from {before[symbol]} to {now[symbol]}")
            else:
                self.figures.stops_kept += 1


def _exchange_files(db: Path, folder: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{db}{end}").unlink(missing_ok=True)
    for file in folder.iterdir():
        shutil.copy(file, db.with_name(file.name.replace("sim.sqlite", db.name)))
    shutil.rmtree(folder)


def _ids(facts_json: bytes) -> list[str]:
    return list(msgspec.json.decode(facts_json).get("orders", ()))
