"""The bot's own audit: it verifies its journal, compares stored candles, and hands its head out daily (R74)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from exchange.errors import CandlesMissing, ExchangeError
from fsm.core.model.records import Flag
from fsm.live.context.entry_blocks import CANDLES_DIFFER
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.news import VERIFICATION_NEWS
from fsm.live.process.supervisor import Supervisor
from fsm.live.trading.market import Market
from indicators.candle import Candle, Timeframe
from store import queries
from store.errors import StoreError
from store.heads import HEAD, journalled_head, newest_heads
from store.rows import CandleRow
from store.seals import altered_candles
from store.verify import Report

HEAD_KEY = "head "
"""Begins the keys of messages that only say where the journal ends."""

log = structlog.get_logger("fsm.own_audit")

COMPARED = 99
"""Newest candles of a series that are compared; up to 99 cost a weight of 1 (GET /fapi/v1/klines, checked 2026-11)."""

ASKING_MAX = 10
TRY_AGAIN_S = 61.0
"""A hole in what the exchange tells is confirmed after a minute."""

TRIES_MAX = 10
DAY_MS = 86_400_000
LOOK_S = 20.0

Say = Callable[..., None]


class OwnAudit:
    """``say`` tells the operator; ``verify`` is the full check, None where there is none to make."""

    def __init__(
        self, live: LiveContext, say: Say, supervisor: Supervisor, verify: Callable[[], Report] | None
    ) -> None:
        self._live = live
        self._say = say
        self._supervisor = supervisor
        self.verify = verify
        self._asking = asyncio.Semaphore(ASKING_MAX)
        self._unanswered: list[tuple[Market, Timeframe]] = []
        self._is_silent = False
        self._handed_out_ms: int | None = None

    # --- the whole journal --------------------------------------------------------------------
    async def verify_all(self) -> None:
        """The whole journal, in a thread: a problem blocks entries and nothing else."""
        if self.verify is None:
            return
        report = await asyncio.to_thread(self.verify)
        if report.fine:
            self._live.journal.journal.mark_verified(report.verified)
            return
        block_entries(self._live, report)
        self._say("reconciliation_anomaly", VERIFICATION_NEWS, key="verification")

    # --- stored candles -----------------------------------------------------------------------
    async def compare(self, markets: Iterable[Market]) -> None:
        """Before anything is decided: stored candles against their seals, and the newest against the exchange's."""
        series = [(market, timeframe) for market in markets for timeframe in market.rules.timeframes]
        for market, timeframe in series:
            try:
                self._compare_seals(market.symbol, timeframe)
            except Exception as error:  # what cannot be read is named by the verification; the others go on (R64)
                self._supervisor.caught("candles", error, market.symbol)
            await asyncio.sleep(0)
        await self._ask(series)

    def _compare_seals(self, symbol: str, timeframe: Timeframe) -> None:
        altered = altered_candles(self._live.journal.store.connection, symbol, timeframe.value)
        if altered:
            stretch, what = altered[0]
            self._differs(symbol, timeframe, "SEAL", f"{stretch}: {what}", len(altered))

    async def compare_later(self) -> None:
        """What the exchange did not answer at the start, or only with a hole that is not confirmed yet."""
        for _ in range(TRIES_MAX):
            if not self._unanswered:
                return
            await self._live.clock.sleep(TRY_AGAIN_S)
            waiting, self._unanswered = self._unanswered, []
            await self._ask(waiting)
        names = sorted({market.symbol for market, _ in self._unanswered})
        log.warning("candles_not_compared", reason="UNREACHABLE", symbols=names)

    async def _ask(self, series: list[tuple[Market, Timeframe]]) -> None:
        self._is_silent = False
        await asyncio.gather(*(self._ask_for(market, timeframe) for market, timeframe in series))

    async def _ask_for(self, market: Market, timeframe: Timeframe) -> None:
        """One series. Where the exchange does not answer for one, nobody waits for it to answer for the others."""
        try:
            async with self._asking:
                if not self._is_silent:
                    await self._compare_one(market, timeframe)
                    return
        except CandlesMissing as error:
            log.info("candles_not_compared", symbol=market.symbol, reason="UNCONFIRMED", error=str(error))
        except ExchangeError as error:
            self._is_silent = True
            self._live.on_trouble(market.symbol, error)
        except StoreError:
            raise
        except Exception as error:
            self._supervisor.caught("candles", error, market.symbol)
            return
        self._unanswered.append((market, timeframe))

    async def _compare_one(self, market: Market, timeframe: Timeframe) -> None:
        store, symbol = self._live.journal.store, market.symbol
        carried = market.carried(store)
        rows = queries.candles(store, symbol, timeframe.value, limit=COMPARED)
        stored = {row.open_time_ms: row for row in rows if (timeframe, row.open_time_ms) not in carried}
        if not stored:
            return
        since_ms = rows[0].open_time_ms
        fresh = await self._live.exchange.candles(symbol, timeframe, start_ms=since_ms, limit=COMPARED)
        pairs = [(stored[candle.open_time_ms], candle) for candle in fresh if candle.open_time_ms in stored]
        wrong = [(row, candle) for row, candle in pairs if not _same(row, candle)]
        if wrong:
            row, candle = wrong[0]
            what = f"close {row.close} here, {candle.close} there on the one that opened {_utc(row.open_time_ms)}"
            self._differs(symbol, timeframe, "EXCHANGE", what, len(wrong))

    def _differs(self, symbol: str, timeframe: Timeframe, reason: str, what: str, count: int) -> None:
        live, at_ms = self._live, self._live.clock.now_ms()
        live.blocks.set(symbol, CANDLES_DIFFER)
        live.journal.note(at_ms, CANDLES_DIFFER, reason, symbol=symbol, timeframe=timeframe, count=count, first=what)
        log.error("candles_differ", symbol=symbol, reason=reason, timeframe=timeframe, count=count, first=what)
        than = "as they were written" if reason == "SEAL" else "what the exchange tells now"
        text = (
            f"{symbol}: stored {timeframe} candles are not {than} ({what}). It opens nothing; what is open is managed. "
            f"Run `audit verify`; put a backup back, or `resume {symbol}` if you know why."
        )
        self._say("reconciliation_anomaly", text, key=f"candles differ {symbol} {timeframe} {reason} {at_ms}")

    # --- the head -----------------------------------------------------------------------------
    async def hand_out_daily(self) -> None:
        """Once a UTC day of the exchange's clock, as soon as it has begun or the bot runs again."""
        while True:
            now_ms = self._live.clock.now_ms()
            if now_ms // DAY_MS > self._last_ms(now_ms) // DAY_MS:
                self.hand_out()
            await self._live.clock.sleep(LOOK_S)

    def _last_ms(self, now_ms: int) -> int:
        """When it was done last; before the first time, when the first run began."""
        if self._handed_out_ms is None:
            store = self._live.journal.store
            last = next(iter(queries.system_events(store, kind=HEAD, limit=1)), None)
            last = last or queries.first_event(store, "START")
            self._handed_out_ms = now_ms if last is None else last.at_ms
        return self._handed_out_ms

    def hand_out(self) -> str:
        """Write down where all chains stand, and give the hash of that row to the operator and to a file."""
        live, at_ms = self._live, self._live.clock.now_ms()
        with live.journal.together():
            live.journal.note(at_ms, HEAD, "DAILY", heads=newest_heads(live.journal.journal).heads)
            head = journalled_head(live.journal.journal)
            text = f"The journal's head is {head.hash}. Keep it: `audit verify --head` shows if the journal is cut off."
            self._say("lifecycle", text, key=f"{HEAD_KEY}{head.id}")
        self._handed_out_ms = at_ms
        log.info("journal_head", reason="DAILY", id=head.id, hash=head.hash)
        _append(Path(f"{live.journal.store.path}.heads"), f"{_utc(at_ms)} {head.id} {head.hash}\n")
        return head.hash


def block_entries(live: LiveContext, report: Report) -> None:
    """A journal that is not as it was written: no entries until the operator has looked; protection goes on."""
    engine, at_ms = live.engine, live.clock.now_ms()
    first = report.problems[0]
    halt = engine.account.halt or Flag(f"JOURNAL_DAMAGED {first.table} {first.row_id}", at_ms)
    engine.set_account(at_ms, "VERIFICATION_FAILED", paused=engine.account.paused, halt=halt)
    log.error("verification_failed", reason="JOURNAL_DAMAGED", problems=len(report.problems), first=first.what)


def database_verifier(path: Path) -> Callable[[], Report]:
    """The full check of a database, for a thread."""
    from store.verify import verify

    return lambda: verify(path)


def _append(path: Path, line: str) -> None:
    """Failing to is told and no more: the message and the journal have it as well."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(opened, line.encode())
        finally:
            os.close(opened)
    except OSError as error:
        log.warning("head_not_written", reason=type(error).__name__, path=str(path), error=str(error))


def _same(row: CandleRow, candle: Candle) -> bool:
    ours = (row.open, row.high, row.low, row.close, row.volume)
    return ours == (candle.open, candle.high, candle.low, candle.close, candle.volume)


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
