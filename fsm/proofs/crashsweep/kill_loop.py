"""Kills the real bot with ``kill -9`` again and again while months of recorded candles pass, and compares the trades.

Two runs over the same candles: one undisturbed, one with kills at moments chosen by seed, half of them at any hour and
half in hours in which the undisturbed bot did something. Simulated time stands still while no bot lives.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec

from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.launch import launched
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.real_bot import ANSWER_S_MAX, POLL_S, NoAnswer, RealBot
from store import queries
from store.verify import verify

HOUR_MS = 3_600_000
MISSED = ("drop", "abandon")
SETTLE_MS = 2_000
AGAIN_SHARE = 0.2
"""One kill in five is followed by one in the start after it."""

LOG_EVERY_HOURS = 100
LOOK_EVERY_S = 0.25
WHOLE_S_MAX = 60.0
"""A close at which a symbol's candle or price could not be read in time is decided without it, as the bot says."""

Progress = Callable[[str, int, int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to play. ``kills`` counts those that are planned; some are followed by another."""

    config: Path
    rules: Path
    symbols: tuple[str, ...]
    start_ms: int
    days: int
    kills: int
    seed: int
    balance: Decimal


class Traded(msgspec.Struct, frozen=True):
    """One finished trade, without what only tells when it was written down."""

    symbol: str
    signal_ms: int
    side: str
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    exit_reason: str | None
    net_pnl: Decimal | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run."""

    trades: list[Traded]
    missed: list[tuple[str, int, str]]
    busy_hours: list[int]
    kills: int
    starts: int
    repeated: list[str]
    longest_naked_s: float
    longest_naked_after_start_s: float
    late_stops: int
    journal_problems: list[str]
    start_s: float
    hours_s: list[float]
    seconds: float


class KillReport(msgspec.Struct, frozen=True, kw_only=True):
    """Both runs compared: each of the undisturbed ``trades`` is ``identical``, ``explained`` by an entry that was
    missed before it, or a violation. ``other_trades`` are those that only the killed run has, explained likewise."""

    cases: int
    kills: int
    starts: int
    hours: int
    trades: int
    identical: int
    missed_entries: int
    explained: int
    other_trades: int
    duplicate_orders: int
    longest_naked_s: float
    longest_naked_after_start_s: float
    violations: tuple[str, ...]
    seed: int
    seconds_undisturbed: float
    seconds: float


def kill_loop(plan: Plan, progress: Progress = lambda phase, done, total: None) -> KillReport:
    """Play both runs and compare them."""
    began_s = time.monotonic()
    calm = asyncio.run(_run(plan, {}, lambda done: progress("undisturbed", done, plan.days * 24)))
    torn = asyncio.run(_run(plan, planned(plan, calm), lambda done: progress("killed", done, plan.days * 24)))
    found = compared(calm, torn)
    violations = [*torn.journal_problems, *(f"calm run: {each}" for each in calm.journal_problems), *found.different]
    violations += [f"{each} was accepted more than once" for each in torn.repeated]
    if torn.late_stops:
        violations.append(f"{torn.late_stops} times a position was without a stop beyond the deadline")
    return KillReport(
        cases=torn.kills,
        kills=torn.kills,
        starts=torn.starts,
        hours=plan.days * 24,
        trades=len(calm.trades),
        identical=found.identical,
        missed_entries=len(torn.missed),
        explained=found.explained,
        other_trades=found.others,
        duplicate_orders=len(torn.repeated),
        longest_naked_s=round(torn.longest_naked_s, 3),
        longest_naked_after_start_s=round(torn.longest_naked_after_start_s, 3),
        violations=tuple(violations),
        seed=plan.seed,
        seconds_undisturbed=round(calm.seconds, 1),
        seconds=round(time.monotonic() - began_s, 1),
    )


def planned(plan: Plan, calm: Outcome) -> dict[int, list[float]]:
    """By hour of the run: real seconds from the hour's begin to a kill, and from a start to the next one.

    Both are within what the same hour, and a start, took undisturbed.
    """
    busy_hours = calm.busy_hours
    chance = random.Random(plan.seed)  # noqa: S311 - the same seed, the same kills
    hours = plan.days * 24
    anywhere = chance.sample(range(hours), min(hours, plan.kills))
    chosen = chance.sample(busy_hours, min(len(busy_hours), plan.kills // 2))
    chosen += [hour for hour in anywhere if hour not in chosen][: plan.kills - len(chosen)]
    return {
        hour: [
            chance.uniform(0, calm.hours_s[hour]),
            *([chance.uniform(0, calm.start_s)] if chance.random() < AGAIN_SHARE else []),
        ]
        for hour in sorted(chosen)
    }


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How many undisturbed trades are the same and how many a missed entry explains, how many the killed run has of
    its own, and what nothing explains."""

    identical: int
    explained: int
    others: int
    different: list[str]


def compared(calm: Outcome, torn: Outcome) -> Comparison:
    """A missed entry is written down some time after the close that signalled it, and explains what that close
    brought and everything after it."""
    wanted = {(trade.symbol, trade.signal_ms): trade for trade in calm.trades}
    found = {(trade.symbol, trade.signal_ms): trade for trade in torn.trades}
    first_missed_ms = min((at_ms - at_ms % HOUR_MS for _, at_ms, _ in (*torn.missed, *calm.missed)), default=None)
    identical, explained, others, different = 0, 0, 0, []
    for key in sorted(wanted.keys() | found.keys(), key=lambda key: key[1]):
        if wanted.get(key) == found.get(key):
            identical += 1
        elif first_missed_ms is None or key[1] + HOUR_MS < first_missed_ms:
            different.append(f"undisturbed {wanted.get(key)}, killed {found.get(key)}")
        elif key in wanted:
            explained += 1
        else:
            others += 1
    return Comparison(identical=identical, explained=explained, others=others, different=different)


# --- one run ----------------------------------------------------------------------------------
@contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kill-loop-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def _run(plan: Plan, kills: dict[int, list[float]], progress: Callable[[int], None]) -> Outcome:
    options = ["--data", str(shipped_folder()), "--start", str(plan.start_ms), "--speed", "0"]
    options += ["--symbols", ",".join(plan.symbols), "--balance", str(plan.balance), "--seed", "1"]
    with _folder() as folder, launched(*options) as exchange:
        bot = RealBot(exchange, folder, config=plan.config, rules=plan.rules)
        try:
            return await Hours(plan, bot, kills).play(progress)
        finally:
            await bot.close()


class Hours:
    """One run: hours pass, and the bot answers each."""

    def __init__(self, plan: Plan, bot: RealBot, kills: dict[int, list[float]]) -> None:
        self._plan = plan
        self._bot = bot
        self._kills = kills
        self._now_ms = plan.start_ms
        self._killed = 0
        self._kill_at_s: float | None = None
        self._again: list[float] = []
        self._incomplete: list[int] = []
        self._start_s = 0.0
        self._hours_s: list[float] = []

    async def play(self, progress: Callable[[int], None]) -> Outcome:
        began_s = time.monotonic()
        bot, plan = self._bot, self._plan
        bot.spawn()
        await bot.until(bot.is_ready, "get ready")
        self._start_s = bot.exposure.start_s = time.monotonic() - began_s
        for hour in range(plan.days * 24):
            hour_s = time.monotonic()
            self._again = list(self._kills.get(hour, ()))
            self._kill_at_s = time.monotonic() + self._again.pop(0) if self._again else None
            close_ms = plan.start_ms - plan.start_ms % HOUR_MS + (hour + 1) * HOUR_MS
            await self._move(close_ms + SETTLE_MS)
            await self._answered(close_ms)
            self._hours_s.append(time.monotonic() - hour_s)
            await self._die_if_not_yet(close_ms)
            if hour % LOG_EVERY_HOURS == 0 or hour in self._kills:
                await bot.ledger.read(bot.simulation)
            progress(hour + 1)
        await bot.ledger.read(bot.simulation)
        return self._outcome(time.monotonic() - began_s)

    async def _move(self, until_ms: int) -> None:
        """To this moment, stopping at everything that happens to the account until it was answered."""
        reached = False
        while not reached:
            self._now_ms, reached = await self._bot.simulation.advance(until_ms - self._now_ms, until_event=True)
            if not reached:
                await self._answered(None)

    async def _answered(self, close_ms: int | None) -> None:
        """Until the close is decided on (None: there is none) and the journal remembers what the account has."""
        bot = self._bot
        until_s = time.monotonic() + ANSWER_S_MAX
        whole_s, looked_s, decided = time.monotonic() + WHOLE_S_MAX, 0.0, close_ms is None
        while True:
            await self._die_when_due()
            if bot.has_written() or time.monotonic() - looked_s > LOOK_EVERY_S:
                looked_s = time.monotonic()
                wanted = len(self._plan.symbols) if time.monotonic() < whole_s else 1
                decided = decided or bot.has_decided((close_ms or 0) - HOUR_MS, wanted)
                if decided or not bot.is_flat:
                    shown = await bot.look()
                    if decided and bot.agrees(shown):
                        if wanted == 1:
                            self._incomplete.append(self._now_ms)
                        return
            if time.monotonic() > until_s:
                raise NoAnswer(f"at {self._now_ms} the bot does not come to rest: {bot.records()}")
            await asyncio.sleep(POLL_S)

    async def _die_when_due(self) -> None:
        while self._kill_at_s is not None and time.monotonic() >= self._kill_at_s:
            self._bot.kill()
            self._killed += 1
            self._bot.spawn()
            self._kill_at_s = time.monotonic() + self._again.pop(0) if self._again else None
            if self._kill_at_s is not None:
                await asyncio.sleep(max(0.0, self._kill_at_s - time.monotonic()))

    async def _die_if_not_yet(self, close_ms: int) -> None:
        """A kill that was planned for later than the bot needed comes while it has nothing to do."""
        if self._kill_at_s is not None:
            await asyncio.sleep(max(0.0, self._kill_at_s - time.monotonic()))
            await self._die_when_due()
        if self._killed and not self._bot.is_ready():
            await self._bot.until(self._bot.is_ready, "get ready again")
            await self._answered(close_ms)

    def _outcome(self, seconds: float) -> Outcome:
        bot = self._bot
        trades = [
            Traded(
                trade.symbol,
                trade.signal_candle_ms,
                trade.side,
                trade.quantity,
                trade.entry_price,
                trade.exit_price,
                trade.exit_reason,
                trade.net_pnl,
            )
            for trade in queries.trades(bot.store, status="CLOSED", limit=100_000)
        ]
        rows = list(bot.store.connection.execute("SELECT symbol, at_ms, trigger, reason FROM transitions ORDER BY id"))
        report = verify(bot.db)
        problems = [f"journal: {p.table} {p.row_id}: {p.what}" for p in report.problems]
        problems += [f"replay: {d.table} {d.id}: {d.what}" for d in replay(bot.db).differences]
        first_ms = self._plan.start_ms - self._plan.start_ms % HOUR_MS
        return Outcome(
            trades=trades,
            missed=[
                *((symbol, at_ms, reason) for symbol, at_ms, trigger, reason in rows if trigger in MISSED),
                *(("*", at_ms, "CLOSE_INCOMPLETE") for at_ms in self._incomplete),
            ],
            busy_hours=sorted(
                {(at_ms - first_ms) // HOUR_MS - 1 for _, at_ms, _, _ in rows if at_ms >= first_ms + HOUR_MS}
            ),
            kills=self._killed,
            starts=bot.starts,
            repeated=bot.ledger.repeated(),
            longest_naked_s=bot.exposure.longest_s,
            longest_naked_after_start_s=bot.exposure.longest_after_start_s,
            late_stops=bot.exposure.late,
            journal_problems=problems,
            start_s=self._start_s,
            hours_s=self._hours_s,
            seconds=seconds,
        )
