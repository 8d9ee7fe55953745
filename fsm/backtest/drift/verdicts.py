"""Says of each strategy whether it still does what was promised of it, in figures and in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from fsm.backtest.drift.promise import Live, LiveTrade
from fsm.backtest.drift.sequential import LIVE_MIN, TRADES_MIN, Found, Promise, first_alarm, stands, threshold


class Standing(StrEnum):
    """What the test says of a strategy."""

    HOLDS = "HOLDS"
    DRIFTED = "DRIFTED"
    TOO_FEW_LIVE = "TOO_FEW_LIVE"
    TOO_FEW_PROMISED = "TOO_FEW_PROMISED"
    NOT_PROMISED = "NOT_PROMISED"


class DriftAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """The trade after which the test passed its threshold, and the newest ``trades`` at that moment."""

    trade_id: str
    at_ms: int
    trades: int
    mean_r: float


class DriftVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy. ``statistic`` is T now, ``threshold`` what it must pass; ``words`` say it to a person."""

    strategy: str
    standing: Standing
    promised_trades: int
    promised_mean_r: float | None
    promised_deviation_r: float | None
    promised_trades_a_year: float | None
    live_trades: int
    live_mean_r: float | None
    left_out: int
    statistic: float | None
    threshold: float | None
    alarm: DriftAlarm | None
    words: str


def verdicts(promises: Mapping[str, Promise], live: Live, alarms_a_year: float) -> list[DriftVerdict]:
    """Of every strategy that was promised or has traded."""
    names = sorted({*promises, *live.trades, *live.left_out})
    return [
        _verdict(
            name, promises.get(name), live.trades.get(name, []), live.left_out.get(name, 0), alarms_a_year
        )
        for name in names
    ]  # fmt: skip


def _verdict(
    name: str, promise: Promise | None, trades: Sequence[LiveTrade], left_out: int, alarms_a_year: float
) -> DriftVerdict:
    passed: float | None = None
    now: Found | None = None
    alarm: DriftAlarm | None = None
    if promise is None:
        standing = Standing.NOT_PROMISED
    elif not promise.is_enough:
        standing = Standing.TOO_FEW_PROMISED
    elif len(trades) < LIVE_MIN:
        standing = Standing.TOO_FEW_LIVE
    else:
        passed = threshold(promise, alarms_a_year)
        alarm, current = _rounds(promise, trades, passed)
        now = stands(promise, [trade.r for trade in current])
        standing = Standing.HOLDS if alarm is None else Standing.DRIFTED
    enough = promise is not None and promise.is_enough
    found = DriftVerdict(
        strategy=name,
        standing=standing,
        promised_trades=0 if promise is None else len(promise.r),
        promised_mean_r=None if promise is None else round(promise.mean, 6),
        promised_deviation_r=round(promise.deviation, 6) if promise is not None and enough else None,
        promised_trades_a_year=None if promise is None else round(promise.trades_a_year, 3),
        live_trades=len(trades),
        live_mean_r=round(sum(trade.r for trade in trades) / len(trades), 6) if trades else None,
        left_out=left_out,
        statistic=None if now is None else round(now.statistic, 6),
        threshold=None if passed is None else round(passed, 6),
        alarm=alarm,
        words="",
    )
    return msgspec.structs.replace(found, words=_words(found, alarms_a_year))


def _rounds(
    promise: Promise, trades: Sequence[LiveTrade], passed: float
) -> tuple[DriftAlarm | None, Sequence[LiveTrade]]:
    """The alarm, which stands until the test is begun anew, and the trades of the round that it or the test is in."""
    current: Sequence[LiveTrade] = trades
    for current in _split(trades, promise.round_trades):
        at = first_alarm(promise, [trade.r for trade in current], passed)
        if at is not None:
            seen = stands(promise, [trade.r for trade in current[: at + 1]])
            assert seen is not None, "there are enough trades for an alarm"
            ended = current[at]
            told = DriftAlarm(
                trade_id=ended.id, at_ms=ended.closed_ms, trades=seen.trades, mean_r=round(seen.mean, 6)
            )  # fmt: skip
            return told, current[: at + 1]
    return None, current


def _split(trades: Sequence[LiveTrade], length: int) -> Iterator[Sequence[LiveTrade]]:
    for first in range(0, len(trades), length):
        yield trades[first : first + length]


def _words(found: DriftVerdict, alarms_a_year: float) -> str:
    name = found.strategy
    match found.standing:
        case Standing.NOT_PROMISED:
            return f"{name}: the backtest has no trade of it, so nothing is promised."
        case Standing.TOO_FEW_PROMISED:
            return f"{name}: {found.promised_trades} trades in the backtest promise nothing; it takes {TRADES_MIN}."
        case Standing.TOO_FEW_LIVE:
            return f"{name}: live trades so far: {found.live_trades}; fewer than {LIVE_MIN} say nothing."
        case Standing.HOLDS:
            return (
                f"{name} does what its backtest promised, as far as {found.live_trades} trades tell: "
                f"{found.live_mean_r:+.2f} R each, {found.promised_mean_r:+.2f} promised."
            )
    assert found.alarm is not None, "it has drifted"
    return (
        f"{name} no longer does what its backtest promised: {found.alarm.trades} trades up to {found.alarm.trade_id} "
        f"made {found.alarm.mean_r:+.2f} R each, {found.promised_mean_r:+.2f} promised by {found.promised_trades}. "
        f"A strategy that has not changed is called so about {_often(alarms_a_year)}."
    )


def _often(alarms_a_year: float) -> str:
    years = 1 / alarms_a_year
    return f"once in {years:.0f} years" if years >= 1.5 else f"{alarms_a_year:.1f} times a year"
