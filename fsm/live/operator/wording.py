"""How reasons of the machine, amounts and prices are written for the operator, who reads no code words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

LIMITS: Mapping[str, str] = {
    "LIMIT_DAY": "the loss limit of the day",
    "LIMIT_WEEK": "the loss limit of the week",
    "LIMIT_MONTH": "the loss limit of the month",
    "LIMIT_DRAWDOWN": "the drawdown limit",
}

CAUSES: Mapping[str, str] = {
    **{name: f"{words} was hit" for name, words in LIMITS.items()},
    "EQUITY_STALE": "equity could not be read for too long",
    "OPERATOR": "you asked for it",
    "PERMISSION": "the exchange does not permit this key or account to trade",
    "REFUSALS": "the exchange refused the same thing again and again",
    "FOREIGN": "another copy of this bot is trading on the account",
    "LIQUIDATED": "the exchange liquidated a position",
    "PROTECTION": "positions got no stop in time twice in a row",
    "RESTORED": "the database is older than the exchange",
    "JOURNAL_DAMAGED": "the journal is not as it was written",
    # what is not understood
    "EXCEPTION": "of a fault of the bot's own ({})",
    "FOREIGN_POSITION": "a position that is not this bot's is open there",
    "FOREIGN_CHANGED": "a position that is not this bot's has changed there",
    "FOREIGN_ORDER": "an order that would reduce or enlarge its position, and is not this bot's, rests there",
    "POSITION_UNCLEAR": "the exchange shows no position, and yet its stop rests",
    "POSITION_OPEN": "a position was open in its way",
    "SYMBOL_GONE": "the exchange does not know this symbol any more",
    "UNRESOLVED_ORDER": "nobody knows yet what became of an order",
    "FILLS_MISSING": "the exchange does not show all fills of the trade",
    "EXTERNAL_CLOSE": "somebody else closed the position",
    "EXTERNAL_REDUCE": "somebody else closed a part of the position",
    # a stop, or a close
    "PROTECTION_DEADLINE": "no stop was confirmed in time",
    "PROTECTION_MISSING": "its stop was gone",
    "STOP_NOT_FOUND": "the exchange does not show its stop",
    "STOP_UNKNOWN": "nobody knows whether its stop arrived",
    "STOP_UNSEEN": "the exchange does not show its stop",
    "POSITION_UNSEEN": "the exchange does not show the position",
    "VENUE_CANCELLED": "the exchange cancelled its stop",
    "STOP_REFUSED": "the exchange refused its stop (error {})",
    "STOP_ROUNDED_ANEW": "the exchange changed its price steps (error {})",
    "STOP_WOULD_TRIGGER": "the price is beyond its stop already",
    "STOP_KEEPS_VANISHING": "its stop vanished again and again",
    "STOP_NOT_AS_ORDERED": "its stop rests otherwise than it was ordered",
    "STOP_REJECTED_AT_TRIGGER": "its stop fired and was rejected",
    "STOP_FINISHED_POSITION_OPEN": "its stop fired and left the position open",
    "STOP_TRIGGERED_POSITION_OPEN": "its stop fired and left the position open",
    "STOP_TRIGGERING_POSITION_OPEN": "its stop fired and left the position open",
    "STOP_MOVE_REFUSED": "the exchange refused to move its stop (error {})",
    "STOP_MOVE_UNFINISHED": "its stop was not moved to the end",
    "STOP_CONFIRMED": "its stop rests",
    "CLOSE_AGAIN": "the order that should close it left something open",
    "CLOSE_NOT_FOUND": "the exchange does not know the order that should close it",
    "CLOSE_UNHEARD": "the order that should close it was not answered",
    "CLOSE_UNKNOWN": "the order that should close it was not answered",
    "CLOSE_REFUSED": "the exchange refused the order that should close it (error {})",
    "CLOSE_WITH_LIMIT": "the exchange takes no market order",
    "REDUCE_REFUSED": "the exchange refused the order for it (error {})",
    "REDUCE_UNFILLED": "nobody took the other side",
    "REDUCE_NOT_FOUND": "the exchange does not know the order for it",
    "POSITION_NOT_AS_REMEMBERED": "somebody else changed the position",
    "TARGET_MISSING": "a target was gone",
    "TARGET_REFUSED": "the exchange refused a target (error {})",
    "TARGET_REACHED": "the price was beyond a target already",
    "ENTRY_UNCLEAR": "nobody knows yet what became of the entry",
    "ENTRY_UNRESOLVED": "nobody knows yet what became of the entry",
    "ENTRY_OVERDUE": "the entry has rested for longer than it may",
    "ENTRY_REFUSED": "the exchange refused the entry (error {})",
    "ENTRY_SHOWN_ABSENT": "the entry never arrived",
    "ORPHAN_ORDERS": "nothing is open that they could belong to",
    "ORDERS_LEFT": "the position that they belonged to is closed",
    "STRAY_ORDERS": "no plan of the bot has them",
    "OWN_POSITION_FOUND": "an order of the bot opened it",
    # how a trade ended
    "STOP_HIT": "the stop was hit",
    "TARGET_HIT": "a target was hit",
    "LOST_JOURNAL": "the bot closed it, and the journal that knew why is lost",
    "ADL": "the exchange deleveraged it",
    "SETTLED": "the exchange settled the contract",
    "RELEASED": "it was handed over to you",
    "EXIT_WHEN": "a rule said so (exit_when)",
    "EXIT_AFTER_CANDLES": "it had lasted for as long as its rules allow",
    "REGIME_ENDED": "the regime that it was opened in ended",
    "OPPOSITE_SIGNAL": "its strategy saw a setup the other way",
    "TRAIL_CROSSED": "the price was beyond the trailing stop",
    # why nothing was entered
    "NO_SETUP": "no setup holds",
    "NO_TRADE_REGIME": "no strategy trades in this regime",
    "UNKNOWN_FACTS": "values are not known yet",
    "NOT_ACCEPTED": "the setup was not accepted",
    "REWARD_RISK_LOW": "the reward is too small for the risk",
    "BOTH_SIDES": "both sides hold at once",
    "HOLDING": "a trade is open",
    "PAUSED": "you paused it",
    "COOLDOWN": "the symbol rests",
    "STRATEGY_RESTS": "its strategy rests",
    "QUARANTINE": "something about the symbol is not understood",
    "ACCOUNT_OPEN": "the account is halted or paused",
    "EQUITY_FRESH": "equity could not be read lately",
    "EQUITY_UNKNOWN": "equity could not be read lately",
    "EQUITY_UNEXPLAINED": "money is gone that nothing explains yet",
    "CLOSE_UNRESOLVED": "an order that should have closed the last trade may still arrive",
    "PROTECTION_UNPROVED": "it is not proved that stops can be placed",
    "PROTECTION_TRIAL": "one smallest entry is on trial until its stop is confirmed",
    "MAX_OPEN_POSITIONS": "as many positions are open as config.yaml allows",
    "MAX_OPEN_RISK": "as much risk is open as config.yaml allows",
    "MAX_CORRELATED_RISK": "positions that move together risk as much as config.yaml allows",
    "MAX_SAME_DIRECTION_RISK": "one direction risks as much as config.yaml allows",
    "MAX_EXPOSURE": "as much is open as config.yaml allows",
    "MARGIN": "the free margin is too small",
    "NOTIONAL_MIN": "the order would be below the exchange's smallest amount",
    "QUANTITY_MIN": "the order would be below the exchange's smallest quantity",
    "TARGET_LEG_MIN": "a target would be below the exchange's smallest amount",
    "STOP_SIDE": "the stop would be on the wrong side of the entry",
    "TARGET_SIDE": "a target would be on the wrong side of the entry",
    "STOP_DISTANCE_MIN": "the stop would be nearer than config.yaml allows",
    "STOP_DISTANCE_MAX": "the stop would be further away than config.yaml allows",
    "STOP_BEYOND_LIQ": "the stop would be too near to the price of liquidation",
    "CANDLE_AGE": "the candle was too old",
    "CANDLE_NEW": "the candle was decided on before",
    "CANDLE_HOLE": "candles are missing at the exchange ({})",
    "WARMING_UP": "too few candles have closed ({})",
    "PROTECTION_WAITS": "requests that protect other positions were waiting",
    "ORDER_BUDGET": "too few orders were left for its stop and its close",
    "LOOK_BUDGET": "too little of the exchange's request limit was left to see its stop",
    "BOOK_ENTRY": "the order book did not take an order of its size",
    "BOOK_CLOSE": "the order book would not take its close within the slippage that config.yaml allows",
    "PRICE_MOVED": "the price had moved away from the signal",
    "SYMBOL_FLAT": "a position was open in its way",
    "SYMBOL_OPEN": "the symbol may not enter",
    "SYMBOL_TRADABLE": "the exchange does not trade the symbol now",
    "ENTRY_FILTERS": "the exchange's rules do not allow such an entry",
    "STOP_FILTERS": "the exchange's rules do not allow such a stop",
    "TARGET_FILTERS": "the exchange's rules do not allow such a target",
    "ENTRY_FINISHED": "the entry ended unfilled",
    "ENTRY_EXPIRED": "the entry ended unfilled",
    "ENTRY_CANCELED": "the entry was cancelled unfilled",
    "ENTRY_REJECTED": "the exchange rejected the entry",
    "FILES_UNUSABLE": "config.yaml or rules.yaml cannot be used",
    "UNSUPPORTED_ACCOUNT": "the account is in {}, which is not supported",
    "STOPS_UNPROVED": "stops could not be placed yet",
    "SYMBOL_DISABLED": "config.yaml does not enable it",
    "SYMBOL_NOT_LISTED": "it is not on the list of symbols",
    "SYMBOL_UNKNOWN": "the exchange does not tell its rules",
    "SYMBOL_NOT_TRADING": "the exchange does not trade it now ({})",
    "BRACKETS_UNKNOWN": "its leverage table cannot be read",
    "MARGIN_ASSET": "its margin is {} and not USDT",
    "CANDLES_DIFFER": "stored candles are not what they should be",
    "SYMBOL_RULES_STALE": "its rules could not be read for a day",
    "SYMBOL_RULES_CHANGED": "the exchange changed its rules between signal and entry",
}
"""By the first word of a reason; {} is the rest of it."""


def because(reason: str) -> str:
    """A reason in words, so that it can stand after "because". A reason that is no code word stays as it is."""
    name, _, rest = reason.partition(" ")
    words = CAUSES.get(name)
    if words is None:
        return reason if not name.isupper() else reason.replace("_", " ").lower()
    if name == "QUARANTINE" and rest:
        return because(rest)
    return words.format(rest or "no detail") if "{}" in words else words


def usdt(amount: Decimal) -> str:
    return f"{amount:,.2f} USDT"


def gained(amount: Decimal) -> str:
    """With its sign."""
    return f"{amount:+,.2f} USDT"


def price(amount: Decimal, tick: Decimal) -> str:
    """As the exchange writes its prices; an average lies between two of them. A tick of 0 is not known."""
    if tick <= 0:
        return f"{amount.normalize():f}"
    return f"{((amount / tick).quantize(Decimal(1), ROUND_HALF_EVEN) * tick.normalize()):f}"
