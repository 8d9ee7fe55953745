"""What the operator is told in the chat: how things stand, in few short lines, read from the database alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from fsm.journal.explain import NothingDecided, explain
from fsm.live.operator.pictures import NothingToDraw, Picture, day_picture, symbol_picture
from store import queries
from store.database import Store, open_store
from store.views import PositionRow
from web import documents

DAY_MS = 86_400_000
DAYS_SHOWN, DAYS_MAX = 7, 60
TRADES_SHOWN, TRADES_MAX = 5, 25
SPANS = ((1, "1 day"), (7, "7 days"), (30, "30 days"))

HELP = """/status – equity, positions and their stops, what stops entries
/why SYMBOL – why it did, or did not, trade
/chart SYMBOL – its candles, with entry, stop and targets of what is open
/regime – the regime of each symbol
/profit – results of 1, 7 and 30 days, and of all
/daily [DAYS] – the result of each day
/trades [COUNT] – the newest trades
/limits – what of each budget is used and left
/pause [SYMBOL] – no entries; positions stay managed
/resume [SYMBOL] – ends a pause, a halt or a quarantine
/halt [SYMBOL] – no entries, and HALT once flat; asks for a code
/flatten [SYMBOL] – closes at the market and halts; asks for a code
/release SYMBOL – hands a position over to you, its stop stays; asks for a code
/ack – you have read what is critical: it is not told again
/reduce SYMBOL AMOUNT – closes a part (25% or a quantity); asks for a code
/move_stop SYMBOL PRICE [looser WHY] – moves the stop; asks for a code
/move_target SYMBOL PRICE [NUMBER] – moves a target; asks for a code
/confirm CODE – carries out what asked for the code
/help – this"""


class Unanswerable(Exception):
    """There is no answer to what was asked; the text says what to ask instead."""


class Answers:
    """Answers the commands that change nothing. Each call reads for itself, so it may run in any thread."""

    def __init__(self, path: Path, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._now_ms = now_ms
        self._known: dict[str, Callable[[Store, tuple[str, ...]], str]] = {
            "status": self._status,
            "why": self._why,
            "regime": self._regimes,
            "profit": self._profit,
            "daily": self._daily,
            "trades": self._trades,
            "limits": self._limits,
        }

    def knows(self, command: str) -> bool:
        return command in self._known

    def answer(self, command: str, words: tuple[str, ...]) -> str:
        """Raises Unanswerable and StoreError."""
        with open_store(self._path, mode="read") as store:
            return self._known[command](store, words)

    def chart(self, words: tuple[str, ...]) -> Picture:
        """Raises Unanswerable and StoreError."""
        with open_store(self._path, mode="read") as store:
            if not words:
                known = ", ".join(row.symbol for row in queries.latest_decisions(store))
                raise Unanswerable(f"/chart needs a symbol, one of {known or 'none yet'}")
            try:
                return symbol_picture(store, words[0].upper())
            except NothingToDraw as error:
                raise Unanswerable(str(error)) from error

    def day(self) -> Picture:
        """How the day that has just ended went. Raises NothingToDraw and StoreError."""
        with open_store(self._path, mode="read") as store:
            return day_picture(store, self._now_ms())

    def at_stake(self, symbol: str | None) -> str:
        """The positions that a flatten would close."""
        with open_store(self._path, mode="read") as store:
            held = [row for row in queries.positions(store) if symbol in (None, row.symbol)]
        return "\n".join(map(_held, held)) or "no position is open there"

    def _status(self, store: Store, words: tuple[str, ...]) -> str:
        return "\n".join(self._standing(store))

    def _standing(self, store: Store) -> Iterator[str]:
        identity, equity, account = store.identity, queries.latest_equity(store), queries.account(store)
        name = identity.environment if identity else "no exchange yet"
        yield f"{name}, {_when(self._now_ms())} UTC"
        if equity is not None:
            yield f"equity {equity.equity:,.2f} USDT, balance {equity.balance:,.2f}"
        if equity is not None and account is not None and account.equity_high > 0:
            below_pct = max(Decimal(0), (account.equity_high - equity.equity) / account.equity_high * 100)
            yield f"{below_pct:.2f} % below its highest, {account.equity_high:,.2f}"
        if account is not None and account.halt_cause:
            yield f"HALTED by {account.halt_cause} since {_when(account.halt_since_ms)}"
        if account is not None and account.paused:
            yield "PAUSED by the operator"
        positions = queries.positions(store)
        yield from map(_held, positions)
        if not positions:
            yield "no position is open"
        for row in queries.symbols(store):
            blocked = [f"halted by {row.halt_cause}"] if row.halt_cause else []
            blocked += [f"quarantined: {row.quarantine_cause}"] if row.quarantine_cause else []
            blocked += ["paused"] if row.paused else []
            if blocked:
                yield f"{row.symbol} {row.state}: {', '.join(blocked)}"

    def _why(self, store: Store, words: tuple[str, ...]) -> str:
        if not words:
            known = ", ".join(row.symbol for row in queries.latest_decisions(store))
            raise Unanswerable(f"/why needs a symbol, one of {known or 'none yet'}")
        try:
            found = explain(store, words[0].upper())
        except NothingDecided as error:
            raise Unanswerable(f"{error}; {error.hint}") from error
        alike = f", alike for {found.count} candles" if found.count > 1 else ""
        return "\n".join(
            (
                f"{found.symbol}: {found.outcome}, {found.reason}",
                found.summary,
                f"at the close of {_when(found.closed_ms)} UTC{alike}",
            )
        )

    def _regimes(self, store: Store, words: tuple[str, ...]) -> str:
        rows = queries.latest_decisions(store)
        lines = [f"{row.symbol} {row.regime or 'unknown'} ({row.confidence or 0:.2f}): {row.reason}" for row in rows]
        return "\n".join(lines) or "nothing was decided yet"

    def _profit(self, store: Store, words: tuple[str, ...]) -> str:
        now_ms = self._now_ms()
        spans = [(now_ms - days * DAY_MS, name) for days, name in SPANS]
        return "\n".join(self._result(store, since_ms, name) for since_ms, name in [*spans, (0, "all")])

    def _result(self, store: Store, since_ms: int, name: str) -> str:
        found = queries.pnl(store, since_ms=since_ms, until_ms=self._now_ms() + 1)
        return f"{name}: {found.net_pnl:+,.2f} USDT, {found.trades} trades, {found.wins} won"

    def _daily(self, store: Store, words: tuple[str, ...]) -> str:
        count = _count(words, DAYS_SHOWN, DAYS_MAX)
        today_ms = self._now_ms() // DAY_MS * DAY_MS
        since_ms = today_ms - (count - 1) * DAY_MS
        days = dict(queries.pnl(store, since_ms=since_ms, until_ms=self._now_ms() + 1).days)
        shown = [since_ms + number * DAY_MS for number in range(count)]
        return "\n".join(f"{_day(at_ms)}  {days.get(at_ms, Decimal(0)):+,.2f}" for at_ms in shown)

    def _trades(self, store: Store, words: tuple[str, ...]) -> str:
        rows = queries.trades(store, limit=_count(words, TRADES_SHOWN, TRADES_MAX))
        lines = []
        for row in rows:
            result = row.status.lower() if row.net_pnl is None else f"{row.net_pnl:+,.2f} USDT"
            gained = "" if row.r is None else f", {row.r:+.2f} R"
            ended = f", {row.exit_reason}" if row.exit_reason else ""
            lines.append(f"{_when(row.opened_ms)} {row.symbol} {row.side} {row.strategy_used}: {result}{gained}{ended}")
        return "\n".join(lines) or "no trade yet"

    def _limits(self, store: Store, words: tuple[str, ...]) -> str:
        found = documents.limits(store)
        lines = [
            f"{loss.name.removeprefix('LIMIT_').lower()}: {loss.used:,.2f} of {loss.allowed:,.2f} USDT lost,"
            f" {loss.left:,.2f} left"
            for loss in found.losses
        ]
        rooms = (
            ("positions", found.open_positions),
            ("open risk", found.open_risk),
            ("risk together", found.correlated_risk),
            ("risk of one direction", found.same_direction_risk),
            ("exposure", found.exposure),
        )
        lines += [f"{name}: {_plain(room.used)} of {_plain(room.allowed)}" for name, room in rooms if room is not None]
        lines += [f"at a limit: {found.action}"] if found.action else []
        return "\n".join(lines) or "the bot has not said yet"


def _held(row: PositionRow) -> str:
    stop = f"stop {row.stop_price:f}" if row.protected_ms is not None and row.stop_price is not None else "NO STOP YET"
    result = "" if row.upnl is None else f", {row.upnl:+,.2f} USDT"
    entry = "" if row.entry is None else f" from {float(row.entry):.10g}"
    return f"{row.symbol} {row.side} {row.size:f}{entry}, {stop}{result}"


def _plain(amount: Decimal) -> str:
    """Whole numbers without cents."""
    return f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"


def _count(words: tuple[str, ...], usual: int, most: int) -> int:
    if not words:
        return usual
    if not words[0].isascii() or not words[0].isdigit() or not 1 <= int(words[0][:6]) <= most:
        raise Unanswerable(f"a number from 1 to {most} is meant, not {words[0][:20]!r}")
    return int(words[0])


def _when(at_ms: int | None) -> str:
    return "" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M}"


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d}"
