"""What happened beside trading: system events, errors, alerts; and market data and documents that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from peewee import SQL, fn

from store.database import Store
from store.models import CHAINED, Alert, Candle, Document, ErrorEntry, SeriesAnchor, SystemEvent
from store.queries.fetching import fetch, fetch_one
from store.rows import AlertRow, AnchorRow, CandleRow, DocumentRow, ErrorRow, SystemEventRow
from store.sqlite import reading
from store.tables import TABLES


def system_events(
    store: Store,
    *,
    kind: str | None = None,
    without: str | None = None,
    since_ms: int = 0,
    by_ms: int | None = None,
    after_id: int = 0,
    limit: int = 100,
) -> list[SystemEventRow]:
    """Events of the system, newest first; of one kind, or of all but one."""
    query = SystemEvent.select().where((SystemEvent.at_ms >= since_ms) & (SystemEvent.id > after_id))
    if kind is not None:
        query = query.where(SystemEvent.kind == kind)
    if without is not None:
        query = query.where(SystemEvent.kind != without)
    if by_ms is not None:
        query = query.where(SystemEvent.at_ms <= by_ms)
    return fetch(store, query.order_by(SystemEvent.at_ms.desc(), SystemEvent.id.desc()).limit(limit), SystemEventRow)


def first_event(store: Store, kind: str) -> SystemEventRow | None:
    """The oldest event of a kind."""
    query = SystemEvent.select().where(SystemEvent.kind == kind).order_by(SystemEvent.id).limit(1)
    return fetch_one(store, query, SystemEventRow)


def events_of(store: Store, kinds: Sequence[str]) -> list[SystemEventRow]:
    """Every event of these kinds, oldest first."""
    return fetch(
        store, SystemEvent.select().where(SystemEvent.kind.in_(kinds)).order_by(SystemEvent.id), SystemEventRow
    )


def errors(store: Store, *, since_ms: int = 0, limit: int = 100) -> list[ErrorRow]:
    """What went wrong, newest first."""
    query = ErrorEntry.select().where(ErrorEntry.at_ms >= since_ms)
    return fetch(store, query.order_by(ErrorEntry.at_ms.desc(), ErrorEntry.id.desc()).limit(limit), ErrorRow)


def alerts(store: Store, *, limit: int = 100) -> list[AlertRow]:
    """Messages for the operator, newest first."""
    return fetch(store, Alert.select().order_by(Alert.id.desc()).limit(limit), AlertRow)


def alerts_after(store: Store, row_id: int, *, limit: int = 100) -> list[AlertRow]:
    """Messages that were added after one, in order."""
    return fetch(store, Alert.select().where(Alert.id > row_id).order_by(Alert.id).limit(limit), AlertRow)


def candles(
    store: Store,
    symbol: str,
    timeframe: str,
    *,
    since_ms: int = 0,
    until_ms: int | None = None,
    limit: int | None = None,
) -> list[CandleRow]:
    """Candles that open in [since_ms, until_ms), oldest first; with ``limit``, the newest so many of them."""
    query = Candle.select().where(
        (Candle.symbol == symbol) & (Candle.timeframe == timeframe) & (Candle.open_time_ms >= since_ms)
    )
    if until_ms is not None:
        query = query.where(Candle.open_time_ms < until_ms)
    if limit is None:
        return fetch(store, query.order_by(Candle.open_time_ms), CandleRow)
    return fetch(store, query.order_by(Candle.open_time_ms.desc()).limit(limit), CandleRow)[::-1]


def each_candle(store: Store, symbol: str, timeframe: str) -> Iterator[tuple[int, str, str, str, str, str]]:
    """Every candle of a series, oldest first and one at a time: open time, open, high, low, close, volume as stored."""
    sql = "SELECT open_time_ms, open, high, low, close, volume FROM candles WHERE symbol = ? AND timeframe = ?"
    with reading(store.path):
        yield from store.connection.execute(f"{sql} ORDER BY open_time_ms", (symbol, timeframe))


def anchors(store: Store) -> list[AnchorRow]:
    """Where every series begins."""
    return fetch(store, SeriesAnchor.select().order_by(SeriesAnchor.symbol, SeriesAnchor.timeframe), AnchorRow)


def series_anchor(store: Store, symbol: str, timeframe: str) -> int | None:
    """Open time of the first candle that a series was fed."""
    wanted = (SeriesAnchor.symbol == symbol) & (SeriesAnchor.timeframe == timeframe)
    row = fetch_one(store, SeriesAnchor.select().where(wanted), AnchorRow)
    return None if row is None else row.first_ms


def document(store: Store, name: str) -> DocumentRow | None:
    """What the daemon left under a name."""
    return fetch_one(store, Document.select().where(Document.name == name), DocumentRow)


def counts(store: Store) -> dict[str, int]:
    """Rows of every table. Chained tables are numbered without gaps, so their newest id says it at once."""
    with reading(store.path):
        return {
            table.name: (
                model.select(fn.COALESCE(fn.MAX(model._meta.primary_key), 0))
                if model in CHAINED
                else model.select(fn.COUNT(SQL("*")))
            )
            .bind(store.database)
            .scalar()
            for model, table in TABLES.items()
        }
