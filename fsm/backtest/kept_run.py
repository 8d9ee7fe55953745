"""What a finished run keeps of itself in its database: its figures, what it assumed, and which data it had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fsm.backtest.history import Market
from fsm.backtest.result import Result, iso
from fsm.config.settings import Settings
from fsm.journal.engine_journal import to_json
from indicators.candle import Timeframe
from indicators.holes import Hole
from indicators.series import Series
from store.batch import Batch
from store.database import Store
from store.errors import StoreError
from store.rows import DocumentRow

NAME = "backtest"
ASSUMED = ("simulation", "risk", "limits", "account", "orders")


class NotARun(StoreError):
    """A database in which no finished backtest kept its figures."""


class KeptRun(msgspec.Struct, frozen=True, kw_only=True):
    """``summary`` has the fields of ``backtest --json`` but the seconds it took, which are no part of a result."""

    summary: dict[str, Any]
    balance: str
    assumed: dict[str, dict[str, Any]]
    data: list[dict[str, Any]]


def kept_run(result: Result, settings: Settings, markets: Iterable[Market]) -> Batch:
    """The document that a run ends with."""
    summary = {name: value for name, value in result.to_json().items() if name != "seconds"}
    plain = settings.plain()
    run = KeptRun(
        summary=summary,
        balance=str(result.balance),
        assumed={part: plain.get(part, {}) for part in ASSUMED},
        data=_data(list(markets)),
    )
    return Batch(documents=[DocumentRow(name=NAME, at_ms=result.to_ms, body_json=to_json(run))])


def read_kept_run(store: Store) -> KeptRun:
    """Raises NotARun where there is none."""
    from store import queries  # whoever only writes needs none

    found = queries.document(store, NAME)
    if found is None:
        raise NotARun(
            f"{store.path} keeps no finished backtest",
            "run `backtest --name NAME` or `backtest --db FILE`: earlier versions did not keep their figures",
        )
    return msgspec.json.decode(found.body_json, type=KeptRun)


def _data(markets: Sequence[Market]) -> list[dict[str, Any]]:
    """The candles of the symbols that were traded, and then of others that the rules read."""
    found: dict[tuple[str, Timeframe], dict[str, Any]] = {}
    for market in markets:
        for timeframe, series in sorted(market.by_timeframe.items(), key=lambda item: item[0].ms):
            found[market.symbol, timeframe] = {**_row(series, market.holes), "mark": market.feed.has_mark}
    for market in markets:
        for read, series in market.others.series.items():
            if series.length:
                found.setdefault((read.symbol, read.timeframe), _row(series, market.others.holes[read.symbol]))
    return list(found.values())


def _row(series: Series, holes: Iterable[Hole]) -> dict[str, Any]:
    carried = sum(hole.count for hole in holes if hole.timeframe is series.timeframe)
    return {
        "symbol": series.symbol,
        "timeframe": series.timeframe.value,
        "from": iso(int(series.open_time_ms[0])),
        "to": iso(int(series.open_time_ms[-1]) + series.timeframe.ms),
        "candles": series.length - carried,
        "missing": carried,
    }
