"""Sums closed trades up: counts, money, R, streaks and durations, overall and by regime, strategy and symbol."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, Protocol, TypeVar

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
    won, lost = [net for net in nets if net > 0], [net for net in nets if net <= 0]
    return results_of(
        Sums(
            trades=len(trades),
            wins=len(won),
            earned=sum(won, ZERO),
            lost=sum(lost, ZERO),
            fees=sum((trade.fees for trade in trades), ZERO),
            funding=sum((trade.funding for trade in trades), ZERO),
            r=float(sum((trade.r or ZERO for trade in trades), ZERO)),
        )
    )


class Sums(NamedTuple):
    """Of closed trades, in USDT. ``lost``: by those that won nothing, never above zero."""

    trades: int
    wins: int
    earned: Decimal
    lost: Decimal
    fees: Decimal
    funding: Decimal
    r: float


def results_of(sums: Sums) -> dict[str, Any]:
    """The results that follow from sums."""
    trades, wins, losses, net = sums.trades, sums.wins, sums.trades - sums.wins, sums.earned + sums.lost
    average_win, average_loss = _mean(sums.earned, wins), _mean(sums.lost, losses)
    return {
        "trades": trades,
        "wins": wins,
        "losses": losses,
        "net_pnl_usdt": money(net),
        "fees_usdt": money(sums.fees),
        "funding_usdt": money(sums.funding),
        "expectancy_r": round(sums.r / trades, 6) if trades else 0.0,
        "win_rate_pct": round(100 * wins / trades, 6) if trades else None,
        "profit_factor": round(float(sums.earned / -sums.lost), 6) if sums.lost else None,
        "average_win_usdt": _money(average_win),
        "average_loss_usdt": _money(average_loss),
        "payoff": round(float(-average_win / average_loss), 6) if average_win and average_loss else None,
        "expectancy_usdt": _money(_mean(net, trades)),
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
    return sequence_of(won, [hours_held(trade) for trade in trades])


def sequence_of(won: Iterable[bool], hours: Sequence[float]) -> dict[str, Any]:
    """The same of trades in the order in which they ended: whether each won, and how long each was held."""
    lengths = streaks(won)
    return {
        "wins_in_a_row": max((length for is_won, length in lengths if is_won), default=0),
        "losses_in_a_row": max((length for is_won, length in lengths if not is_won), default=0),
        "hours_held_mean": round(statistics.fmean(hours), 6) if hours else None,
        "hours_held_median": round(statistics.median(hours), 6) if hours else None,
    }


class OfTrades(NamedTuple):
    """All figures that trades alone decide. ``groups``: by regime, strategy and symbol."""

    together: dict[str, Any]
    sequence: dict[str, Any]
    groups: dict[str, dict[str, dict[str, Any]]]
    closed_at_end: int


def in_order(trades: Iterable[AnyTrade]) -> list[AnyTrade]:
    """In the order in which they ended; at one moment, by their names."""
    return sorted(trades, key=lambda trade: (trade.closed_ms or trade.opened_ms, trade.id))


def streaks(won: Iterable[bool]) -> list[tuple[bool, int]]:
    """Wins and losses in a row: (whether they were wins, how many), one after the other."""
    return [(is_won, len([*row])) for is_won, row in groupby(won)]


def hours_held(trade: Closed) -> float:
    """From the first fill to the end, in hours."""
    since_ms = trade.opened_ms if trade.first_fill_ms is None else trade.first_fill_ms
    return ((trade.closed_ms or since_ms) - since_ms) / HOUR_MS


def money(amount: Decimal) -> float:
    """An amount for JSON: eight decimals, as the exchange's ledger."""
    return float(round(amount, 8))


def _money(amount: Decimal | None) -> float | None:
    return None if amount is None else money(amount)


def _mean(total: Decimal, count: int) -> Decimal | None:
    return total / count if count else None
