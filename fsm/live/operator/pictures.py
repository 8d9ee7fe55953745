"""Pictures for the chat, from the database alone: a symbol's candles with what is open, and how a day went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import msgspec

from fsm.core.model.records import SymbolRecord, Trade
from fsm.live.operator.canvas import HIGH, Canvas, Ink
from indicators.candle import Timeframe
from store import queries
from store.database import Store
from store.rows import CandleRow
from store.views import EquityPoint, PnlSummary

WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 10, 130, 46, 34
"""Margins; prices stand on the right."""

CANDLES = 96
DAYS = 30
DAY_MS = 86_400_000
LINES = 5


class Picture(msgspec.Struct, frozen=True):
    """A PNG and the words below it."""

    png: bytes
    caption: str


class NothingToDraw(Exception):
    """There is no picture; the text says why."""


def symbol_picture(store: Store, symbol: str) -> Picture:
    """The newest candles of the shortest timeframe, with entry, stop and targets of what is open."""
    timeframe = _shortest(store, symbol)
    candles = [] if timeframe is None else queries.candles(store, symbol, timeframe.value, limit=CANDLES)
    if timeframe is None or not candles:
        raise NothingToDraw(f"there are no candles of {symbol[:24]} yet")
    trade = _open_trade(store, symbol)
    levels = [] if trade is None else list(_levels(trade))
    prices = [each for row in candles for each in (float(row.low), float(row.high))]
    frame = _Frame(min([*prices, *(price for price, _, _ in levels)]), max([*prices, *(p for p, _, _ in levels)]))
    canvas = Canvas(WIDTH, HEIGHT)
    last_ms = candles[-1].open_time_ms + timeframe.ms
    canvas.text(LEFT, 10, f"{symbol} {timeframe.value}  {_when(last_ms)} UTC", Ink.TEXT, scale=3)
    frame.draw(canvas, _when(candles[0].open_time_ms), _when(last_ms))
    for place, row in enumerate(candles):
        _candle(canvas, frame, place, len(candles), row)
    for price, ink, name in levels:
        canvas.dashes(LEFT, WIDTH - RIGHT, frame.y(price), ink)
        canvas.text(LEFT + 4, frame.y(price) - HIGH * 2 - 3, f"{name} {_short(price)}", ink)
    held = "nothing is open there" if trade is None else _held(trade)
    return Picture(canvas.png(), f"{symbol} {_short(float(candles[-1].close))}, {held}")


def day_picture(store: Store, now_ms: int) -> Picture:
    """Equity of the last thirty days, and what the day that has just ended brought."""
    points = queries.equity(store, since_ms=now_ms - DAYS * DAY_MS, until_ms=now_ms + 1)
    if len(points) < 2:
        raise NothingToDraw("equity was not read often enough yet")
    day_ms = now_ms // DAY_MS * DAY_MS - DAY_MS
    result = queries.pnl(store, since_ms=day_ms, until_ms=day_ms + DAY_MS)
    values = [float(point.equity) for point in points]
    frame, canvas = _Frame(min(values), max(values)), Canvas(WIDTH, HEIGHT)
    title = f"{_when(day_ms)[:10]}  {result.net_pnl:+,.2f} USDT"
    canvas.text(LEFT, 10, title, Ink.DOWN if result.net_pnl < 0 else Ink.UP, scale=3)
    frame.draw(canvas, _when(points[0].at_ms), _when(points[-1].at_ms))
    _curve(canvas, frame, points)
    return Picture(canvas.png(), day_in_words(day_ms, result, points[-1].equity, len(queries.positions(store))))


def day_in_words(day_ms: int, result: PnlSummary, equity: Decimal, open_now: int) -> str:
    """What stands below the picture of a day."""
    trades = "1 trade" if result.trades == 1 else f"{result.trades} trades"
    held = "1 position" if open_now == 1 else f"{open_now} positions"
    day = f"{_when(day_ms)[:10]}: {result.net_pnl:+,.2f} USDT, {trades}, {result.wins} won"
    return f"{day}; equity {equity:,.2f} USDT, {held} open."


class _Frame:
    """Where values lie on the paper, with a little air above and below."""

    def __init__(self, lowest: float, highest: float) -> None:
        air = (highest - lowest) * 0.06 or abs(highest) * 0.01 or 1.0
        self.lowest, self.highest = lowest - air, highest + air

    def y(self, value: float) -> int:
        share = (self.highest - value) / (self.highest - self.lowest)
        return round(TOP + share * (HEIGHT - TOP - BOTTOM))

    def draw(self, canvas: Canvas, first: str, last: str) -> None:
        for line in range(LINES):
            value = self.lowest + (self.highest - self.lowest) * (line + 0.5) / LINES
            canvas.box(LEFT, self.y(value), WIDTH - RIGHT, self.y(value), Ink.GRID)
            canvas.text(WIDTH - RIGHT + 8, self.y(value) - HIGH, _short(value), Ink.TEXT)
        canvas.text(LEFT, HEIGHT - BOTTOM + 12, first, Ink.TEXT)
        canvas.text(WIDTH - RIGHT - len(last) * 12, HEIGHT - BOTTOM + 12, last, Ink.TEXT)


def _x(place: int, many: int) -> int:
    return LEFT + round((place + 0.5) * (WIDTH - LEFT - RIGHT) / many)


def _candle(canvas: Canvas, frame: _Frame, place: int, many: int, row: CandleRow) -> None:
    opened, closed, x = float(row.open), float(row.close), _x(place, many)
    ink = Ink.UP if closed >= opened else Ink.DOWN
    canvas.box(x, frame.y(float(row.high)), x, frame.y(float(row.low)), ink)
    half = max((WIDTH - LEFT - RIGHT) // many // 2 - 1, 1)
    canvas.box(x - half, frame.y(opened), x + half, frame.y(closed), ink)


def _curve(canvas: Canvas, frame: _Frame, points: Sequence[EquityPoint]) -> None:
    """On a true axis of time."""
    began_ms, span_ms = points[0].at_ms, max(points[-1].at_ms - points[0].at_ms, 1)
    spots = [
        (LEFT + (point.at_ms - began_ms) * (WIDTH - LEFT - RIGHT) // span_ms, frame.y(float(point.equity)))
        for point in points
    ]
    for (x1, y1), (x2, y2) in pairwise(spots):
        canvas.line(x1, y1, x2, y2, Ink.ENTRY)


def _levels(trade: Trade) -> Iterator[tuple[float, Ink, str]]:
    yield float(trade.entry_price or trade.entry_price_planned), Ink.ENTRY, "entry"
    if trade.stop is not None:
        yield float(trade.stop.trigger_price), Ink.STOP, "stop"
    for target in trade.targets:
        if not target.done:
            yield float(target.trigger_price), Ink.TARGET, f"target {target.index + 1}"


def _open_trade(store: Store, symbol: str) -> Trade | None:
    row = queries.symbol(store, symbol)
    trade = None if row is None else msgspec.json.decode(row.record_json, type=SymbolRecord).trade
    return trade if trade is not None and trade.first_fill_ms is not None else None


def _held(trade: Trade) -> str:
    stop = "NO STOP YET" if trade.stop is None else f"stop {trade.stop.trigger_price.normalize():f}"
    entry = trade.entry_price or trade.entry_price_planned
    return f"{trade.side} {trade.open_quantity.normalize():f} from {_short(float(entry))}, {stop}"


def _shortest(store: Store, symbol: str) -> Timeframe | None:
    found = [Timeframe(row.timeframe) for row in queries.anchors(store) if row.symbol == symbol]
    return min(found, key=lambda timeframe: timeframe.ms, default=None)


def _short(value: float) -> str:
    """Seven digits say enough on a picture."""
    return f"{Decimal(f'{value:.7g}').normalize():f}"


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M}"
