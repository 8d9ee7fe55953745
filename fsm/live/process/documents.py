"""What the daemon leaves for its readers: the machine's table, the config in force, the limits, how it is doing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fsm.config import Config
from fsm.core.engine import Engine
from fsm.core.limits import Budget
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.transition_table import MEANING, TABLE, mermaid
from fsm.core.shared_risk import independent_positions, shared_risk
from fsm.live.context.clock import Clock
from fsm.live.context.live_context import LiveContext
from fsm.live.process.supervisor import Tended
from fsm.live.process.timekeeping import machine_offset_ms
from fsm.live.trading.protection_timer import StopSeen
from indicators.correlation import independent


def machine() -> dict[str, Any]:
    """The table that the engine runs on, and its picture."""
    return {
        "states": [state.value for state in TABLE],
        "triggers": {trigger.value: meaning for trigger, meaning in MEANING.items()},
        "table": {
            state.value: {trigger.value: cell.value for trigger, cell in row.items()} for state, row in TABLE.items()
        },
        "mermaid": mermaid(),
    }


def config(given: Config, live: LiveContext) -> dict[str, Any]:
    """Everything in force, secrets masked."""
    return {
        **given.shown(),
        "config": live.active.settings.plain(),
        "config_hash": live.active.config_hash,
        "rules_hash": live.active.rules.hash,
    }


def limits(live: LiveContext, budgets: tuple[Budget, ...], correlation: Decimal | None) -> dict[str, Any]:
    """Each budget with what is used and what is left, in USDT and counts; ``correlation`` is the mean of all pairs."""
    engine, policy = live.engine, live.engine.policy
    portfolio = engine.portfolio()
    open_risk_max = portfolio.equity * policy.risk.max_open_risk_pct / 100
    exposure_max = portfolio.equity * policy.risk.max_exposure_pct / 100
    losses = [
        {
            "name": budget.cause.value,
            "period": budget.period,
            "allowed": budget.allowed,
            "used": budget.used,
            "left": budget.allowed - budget.used,
        }
        for budget in budgets
    ]
    return {
        "equity": portfolio.equity,
        "losses": losses,
        "open_positions": {"allowed": policy.risk.max_open_positions, "used": portfolio.open_positions},
        "open_risk": {"allowed": open_risk_max, "used": portfolio.open_risk},
        "exposure": {"allowed": exposure_max, "used": portfolio.exposure},
        **_shared(engine, portfolio, correlation),
        "action": policy.limits.action.value,
        "unexplained": engine.equity.unexplained if engine.equity is not None and engine.equity.is_doubtful else None,
        "halt": None if engine.account.halt is None else engine.account.halt.cause,
        "paused": engine.account.paused,
    }


def _shared(engine: Engine, portfolio: Portfolio, mean: Decimal | None) -> dict[str, Any]:
    """How far what is open adds up, and what config.yaml allows of it, if it says so."""
    policy, held = engine.policy, engine.held()
    together = shared_risk(held, engine.correlation).together
    caps: dict[str, Any] = {}
    if policy.risk.max_correlated_risk_pct is not None:
        allowed = portfolio.equity * policy.risk.max_correlated_risk_pct / 100
        caps["correlated_risk"] = {"allowed": allowed, "used": together}
    if policy.risk.max_same_direction_risk_pct is not None:
        allowed = portfolio.equity * policy.risk.max_same_direction_risk_pct / 100
        caps["same_direction_risk"] = {"allowed": allowed, "used": max(portfolio.risk_long, portfolio.risk_short)}
    return {
        **caps,
        "together": {
            "correlation": mean,
            "positions_max": policy.risk.max_open_positions,
            "independent_max": None if mean is None else independent(policy.risk.max_open_positions, mean),
            "positions": len(held),
            "independent": independent_positions(held, together),
            "risk": together,
        },
    }


def health(
    live: LiveContext,
    *,
    decided_ms: int | None,
    equity_age_ms: int,
    failures: int,
    tasks: Mapping[str, Tended],
    files_looked_ms: int | None,
    pid: int,
    stops: Mapping[str, StopSeen],
) -> dict[str, Any]:
    """Signs of life. ``wall_ms`` and ``stops`` are told as this machine's clock shows now, whatever it was set to in
    the meantime, so that readers on this machine know how old they are. ``clock``: how it stands to the exchange's."""
    return {
        "pid": pid,
        "wall_ms": live.clock.wall_ms(),
        "stops": _stops(live.clock, stops),
        "clock": _clock(live.clock),
        "speed": live.clock.speed,
        "stream": live.loop_lag.stream,
        "loop_lag_ms": live.loop_lag.take_lag_ms(),
        "decided_ms": decided_ms,
        "equity_age_ms": equity_age_ms,
        "exchange_failures": failures,
        "output": live.loop_lag.losses(),
        "tasks": tasks,
        "files_looked_wall_ms": files_looked_ms,
        "open": live.engine.active(),
        "protection": {**live.times.summary(), **live.times.histogram()},
    }


def _stops(clock: Clock, stops: Mapping[str, StopSeen]) -> dict[str, dict[str, Any]]:
    set_by_ms = clock.wall_ms() - clock.real_ms()
    return {
        symbol: {
            "client_id": seen.client_id,
            "trigger_price": seen.trigger_price,
            "verified_wall_ms": seen.verified_real_ms + set_by_ms,
        }
        for symbol, seen in stops.items()
    }


def _clock(clock: Clock) -> dict[str, Any] | None:
    """None in a simulation, whose clock is read and not measured."""
    latest, offset_ms = clock.measured, machine_offset_ms(clock)
    if latest is None or offset_ms is None:
        return None
    age_ms = clock.real_ms() - (latest.at_ms + latest.offset_ms)
    return {
        "offset_ms": offset_ms,
        "measured_ms": clock.now_ms() - age_ms,
        "measured_age_ms": age_ms,
        "round_trip_ms": latest.round_trip_ms,
    }
