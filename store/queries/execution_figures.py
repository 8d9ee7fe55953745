"""What executions come to: times, slippage, costs against what sizing assumed, and signals that led to nothing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from store.database import Store
from store.queries.executions import Execution, FillQuality, SizingCosts, costs_assumed, executions
from store.sqlite import reading

_ZERO = Decimal(0)
FILLS_MIN = 10
"""Fewer say nothing about whether an assumption holds."""

FILLS_MAX = 200
"""The newest so many: an assumption is about the market as it is now."""

_QUANTILE = 2.326
"""Of the normal distribution at 99 %: one look in a hundred warns although the assumption holds exactly."""

_REFUSED = (
    "SELECT reason, sum(count), max(last_ms) FROM (SELECT * FROM (SELECT at_ms, symbol, outcome, reason, count,"
    " last_ms, guards_json FROM decisions UNION ALL SELECT at_ms, symbol, outcome, reason, count, last_ms, guards_json"
    " FROM decision_stretches) WHERE at_ms >= ? AND at_ms < ? AND (? IS NULL OR symbol = ?))"
    " WHERE outcome IN ('BLOCKED', 'HALTED') AND (guards_json != '[]') = ? GROUP BY reason ORDER BY 2 DESC, 1"
)
_ENDED = (
    "SELECT exit_reason, count(*), max(signal_candle_ms) FROM trades WHERE status = 'ABANDONED' AND opened_ms >= ?"
    " AND opened_ms < ? AND (? IS NULL OR symbol = ?) GROUP BY exit_reason ORDER BY 2 DESC, 1"
)
_FOREVER = 2**62


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How a figure is spread: ``worst`` is the highest."""

    count: int
    mean: float
    median: float
    p90: float
    worst: float


class Slipped(msgspec.Struct, frozen=True, kw_only=True):
    """Fills of one kind of order against what they were to be; above zero cost."""

    bp: Spread
    r_mean: float | None
    usdt: Decimal


class ExecutionGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that have ``key`` in common. Times in ms; ``delay_bp`` is a part of the entry's slippage. Percentages
    are of turnover, the notional that was bought and sold; None: there is none, or nothing was assumed."""

    key: str
    trades: int
    decided_to_sent: Spread | None
    sent_to_acknowledged: Spread | None
    sent_to_filled: Spread | None
    filled_to_protected: Spread | None
    entry: Slipped | None
    delay_bp: Spread | None
    stop: Slipped | None
    target: Slipped | None
    close: Slipped | None
    slippage_usdt: Decimal
    turnover: Decimal
    fees: Decimal
    fees_assumed: Decimal | None
    fee_pct: float | None
    maker_share: float | None
    funding: Decimal


class MissedSignals(msgspec.Struct, frozen=True, kw_only=True):
    """Signals that led to no position, or candles at which none was looked for, for one reason."""

    how: str
    reason: str
    count: int
    last_candle_ms: int | None


class SlippageAssumption(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the slippage that sizing assumes still holds ``at`` the entry or the stop. ``at_least_bp``: the mean is
    above it with 99 % certainty; None where there are too few fills to say."""

    at: str
    assumed_bp: float
    fills: int
    mean_bp: float | None
    at_least_bp: float | None
    holds: bool


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about how trades were carried out; ``warnings`` are sentences."""

    assumed: SizingCosts | None
    total: ExecutionGroup
    strategy: list[ExecutionGroup]
    symbol: list[ExecutionGroup]
    missed: list[MissedSignals]
    not_looked_for: list[MissedSignals]
    assumptions: list[SlippageAssumption]
    warnings: list[str]


def execution_report(
    store: Store,
    *,
    symbol: str | None = None,
    strategy: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> tuple[ExecutionReport, list[Execution]]:
    """The sums, and the trades that they are made of."""
    since_ms = since_ms or 0
    rows = list(executions(store, symbol=symbol, strategy=strategy, since_ms=since_ms, until_ms=until_ms))
    span = (since_ms, _FOREVER if until_ms is None else until_ms, symbol, symbol)
    costs = costs_assumed(store)
    assumptions = [] if costs is None else list(_assumptions(rows, costs))
    report = ExecutionReport(
        assumed=costs,
        total=_quality("all", rows),
        strategy=_grouped(rows, lambda row: row.strategy),
        symbol=_grouped(rows, lambda row: row.symbol),
        missed=[*_asked(store, "GUARD", _REFUSED, *span, 1), *_asked(store, "NOT_FILLED", _ENDED, *span)],
        not_looked_for=list(_asked(store, "NOT_LOOKED_FOR", _REFUSED, *span, 0)),
        assumptions=assumptions,
        warnings=[slippage_warning(each) for each in assumptions if not each.holds],
    )
    return report, rows


def _asked(store: Store, how: str, sql: str, *values: Any) -> Iterator[MissedSignals]:
    with reading(store.path):
        rows: list[Any] = list(store.connection.execute(sql, values))
    for reason, count, last_ms in rows:
        yield MissedSignals(how=how, reason=reason or "–", count=count, last_candle_ms=last_ms)


def _grouped(rows: Sequence[Execution], key: Callable[[Execution], str]) -> list[ExecutionGroup]:
    groups: dict[str, list[Execution]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [_quality(name, groups[name]) for name in sorted(groups)]


def _quality(key: str, rows: Sequence[Execution]) -> ExecutionGroup:
    turnover = sum((row.turnover for row in rows), _ZERO)
    fees = sum((row.fees for row in rows), _ZERO)
    made = sum((row.turnover * Decimal(str(row.maker_share)) for row in rows), _ZERO)
    assumed = [row.fees_assumed for row in rows if row.fees_assumed is not None]
    legs = [leg for row in rows for leg in (row.entry, row.stop, row.target, row.close) if leg is not None]
    return ExecutionGroup(
        key=key,
        trades=len(rows),
        decided_to_sent=_between(rows, lambda row: (row.decided_ms, row.sent_ms)),
        sent_to_acknowledged=_between(rows, lambda row: (row.sent_ms, row.acknowledged_ms)),
        sent_to_filled=_between(rows, lambda row: (row.sent_ms, row.filled_ms)),
        filled_to_protected=_between(rows, lambda row: (row.filled_ms, row.protected_ms)),
        entry=_slipped(row.entry for row in rows),
        delay_bp=_spread([row.delay_bp for row in rows if row.delay_bp is not None]),
        stop=_slipped(row.stop for row in rows),
        target=_slipped(row.target for row in rows),
        close=_slipped(row.close for row in rows),
        slippage_usdt=sum((leg.usdt for leg in legs), _ZERO),
        turnover=turnover,
        fees=fees,
        fees_assumed=sum(assumed, _ZERO) if len(assumed) == len(rows) else None,
        fee_pct=round(float(fees / turnover * 100), 6) if turnover else None,
        maker_share=round(float(made / turnover), 6) if turnover else None,
        funding=sum((row.funding for row in rows), _ZERO),
    )


def _between(rows: Iterable[Execution], of: Callable[[Execution], tuple[int | None, int | None]]) -> Spread | None:
    pairs = map(of, rows)
    return _spread([after - before for before, after in pairs if before is not None and after is not None])


def _slipped(legs: Iterable[FillQuality | None]) -> Slipped | None:
    there = [leg for leg in legs if leg is not None]
    spread = _spread([leg.bp for leg in there])
    if spread is None:
        return None
    in_r = [leg.r for leg in there if leg.r is not None]
    return Slipped(
        bp=spread,
        r_mean=round(statistics.fmean(in_r), 6) if in_r else None,
        usdt=sum((leg.usdt for leg in there), _ZERO),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    ordered = sorted(values)
    nine_tenths = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return Spread(
        count=len(ordered),
        mean=round(statistics.fmean(ordered), 4),
        median=round(statistics.median(ordered), 4),
        p90=round(nine_tenths, 4),
        worst=round(ordered[-1], 4),
    )


def _assumptions(rows: Sequence[Execution], costs: SizingCosts) -> Iterator[SlippageAssumption]:
    assumed_bp = float(costs.slippage_pct * 100)
    for at, legs in (("entry", [row.entry for row in rows]), ("stop", [row.stop for row in rows])):
        newest = [leg.bp for leg in legs if leg is not None][-FILLS_MAX:]
        enough = len(newest) >= FILLS_MIN
        bound = _mean_at_least(newest) if enough else None
        yield SlippageAssumption(
            at=at,
            assumed_bp=assumed_bp,
            fills=len(newest),
            mean_bp=round(statistics.fmean(newest), 4) if newest else None,
            at_least_bp=bound,
            holds=bound is None or bound <= assumed_bp,
        )


def _mean_at_least(values: Sequence[float]) -> float:
    """The lower end of a one-sided interval of the mean at 99 %, with Student's t (Cornish and Fisher's expansion)."""
    free, z = len(values) - 1, _QUANTILE
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return round(statistics.fmean(values) - t * statistics.stdev(values) / math.sqrt(len(values)), 4)


def slippage_warning(found: SlippageAssumption) -> str:
    """What no longer holds, what follows, and what to write into config.yaml."""
    assert found.mean_bp is not None, "what fails to hold has fills"
    noun = "Entries fill" if found.at == "entry" else "Stops fill"
    against = "at the signal" if found.at == "entry" else "at their trigger"
    return (
        f"{noun} {found.mean_bp:.1f} bp worse than {against} (mean of {found.fills}, at least {found.at_least_bp:.1f}"
        f" with 99 % certainty); sizing assumes {found.assumed_bp:.1f} bp. Losing trades lose more than they were"
        f" sized for: set risk.slippage_pct to {found.mean_bp / 100:.3f} or more in config.yaml."
    )


def r_lost(found: ExecutionGroup) -> float | None:
    """Mean R that a trade loses to slippage, all its orders together."""
    parts = [part for part in (found.entry, found.stop, found.target, found.close) if part is not None]
    lost = [part.r_mean * part.bp.count for part in parts if part.r_mean is not None]
    return round(sum(lost) / found.trades, 6) if lost and found.trades else None
