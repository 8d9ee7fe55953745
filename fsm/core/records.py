"""What the engine remembers of a symbol, its trade and the account; each journal row carries it afterwards.

Nothing here changes without a journal row: the newest row's record *is* the state, bit for bit.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from exchange.types import Side, WorkingType

ZERO = Decimal(0)


class State(StrEnum):
    """States of a symbol's machine (theory and table: fsm/core/states.py)."""

    IDLE = "IDLE"
    SIGNALLED = "SIGNALLED"
    ENTERING = "ENTERING"
    PROTECTED = "PROTECTED"
    EXITING = "EXITING"
    FLATTEN = "FLATTEN"
    HALT = "HALT"


class TradeSide(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def entry_side(self) -> Side:
        return Side.BUY if self is TradeSide.LONG else Side.SELL

    @property
    def exit_side(self) -> Side:
        return self.entry_side.opposite

    @property
    def sign(self) -> int:
        return 1 if self is TradeSide.LONG else -1


class HaltCause(StrEnum):
    """Why there are no entries; the cause says who may end it (LIMIT_* with their period, else the operator)."""

    LIMIT_DAY = "LIMIT_DAY"
    LIMIT_WEEK = "LIMIT_WEEK"
    LIMIT_MONTH = "LIMIT_MONTH"
    LIMIT_DRAWDOWN = "LIMIT_DRAWDOWN"
    OPERATOR = "OPERATOR"
    PERMISSION = "PERMISSION"
    REFUSALS = "REFUSALS"
    FOREIGN = "FOREIGN"


class Flag(msgspec.Struct, frozen=True):
    """A persisted condition of a symbol or the account: why, and since when (ms)."""

    cause: str
    since_ms: int


class EntryLeg(msgspec.Struct, frozen=True, kw_only=True):
    """The entry order. ``finished`` means it can fill no further (filled, cancelled, expired or refused)."""

    client_id: str
    type: str
    quantity: Decimal
    price: Decimal | None
    expires_ms: int | None
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    finished: bool = False
    attempt: int = 1


class StopLeg(msgspec.Struct, frozen=True, kw_only=True):
    """The one closePosition stop we want to rest. ``version`` rises each time its price moves."""

    client_id: str
    trigger_price: Decimal
    working_type: WorkingType
    version: int = 1
    attempt: int = 1


class TargetLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A take-profit. ``quantity`` None = closePosition (the last one); ``portion`` of the position, in (0, 1]."""

    index: int
    client_id: str
    trigger_price: Decimal
    portion: Decimal
    quantity: Decimal | None
    done: bool = False
    attempt: int = 1


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip, from signal to booking. Amounts in USDT, prices in USDT, quantities in the base asset.

    It keeps the rules and the regime that it was opened under.
    """

    id: str
    number: int
    symbol: str
    side: TradeSide
    strategy: str
    regime: str
    rules_hash: str
    config_hash: str
    signal_candle_ms: int
    opened_ms: int
    quantity: Decimal
    entry_price_planned: Decimal
    stop_price_initial: Decimal
    risk_usdt: Decimal
    entry: EntryLeg
    stop: StopLeg | None = None
    targets: tuple[TargetLeg, ...] = ()
    targets_sent: bool = False
    adopted: bool = False
    first_fill_ms: int | None = None
    protected_ms: int | None = None
    open_quantity: Decimal = ZERO
    entry_price: Decimal | None = None
    exit_price: Decimal | None = None
    closed_quantity: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    last_fill_id: int | None = None
    exit_reason: str | None = None
    exit_attempt: int = 0
    closed_ms: int | None = None
    net_pnl: Decimal | None = None
    r: Decimal | None = None
    flagged: str | None = None


class Refusals(msgspec.Struct, frozen=True):
    """The same refusal of an entry in a row: its code and how often."""

    code: int
    count: int


class SymbolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's machine with everything it remembers. ``trade`` is None when there is none under way.

    ``halt`` is a wish that outlives states (no entries; HALT once flat); ``quarantine`` blocks entries
    while protection and reconciliation go on; ``paused`` is the operator's. ``abandoned`` keeps the plan of
    an entry that was shown absent, should it turn up after all.
    """

    symbol: str
    state: State = State.IDLE
    trade: Trade | None = None
    trades_opened: int = 0
    halt: Flag | None = None
    quarantine: Flag | None = None
    paused: bool = False
    loss_streak: int = 0
    cooldown_until_ms: int = 0
    last_fill_id: int | None = None
    refusal: Refusals | None = None
    abandoned: Trade | None = None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One loss budget under way: ``key`` names the UTC day, ISO week or month; amounts at its start."""

    key: str
    start_equity: Decimal
    realized_pnl: Decimal = ZERO


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine remembers of the account as a whole. Transfers move the baselines, not the losses."""

    day: Period | None = None
    week: Period | None = None
    month: Period | None = None
    equity_high: Decimal = ZERO
    halt: Flag | None = None
    paused: bool = False
    transfers: Decimal = ZERO
