"""The shapes of the API's answers about money, positions, orders, trades and the journal. Amounts are decimal text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from store.rows import AlertRow
from store.trade_rows import TradeRow
from store.views import AccountRow, CommandRow, OrderRow
from web.documents import Bucket, Loss, Measured, Room, Together

Mode = Literal["RUNNING", "PAUSED", "HALTED", "STOPPED"]


class Flag(msgspec.Struct, frozen=True):
    """A condition that lasts: why, and since when."""

    cause: str
    since_ms: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the window and the daemon work. ``ok``: both; ``stopped``: no daemon writes; ``stale``: it lags.

    ``clock_offset_ms``: how far the exchange's clock is ahead of this machine's, and when that was last measured (on
    the exchange's clock); null in a simulation, whose clock is read and not measured. ``task_failures``: what has
    failed beside trading since the start, and was begun again. ``output_…``: what the terminal or log did not take.
    ``files_looked_age_ms``: since config.yaml and rules.yaml could be read last. ``alerts_undelivered``: messages wait.
    """

    status: Literal["ok", "stopped", "stale"]
    daemon_running: bool
    pulse_age_ms: int | None
    clock_offset_ms: int | None = None
    clock_measured_ms: int | None = None
    task_failures: dict[str, int] = {}
    output_lines_dropped: int = 0
    output_errors: int = 0
    files_looked_age_ms: int | None = None
    alerts_undelivered: bool = False


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day, ISO week or month under way."""

    key: str
    start_equity: Decimal
    realized_pnl: Decimal


class SmallSteps(msgspec.Struct, frozen=True, kw_only=True):
    """Trades are smaller than they are sized: so many of the smallest size, then ``ramp_trades`` that grow; ``done``
    are over."""

    cause: str
    since_ms: int
    trades: int
    ramp_trades: int
    done: int = 0


class Periods(msgspec.Struct, frozen=True):
    """The part of the account's record that says which periods, and which small steps, are under way."""

    day: Period | None = None
    week: Period | None = None
    month: Period | None = None
    steps: SmallSteps | None = None

    @classmethod
    def of(cls, account: AccountRow | None) -> Periods:
        return msgspec.json.decode(account.record_json, type=cls) if account else cls()


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A loss limit and what is left of it, never below zero."""

    cause: str
    period: str
    allowed: Decimal
    used: Decimal
    remaining: Decimal
    exceeded: bool

    @classmethod
    def of(cls, loss: Loss) -> BudgetView:
        return cls(
            cause=loss.name,
            period=loss.period,
            allowed=loss.allowed,
            used=loss.used,
            remaining=max(loss.left, Decimal(0)),
            exceeded=loss.exceeded,
        )


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand. ``as_of_ms`` is the newest time in the journal, on the exchange's clock.

    ``limit_action`` is what a breached limit does to open positions: BLOCK_ENTRIES or FLATTEN; None when unknown.
    """

    as_of_ms: int
    environment: str
    database_id: str
    mode: Mode
    daemon_running: bool
    paused: bool
    halt: Flag | None
    small_steps: SmallSteps | None
    equity: Decimal | None
    balance: Decimal | None
    available_balance: Decimal | None
    unrealized_pnl: Decimal | None
    equity_high: Decimal | None
    drawdown_pct: float | None
    net_pnl: Decimal
    trades: int
    wins: int
    open_positions: int
    open_risk_usdt: Decimal
    day: Period | None
    week: Period | None
    month: Period | None
    budgets: list[BudgetView]
    limit_action: str | None
    auto_resume: bool | None
    stream: str | None
    speed: float | None
    loop_lag_ms: float | None
    pulse_age_ms: int | None
    equity_age_ms: int | None
    decided_ms: int | None
    exchange_failures: int | None
    protection_deadline_ms: int | None
    positions_room: Room | None
    risk_room: Room | None
    exposure_room: Room | None
    correlated_risk_room: Room | None
    same_direction_risk_room: Room | None
    together: Together | None


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """A target of a position."""

    trigger_price: Decimal
    portion: Decimal
    done: bool


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """An open position with what protects it.

    ``r`` is the unrealised result in multiples of the risk. ``stop_verified_age_ms`` is how long ago, in real time, a
    look read the stop back from the exchange; None when the daemon has not said.
    """

    symbol: str
    state: str
    trade_id: str
    side: str
    size: Decimal
    entry: Decimal | None
    mark: Decimal | None
    upnl: Decimal | None
    r: float | None
    risk_usdt: Decimal | None
    stop_price: Decimal | None
    stop_client_order_id: str | None
    stop_verified_age_ms: int | None
    targets: list[TargetView]
    liquidation_price: Decimal | None
    strategy: str | None
    regime: str | None
    opened_ms: int
    protected_ms: int | None
    updated_ms: int | None


class Positions(msgspec.Struct, frozen=True):
    positions: list[PositionView]


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    limit: int
    offset: int
    orders: list[OrderRow]


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    limit: int
    offset: int
    trades: list[TradeRow]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The net result of one UTC day."""

    day_ms: int
    net_pnl: Decimal


class Pnl(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the trades closed in the range that ends at ``until_ms``, the newest time in the journal."""

    range: str
    since_ms: int
    until_ms: int
    trades: int
    wins: int
    losses: int
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    days: list[Day]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Equity at a time; ``drawdown_pct`` below the highest point of the series so far."""

    at_ms: int
    balance: Decimal
    equity: Decimal
    drawdown_pct: float


class EquitySeries(msgspec.Struct, frozen=True, kw_only=True):
    """``floors`` are the equities at which a loss limit stops entries, by its cause.

    ``max_drawdown_pct`` is that of every reading in the range, also of those that are not among the points.
    """

    points: list[Point]
    max_drawdown_pct: float
    floors: dict[str, Decimal]


class Alerts(msgspec.Struct, frozen=True):
    alerts: list[AlertRow]


class SystemEventView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened beside trading: start, stop, pause, halt, reload, heartbeat, or what was put right.

    ``facts`` is what was noted with it, and differs from kind to kind.
    """

    id: int
    at_ms: int
    kind: str
    symbol: str | None
    reason: str
    facts: Any


class SystemEvents(msgspec.Struct, frozen=True):
    events: list[SystemEventView]


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong."""

    id: int
    at_ms: int
    component: str
    symbol: str | None
    error: str
    details: Any


class Errors(msgspec.Struct, frozen=True):
    errors: list[ErrorView]


class Commands(msgspec.Struct, frozen=True):
    commands: list[CommandRow]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A command was left for the daemon. ``url`` says what became of it."""

    id: int
    url: str
    daemon_running: bool
    note: str


class CandleView(msgspec.Struct, frozen=True, kw_only=True):
    """A closed candle; ``time_ms`` is its open time."""

    time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Candles(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    timeframe: str
    candles: list[CandleView]


class ProtectionTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Time from first fill to confirmed stop over the newest trades; milliseconds on the exchange's clock.

    ``measured`` is the same in real time, since the daemon started.
    """

    trades: int
    unprotected: int
    p50_ms: int | None
    p99_ms: int | None
    max_ms: int | None
    deadline_ms: int | None
    buckets: list[Bucket]
    measured: Measured


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """What the page needs to know before it may ask: ``csrf`` comes only with a session."""

    token_set: bool
    may_read: bool
    may_act: bool
    csrf: str | None
