"""What a decision may look at beside the symbol's own record: settings, filters, and the portfolio around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec

from exchange.filters import SymbolFilters
from exchange.types import Bracket
from fsm.core.model.policy import Policy
from fsm.core.model.records import ZERO, State, SymbolRecord, Trade
from rules.compiled_rules import CompiledRules

EDITION = 2
"""Which machine decides. It rises where a release decides otherwise what an older one has journalled: the rows of each
run are decided again by the edition that it started with (system_events, kind START). 0.1.0 was the first."""

HANDS_EDITION = 2
"""The first that minds what a hand did: positions that are not ours, and closes that were not."""


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Money and risk at one instant, counting what is in flight. Amounts in USDT.

    ``available`` is what the exchange said less the margin of entries it has not seen yet;
    ``equity_age_ms`` is real time since the account was read. ``blocked`` names an account-wide reason
    for no entries (pause, halt cause), empty when there is none. ``trial``: an entry has the smallest size that can be
    traded, since it is to show whether stops can be placed. The five after it are measured where config.yaml caps them
    (fsm/core/shared_risk.py); ``risk_long`` and ``risk_short`` are the parts of ``open_risk``. ``entering``: so many
    other entries are out, each of which may still need its stop and its close. ``resting`` are strategies that enter
    nothing. ``held_back`` is the part of a sized quantity that small steps do not trade (fsm/core/small_steps.py); all
    of it: the smallest is, with one target.
    """

    equity: Decimal
    available: Decimal
    equity_age_ms: int
    open_positions: int
    open_risk: Decimal
    exposure: Decimal
    blocked: str = ""
    trial: bool = False
    risk_long: Decimal = ZERO
    risk_short: Decimal = ZERO
    correlated_risk: Decimal = ZERO
    pull_long: Decimal = ZERO
    pull_short: Decimal = ZERO
    entering: int = 0
    resting: tuple[str, ...] = ()
    held_back: Decimal = ZERO


NO_PORTFOLIO = Portfolio(equity=ZERO, available=ZERO, equity_age_ms=0, open_positions=0, open_risk=ZERO, exposure=ZERO)
"""For decisions that read none: answers of the exchange and looks at it."""


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What stays the same between rules and config reloads, for one symbol, and the edition of the machine.

    ``epoch`` goes into the client ids that are made (exchange/client_ids.py); it is that of the symbol's record.
    """

    database_id: str
    config_hash: str
    rules_hash: str
    policy: Policy
    rules: CompiledRules
    filters: SymbolFilters
    brackets: tuple[Bracket, ...]
    edition: int = EDITION
    epoch: str = ""

    def of(self, epoch: str) -> DecisionContext:
        """The same for a symbol whose record is in this epoch."""
        return self if epoch == self.epoch else replace(self, epoch=epoch)


class Commitment(msgspec.Struct, frozen=True):
    """What one symbol's trade ties up: USDT at risk down to its stop, USDT of notional, USDT of margin in flight, and
    its direction (+1 long, -1 short)."""

    risk: Decimal
    notional: Decimal
    margin_in_flight: Decimal
    sign: int = 1


def commitment(record: SymbolRecord, policy: Policy) -> Commitment | None:
    """What this symbol's trade ties up, or None when it has none. Risk of a stop beyond the entry is zero."""
    trade = record.trade
    if trade is None:
        return None
    filled = trade.first_fill_ms is not None
    quantity = trade.open_quantity if filled and trade.entry.finished else max(trade.quantity, trade.open_quantity)
    entry = trade.entry_price or trade.entry_price_planned
    notional = quantity * entry
    in_flight = ZERO
    if record.state in (State.SIGNALLED, State.ENTERING):
        in_flight = (trade.quantity - trade.entry.filled) * entry / policy.leverage_of(record.symbol)
    return Commitment(_risk(trade, quantity, entry, policy), notional, max(in_flight, ZERO), trade.side.sign)


def foreign_commitment(record: SymbolRecord, policy: Policy) -> Commitment | None:
    """What is open in the symbol and is not ours counts in every cap. Nobody here knows where it would be closed, so it
    risks as much as the farthest stop that config allows."""
    if record.foreign is None:
        return None
    notional = abs(record.foreign.quantity) * record.foreign.price
    sign = 1 if record.foreign.quantity > 0 else -1
    return Commitment(notional * policy.risk.stop_distance_pct_max / 100, notional, ZERO, sign)


def _risk(trade: Trade, quantity: Decimal, entry: Decimal, policy: Policy) -> Decimal:
    stop = trade.stop.trigger_price if trade.stop else trade.stop_price_initial
    return max(ZERO, quantity * loss_per_unit(trade.side.sign, entry, stop, policy))


def loss_per_unit(sign: int, entry: Decimal, stop: Decimal, policy: Policy) -> Decimal:
    """USDT lost per unit if the stop is hit: the distance, and taker fee and slippage on both ends.

    Negative when the stop already secures a profit.
    """
    cost_pct = policy.risk.taker_fee_pct + policy.risk.slippage_pct
    return sign * (entry - stop) + (entry + stop) * cost_pct / 100
