"""What the kernel reads and keeps: columns and terms of a variant, and the places of its state.

Prices are counted in units of ``10**-digits``, quantities in lots (steps of a market order), money in
hundred-millionths of a USDT. Floats only choose; where a choice is too close for them, the evaluator does it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

TARGETS_MAX = 6
NEVER = 2**62
"""A time that does not come, a rate that was not recorded."""

(
    NOW, SOUGHT, NEXT, WALLET, EQUITY, HIGH, FLOOR, PERIODS_FLOOR, BEHIND, LOSSES, RESTING, OPENED, POSITION_MS,
    FUNDINGS, MISSING, AMBIGUOUS, READINGS, ROWS, FILLS, DAY, DAY_AT, DAY_START, DAY_MADE, WEEK_AT, WEEK_START,
    WEEK_MADE, MONTH_AT, MONTH_START, MONTH_MADE, PHASE, CALL, BAR, LOTS, HELD, ENTRY, PLANNED, STOP, FEES, REALIZED,
    FUNDING, ASKED_MS, LEAVES, FIRST_FILL, TOLD, MONTH_ENDS, SHARES,
) = range(46)  # fmt: skip
"""Places of the state. ``TOLD``: twice the number of the bar that prices were told of last, and one more for its end.
``MONTH_ENDS``: the first day of the next month.
From ``SHARES`` on: lots of each target; 0: closed, -1: all that is left."""
STATE_SIZE = SHARES + TARGETS_MAX

MARGIN, LIQUIDATION = 0, 1
"""Places of what is kept in floats, in USDT."""

FLAT, HELD_NOW = 0, 1
DONE, ASKS, LEFT, LIVES, ENDED = 0, 1, 2, 3, 4
"""What a part of it comes back with: no signal is left, rules must be asked, the evaluator must do this one."""

ROW = 11
(
    R_CALL, R_NUMBER, R_LOTS, R_PLANNED, R_ENTRY, R_STOP, R_REASON, R_CLOSED_MS, R_REALIZED, R_FEES, R_FUNDING,
) = range(ROW)  # fmt: skip
STOP_HIT, TARGET_HIT = 1, 2
REASONS = (
    "", "STOP_HIT", "TARGET_HIT", "EXIT_WHEN", "REGIME_ENDED", "OPPOSITE_SIGNAL", "TRAIL_CROSSED", "EXIT_AFTER_CANDLES",
)  # fmt: skip
"""By their number in a row."""


class Prices(NamedTuple):
    """Bars by number. ``sound``: a bar of one possible candle (of another the lows are -1); ``rate``: of the funding at
    its open, or NEVER."""

    open: Any
    high: Any
    low: Any
    close: Any
    mark_open: Any
    mark_high: Any
    mark_low: Any
    mark_close: Any
    sound: Any
    rate: Any


class Calls(NamedTuple):
    """Signals by number. Prices are rounded; -1: the exchange does not take it. Targets of one after the other."""

    at_ms: Any
    sign: Any
    kind: Any
    stop: Any
    targets: Any


class Kinds(NamedTuple):
    """Sides of strategies by number. Portions, in millionths, of one after the other."""

    risk: Any
    open_max: Any
    risk_most: Any
    targets: Any
    portions: Any
    losses: Any
    rest_ms: Any
    asks: Any


class Brackets(NamedTuple):
    floor: Any
    cap: Any
    ratio: Any
    cumulative: Any


class Terms(NamedTuple):
    """Whole numbers first, then floats. Money of ``a`` units x ``b`` lots is ``a * b * gain / gain_of``."""

    calls: int
    step_ms: int
    start_ms: int
    bars: int
    to_ms: int
    hold_ms: int
    tick: int
    price_min: int
    lots_min: int
    lots_max: int
    slip_buy: int
    slip_sell: int
    slip_of: int
    gain: int
    gain_of: int
    fee: int
    fee_of: int
    rate_of: int
    money_max: int
    price_max: int
    by_mark: int
    losses: int
    rest_ms: int
    skips_short: int
    unit: float
    lot: float
    risk: float
    cost: float
    margin: float
    exposure: float
    symbol_exposure: float
    stop_min: float
    stop_max: float
    liquidation: float
    leverage: float
    notional_max: float
    notional_min: float
    risk_most: float
    same_most: float
    book_most: float
    book_step: float
    book_lot: float
    factor_buy: float
    factor_sell: float
    depth: float
    bound_up: float
    bound_down: float
    taker: float
    day: float
    week: float
    month: float
    drawdown: float
