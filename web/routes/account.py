"""Answers about the account as a whole: health, summary, equity and results."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from store import queries
from store.database import Store
from store.rows import EquityRow
from store.views import AccountRow
from web import documents
from web.access import Access
from web.endpoint import Context, Endpoint, NoQuery
from web.views import BudgetView, Day, EquitySeries, Flag, Health, Mode, Periods, Pnl, Point, Summary

DAY_MS = 86_400_000
STALE_MS = 60_000
"""A daemon that has not written its pulse for so long does not work as it should."""

_ZERO = Decimal(0)
_RANGES = {"1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
Range = Literal["1d", "7d", "30d", "all"]


class PnlQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    range: Range = "all"


class EquityQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    range: Range = "all"
    points: Annotated[int, msgspec.Meta(ge=2, le=2_000)] = 500


def newest_ms(store: Store) -> int:
    """The newest time in the journal: "now" for everything that is counted back from, also in a simulated year."""
    equity, account = queries.latest_equity(store), queries.account(store)
    newest = queries.transitions(store, limit=1).rows
    pulse = documents.health(store).at_ms
    times = [equity.at_ms if equity else 0, account.at_ms if account else 0, newest[0].at_ms if newest else 0]
    return max(*times, pulse or 0)


def health(store: Store, query: NoQuery, context: Context) -> Health:
    running = context.database.daemon_running()
    pulse = documents.health(store)
    age_ms, clock, looked_ms = _pulse_age_ms(pulse, context), pulse.clock, pulse.files_looked_wall_ms
    stale = running and age_ms is not None and age_ms > STALE_MS
    return Health(
        status="stale" if stale else "ok" if running else "stopped",
        daemon_running=running,
        pulse_age_ms=age_ms,
        clock_offset_ms=clock.offset_ms if clock else None,
        clock_measured_ms=clock.measured_ms if clock else None,
        task_failures={name: task.failures for name, task in pulse.tasks.items() if task.failures},
        output_lines_dropped=sum(each.dropped for each in pulse.output.values()),
        output_errors=sum(each.errors for each in pulse.output.values()),
        files_looked_age_ms=None if looked_ms is None else max(0, context.wall_ms() - looked_ms),
        alerts_undelivered=bool(documents.telegram(store).undelivered),
    )


def summary(store: Store, query: NoQuery, context: Context) -> Summary:
    equity, account = queries.latest_equity(store), queries.account(store)
    identity, pulse, limits = store.identity, documents.health(store), documents.limits(store)
    periods = Periods.of(account)
    as_of_ms = newest_ms(store)
    result = queries.pnl(store, since_ms=0, until_ms=as_of_ms + 1)
    positions = queries.positions(store)
    risks = (queries.trade(store, position.trade_id) for position in positions)
    running = context.database.daemon_running()
    return Summary(
        as_of_ms=as_of_ms,
        environment=identity.environment if identity else "unknown",
        database_id=identity.database_id if identity else "",
        mode=_mode(account, running),
        daemon_running=running,
        paused=account.paused if account else False,
        halt=_halt(account),
        small_steps=periods.steps,
        equity=_fixed(equity.equity) if equity else None,
        balance=_fixed(equity.balance) if equity else None,
        available_balance=_fixed(equity.available_balance) if equity else None,
        unrealized_pnl=_fixed(equity.unrealized_pnl) if equity else None,
        equity_high=account.equity_high if account else None,
        drawdown_pct=_drawdown_pct(equity, account),
        net_pnl=result.net_pnl,
        trades=result.trades,
        wins=result.wins,
        open_positions=len(positions),
        open_risk_usdt=sum((trade.risk_usdt for trade in risks if trade is not None), _ZERO),
        day=periods.day,
        week=periods.week,
        month=periods.month,
        budgets=[BudgetView.of(loss) for loss in limits.losses],
        limit_action=limits.action,
        auto_resume=_auto_resume(store),
        stream=pulse.stream,
        speed=pulse.speed,
        loop_lag_ms=pulse.loop_lag_ms,
        pulse_age_ms=_pulse_age_ms(pulse, context),
        equity_age_ms=pulse.equity_age_ms,
        decided_ms=pulse.decided_ms,
        exchange_failures=pulse.exchange_failures,
        protection_deadline_ms=protection_deadline_ms(store),
        positions_room=limits.open_positions,
        risk_room=limits.open_risk,
        exposure_room=limits.exposure,
        correlated_risk_room=limits.correlated_risk,
        same_direction_risk_room=limits.same_direction_risk,
        together=limits.together,
    )


def equity(store: Store, query: EquityQuery, context: Context) -> EquitySeries:
    since_ms = _since_ms(query.range, newest_ms(store))
    high = _ZERO
    points = []
    for point in queries.equity(store, since_ms=since_ms, points=query.points):
        high = max(high, point.equity)
        below = float((high - point.equity) / high * 100) if high > 0 else 0.0
        points.append(
            Point(at_ms=point.at_ms, balance=point.balance, equity=point.equity, drawdown_pct=round(below, 4))
        )
    latest = queries.latest_equity(store)
    losses = documents.limits(store).losses if latest else ()
    floors = {loss.name: latest.equity - loss.left for loss in losses} if latest else {}
    worst = round(queries.worst_fall(store, since_ms=since_ms) * 100, 4)
    return EquitySeries(points=points, floors=floors, max_drawdown_pct=worst)


def pnl(store: Store, query: PnlQuery, context: Context) -> Pnl:
    until_ms = newest_ms(store) + 1
    result = queries.pnl(store, since_ms=_since_ms(query.range, until_ms), until_ms=until_ms)
    return Pnl(
        range=query.range,
        since_ms=result.since_ms,
        until_ms=result.until_ms,
        trades=result.trades,
        wins=result.wins,
        losses=result.losses,
        pnl=result.pnl,
        fees=result.fees,
        funding=result.funding,
        net_pnl=result.net_pnl,
        days=[Day(day_ms=day_ms, net_pnl=net) for day_ms, net in result.days],
    )


def protection_deadline_ms(store: Store) -> int | None:
    """How long a position may be without a confirmed stop, from the settings in force."""
    found = documents.setting(store, "protection", "deadline_ms")
    return found if isinstance(found, int) else None


def _auto_resume(store: Store) -> bool | None:
    found = documents.setting(store, "limits", "auto_resume")
    return found if isinstance(found, bool) else None


def _since_ms(wanted: Range, until_ms: int) -> int:
    return max(0, until_ms - _RANGES[wanted]) if wanted in _RANGES else 0


def _halt(account: AccountRow | None) -> Flag | None:
    if account is None or account.halt_cause is None:
        return None
    return Flag(account.halt_cause, account.halt_since_ms or 0)


def _mode(account: AccountRow | None, running: bool) -> Mode:
    if account is not None and account.halt_cause is not None:
        return "HALTED"
    if account is not None and account.paused:
        return "PAUSED"
    return "RUNNING" if running else "STOPPED"


def _fixed(amount: Decimal) -> Decimal:
    """The same amount, written without an exponent (a sum of nothing may be journalled as 0E-8)."""
    return Decimal(format(amount, "f")) if amount else _ZERO


def _drawdown_pct(equity: EquityRow | None, account: AccountRow | None) -> float | None:
    if equity is None or account is None or account.equity_high <= 0:
        return None
    return round(float(max(account.equity_high - equity.equity, _ZERO) / account.equity_high * 100), 4)


def _pulse_age_ms(pulse: documents.HealthDocument, context: Context) -> int | None:
    return None if pulse.wall_ms is None else max(0, context.wall_ms() - pulse.wall_ms)


READS = (
    Endpoint(
        path="/api/health",
        summary="Whether the window and the daemon work; open to everybody",
        answer=Health,
        read=health,
        access=Access.OPEN,
    ),
    Endpoint(path="/api/summary", summary="Equity, results, drawdown, limits and mode", answer=Summary, read=summary),
    Endpoint(
        path="/api/pnl",
        summary="Results of closed trades in a range, by UTC day",
        query=PnlQuery,
        answer=Pnl,
        read=pnl,
    ),
    Endpoint(
        path="/api/equity",
        summary="Equity over time with drawdown, and the equities at which limits stop entries",
        query=EquityQuery,
        answer=EquitySeries,
        read=equity,
    ),
)
