"""Sums closed trades up: counts, money, R, streaks and durations, overall and by regime, strategy and symbol."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

ZERO = Decimal(0)
HOUR_MS = 3_600_000


class Closed(Protocol):
    """A trade that is over, as the engine books it or as the journal keeps it. Amounts in USDT."""

    @property
    def id(self) -> str: ...
    @property
    def opened_ms(self) -> int: ...
    @property
    def first_fill_ms(self) -> int | None: ...
    @property
    def closed_ms(self) -> int | None: ...
    @property
    def fees(self) -> Decimal: ...
    @property
    def funding(self) -> Decimal: ...
    @property
    def net_pnl(self) -> Decimal | None: ...
    @property
    def r(self) -> Decimal | None: ...


AnyTrade = TypeVar("AnyTrade", bound=Closed)


def results(trades: Sequence[Closed]) -> dict[str, Any]:
    """Counts and sums of closed trades; money in USDT, expectancy in R. None: there is nothing to divide by."""
    nets = [trade.net_pnl or ZERO for trade in trades]
    rs = [trade.r or ZERO for trade in trades]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net <= 0]
    earned, paid = sum(won, ZERO), -sum(lost, ZERO)
    average_win, average_loss = _mean(won), _mean(lost)
    return {
        "trades": len(trades),
        "wins": len(won),
        "losses": len(lost),
        "net_pnl_usdt": money(sum(nets, ZERO)),
        "fees_usdt": money(sum((trade.fees for trade in trades), ZERO)),
        "funding_usdt": money(sum((trade.funding for trade in trades), ZERO)),
        "expectancy_r": round(float(sum(rs, ZERO)) / len(rs), 6) if rs else 0.0,
        "win_rate_pct": round(100 * len(won) / len(nets), 6) if nets else None,
        "profit_factor": round(float(earned / paid), 6) if paid else None,
        "average_win_usdt": _money(average_win),
        "average_loss_usdt": _money(average_loss),
        "payoff": round(float(-average_win / average_loss), 6) if average_win and average_loss else None,
        "expectancy_usdt": _money(_mean(nets)),
    }


def grouped(
    trades: Sequence[AnyTrade], key: Callable[[AnyTrade], str], together: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """The same results for each group, in the order of the groups' names. ``together``: those of all of them."""
    names = [*map(key, trades)]
    if together is not None and len({*names}) == 1:
        return {names[0]: {**together}}
    groups: dict[str, list[AnyTrade]] = {}
    for name, trade in zip(names, trades, strict=True):
        groups.setdefault(name, []).append(trade)
    return {name: results(groups[name]) for name in sorted(groups)}


def sequence(trades: Sequence[Closed]) -> dict[str, Any]:
    """What follows from the order and the length of trades: streaks, and hours from the first fill to the end."""
    won = [(trade.net_pnl or ZERO) > 0 for trade in in_order(trades)]
    hours = [hours_held(trade) for trade in trades]
    return {
        "wins_in_a_row": max((length for is_won, length in streaks(won) if is_won), default=0),
        "losses_in_a_row": max((length for is_won, length in streaks(won) if not is_won), default=0),
        "hours_held_mean": round(statistics.fmean(hours), 6) if hours else None,
        "hours_held_median": round(statistics.median(hours), 6) if hours else None,
    }


def in_order(trades: Iterable[AnyTrade]) -> list[AnyTrade]:
    """In the order in which they ended; at one moment, by their names."""
    return sorted(trades, key=lambda trade: (trade.closed_ms or trade.opened_ms, trade.id))


def streaks(won: Iterable[bool]) -> list[tuple[bool, int]]:
    """Wins and losses in a row: (whether they were wins, how many), one after the other."""
    found: list[tuple[bool, int]] = []
    for is_won in won:
        length = found.pop()[1] + 1 if found and found[-1][0] == is_won else 1
        found.append((is_won, length))
    return found


def hours_held(trade: Closed) -> float:
    """From the first fill to the end, in hours."""
    since_ms = trade.opened_ms if trade.first_fill_ms is None else trade.first_fill_ms
    return ((trade.closed_ms or since_ms) - since_ms) / HOUR_MS


def money(amount: Decimal) -> float:
    """An amount for JSON: eight decimals, as the exchange's ledger."""
    return float(round(amount, 8))


def _money(amount: Decimal | None) -> float | None:
    return None if amount is None else money(amount)


def _mean(amounts: Sequence[Decimal]) -> Decimal | None:
    return sum(amounts, ZERO) / len(amounts) if amounts else None
