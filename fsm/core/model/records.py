"""What the engine remembers of a symbol, its trade and the account; each journal row carries it afterwards.

Nothing here changes without a journal row: the newest row's record *is* the state, bit for bit.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from exchange.types import Side, WorkingType

ZERO = Decimal(0)


class State(StrEnum):
    """States of a symbol's machine (theory and table: fsm/core/model/transition_table.py)."""

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
    EQUITY_STALE = "EQUITY_STALE"
    OPERATOR = "OPERATOR"
    PERMISSION = "PERMISSION"
    REFUSALS = "REFUSALS"
    FOREIGN = "FOREIGN"
    LIQUIDATED = "LIQUIDATED"
    PROTECTION = "PROTECTION"
    RESTORED = "RESTORED"


LIMIT_CAUSES = frozenset({HaltCause.LIMIT_DAY, HaltCause.LIMIT_WEEK, HaltCause.LIMIT_MONTH, HaltCause.LIMIT_DRAWDOWN})
"""Causes that a loss limit gives; all others are ended by the operator alone."""


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
    """A take-profit. ``quantity`` None = closePosition (the last one); ``portion`` of the position, in (0, 1].

    ``done``: it was hit, or there is too little to be its own order. ``attempt`` rises after a definite end,
    ``sent`` each time it is asked for. ``before`` is the order that this one replaces, until that was seen to have
    ended: it may still be hit meanwhile.
    """

    index: int
    client_id: str
    trigger_price: Decimal
    portion: Decimal
    quantity: Decimal | None
    done: bool = False
    attempt: int = 1
    before: str | None = None
    sent: int = 1

    @property
    def is_moving(self) -> bool:
        """The order that it replaces may still be hit."""
        return self.before is not None and not self.done

    @property
    def order_ids(self) -> tuple[str, ...]:
        """Of the order that is wanted, and of the one that it replaces."""
        return (self.client_id,) if self.before is None else (self.client_id, self.before)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the position that is being closed by hand: how much was asked for, and since when (real ms) looks have
    not shown its order."""

    quantity: Decimal
    unseen_ms: int | None = None


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip, from signal to booking. Amounts in USDT, prices in USDT, quantities in the base asset.

    It keeps the rules and the regime that it was opened under. ``protected_ms`` is when a stop was first read back;
    ``uncovered_ms`` since when no look has shown one (None while one rests). ``stop_before`` is the stop that the
    present one replaces, until that one is read back. ``closed_by_us`` is what ended orders of ours took out of the
    position; ``exit_refused`` the number of the closing order that was refused last; ``swept`` that our orders were
    cancelled after the position was gone. ``close_failed`` counts closing orders in a row that got nothing done, and
    ``close_form``, ``close_lot``, ``close_least`` and ``close_grain`` say how the next one is different
    (fsm/core/close_forms.py); ``unheard`` are closing orders whose answer nobody heard. ``no_position_ms``
    is when the present stop was refused for want of a position, ``unseen_ms`` since when looks show none (real ms) and
    nothing else says that it is closed. ``part`` is there while a part of it is being closed by hand, and
    ``part_number`` is the number of the newest command that asked for one: none is carried out twice.
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
    uncovered_ms: int | None = None
    stop_before: StopLeg | None = None
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
    exit_refused: int = 0
    close_failed: int = 0
    close_form: int = 0
    close_lot: Decimal | None = None
    close_least: Decimal | None = None
    close_grain: int = 0
    unheard: tuple[str, ...] = ()
    no_position_ms: int | None = None
    unseen_ms: int | None = None
    closed_by_us: Decimal = ZERO
    swept: bool = False
    closed_ms: int | None = None
    net_pnl: Decimal | None = None
    r: Decimal | None = None
    flagged: str | None = None
    part: Part | None = None
    part_number: int | None = None

    @property
    def target_ids(self) -> list[str]:
        """Client ids of the targets that may rest."""
        wanted = [target for target in self.targets if self.targets_sent and not target.done]
        return [client_id for target in wanted for client_id in target.order_ids]

    @property
    def piece_pending(self) -> bool:
        """A closing order was sent and not refused: it may be working, and its fate decides before the next."""
        return self.exit_attempt > self.exit_refused


class Refusals(msgspec.Struct, frozen=True):
    """The same refusal of an entry or its stop in a row: the exchange's code for it, and how often."""

    code: int | str
    count: int


class Tried(msgspec.Struct, frozen=True):
    """The latest retry: where things stood, when (ms of this machine), and how often in a row without progress."""

    at: str
    real_ms: int
    count: int


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """What is open in a symbol and is not ours, as seen last: signed quantity in the base asset, mark in USDT."""

    quantity: Decimal
    price: Decimal


class SymbolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's machine with everything it remembers. ``trade`` is None when there is none under way.

    ``halt`` is a wish that outlives states (no entries; HALT once flat); ``quarantine`` blocks entries
    while protection and reconciliation go on; ``paused`` is the operator's. ``abandoned`` keeps the plan of
    an entry whose end nobody has seen, should it turn up after all. ``signal_candle_ms`` is the candle of the
    latest signal: no candle gives two. ``close_unheard_ms`` is when a trade was booked of which a closing order may
    still arrive. ``foreign`` is what is open and not ours, and counts in every cap; ``released`` names the trade that
    was handed over to the user, whose position is foreign until it is flat. ``epoch`` is that of its client ids
    (exchange/client_ids.py), ``epoch_before`` the one before it, of which an entry may still turn up.
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
    signal_candle_ms: int | None = None
    tried: Tried | None = None
    close_unheard_ms: int | None = None
    foreign: Foreign | None = None
    released: Flag | None = None
    epoch: str = ""
    epoch_before: str | None = None

    def halted(self, cause: str, at_ms: int) -> SymbolRecord:
        """The record with a halt. The first cause stands, except that a limit's gives way to one of another kind."""
        if self.halt is not None and (self.halt.cause not in LIMIT_CAUSES or cause in LIMIT_CAUSES):
            return self
        return replace(self, halt=Flag(cause, at_ms))

    @property
    def is_exposed(self) -> bool:
        """An entry is out, or a position open, and no stop is known to rest."""
        if self.trade is None or self.state not in (State.ENTERING, State.PROTECTED):
            return False
        entered = self.state is State.ENTERING and self.trade.protected_ms is None
        return entered or self.trade.uncovered_ms is not None

    def quarantined(self, cause: str, at_ms: int) -> SymbolRecord:
        """The record with a quarantine; the first cause stands."""
        return self if self.quarantine is not None else replace(self, quarantine=Flag(cause, at_ms))

    def beside(self, quantity: Decimal, price: Decimal, at_ms: int) -> SymbolRecord:
        """The record of a symbol in which so much is open that is not ours: quarantined, unless it was handed over."""
        seen = replace(self, foreign=Foreign(quantity=quantity, price=price))
        return seen if self.released is not None else seen.quarantined("FOREIGN_POSITION", at_ms)


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One loss budget under way: ``key`` names the UTC day, ISO week or month; amounts at its start."""

    key: str
    start_equity: Decimal
    realized_pnl: Decimal = ZERO


class RouteDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """A position got no stop, so no entry before the way to place them is proved again: where, why, and since when.

    ``proof`` is what a test while flat has shown since: nothing yet (empty), that the route works, or that it is
    proved. It is over with the next stop that is confirmed.
    """

    symbol: str
    reason: str
    since_ms: int
    proof: str = ""


class SmallSteps(msgspec.Struct, frozen=True, kw_only=True):
    """The first ``trades`` since then are the smallest that can be traded, with one target; the next ``ramp_trades``
    grow to the full size. ``done`` are booked."""

    cause: str
    since_ms: int
    trades: int
    ramp_trades: int
    done: int = 0

    @property
    def is_smallest(self) -> bool:
        return self.done < self.trades

    @property
    def held_back(self) -> Decimal:
        """The part of the sized quantity that the next trade does without; all of it: it is the smallest."""
        left = self.trades + self.ramp_trades - self.done
        return Decimal(1) if self.is_smallest else Decimal(left) / (self.ramp_trades + 1)

    @property
    def is_over(self) -> bool:
        return self.done >= self.trades + self.ramp_trades


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine remembers of the account as a whole. Transfers move the baselines, not the losses.

    ``breach`` is the loss limit that is exceeded or whose period is not over yet; ``halt`` why nothing is entered,
    which may be the same or the operator's own wish. ``written_off_ms``: the latest fall that nobody explained in time,
    and that counts as a loss, happened after this moment. ``undone`` is the latest limit that was hit by a transfer,
    taken back when that became known. ``route`` is there while nobody knows whether stops can be placed, ``steps``
    while trades are smaller than they are sized. ``resting`` are strategies that enter nothing, by name.
    """

    day: Period | None = None
    week: Period | None = None
    month: Period | None = None
    equity_high: Decimal = ZERO
    halt: Flag | None = None
    breach: Flag | None = None
    paused: bool = False
    transfers: Decimal = ZERO
    written_off_ms: int | None = None
    undone: Flag | None = None
    route: RouteDoubt | None = None
    steps: SmallSteps | None = None
    epoch: str = ""
    resting: dict[str, Flag] = {}
