"""Confirms why a bot did otherwise than its backtest: with that alone the backtest does as the bot did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import reduce

import msgspec
from msgspec.structs import replace

from fsm.backtest.comparing.causes import Cause, Finding, causes
from fsm.backtest.comparing.inputs import Input, Source
from fsm.backtest.comparing.live_checks import checked, is_contradicted
from fsm.backtest.comparing.lived import FILLS_MAX, Lived, lived
from fsm.backtest.comparing.lived_moments import AT_ITS_TIME_MS
from fsm.backtest.comparing.lived_orders import as_filled, rested, was_over
from fsm.backtest.comparing.matching import Difference, Key, differences, differing
from fsm.backtest.comparing.rerun import CannotRepeat, Trades, Triggers, triggers_of
from fsm.backtest.comparing.side import Side, Span
from fsm.backtest.injecting import Injected
from fsm.backtest.result import iso
from fsm.backtest.standing import ROUNDED_AWAY
from fsm.core.exit_reasons import STOP_HIT, TARGET_HIT
from indicators.candle import Timeframe
from store import queries
from store.trade_rows import TradeRow

Again = Callable[[Injected], tuple[Trades, Triggers]]

_OWN_WORDS = {
    Source.EDIT: "its files were edited while it ran",
    Source.SMALL_STEPS: "its first trades after something new were small (small steps)",
    Source.OUTAGE: "the bot decided nothing at some closes before its end",
    Source.OPERATOR: "the operator's commands",
    Source.TROUBLE: "nothing could be entered there, for trouble that the bot met",
    Source.TRANSFER: "money came in or went out",
    Source.HAND: "another hand traded there",
    Source.LATENCY: "its orders reached the exchange later",
    Source.MISSED_ENTRY: "its entry came to nothing at the exchange",
    Source.PARTIAL_FILL: "its entry was filled in parts",
    Source.SLIPPAGE: "its orders were filled at these prices",
    Source.EARLIER: "it follows from what came before it",
}
_CONSEQUENCES = (Source.EARLIER, Source.LIMIT)
"""What follows from other trades that came out otherwise."""

_FROM_OUTSIDE = (Source.TRANSFER, Source.HAND, Source.TROUBLE)
PAIR = 2

_OTHERWISE = (Source.FUNDING, Source.SYMBOL_RULES)
"""Of these nothing is run again, nor of very many edits; they are as the journals have them."""


def held_against(
    bot: Side, run: Side, span: Span, inputs: Sequence[Input], again: Again | None
) -> tuple[list[Finding], str]:
    """Why a bot did otherwise than its backtest; and why that could not be confirmed, where that is so.

    Its backtest runs on its own candles: where one has some that the other has not, they were carried over a hole.
    """
    inputs = [each for each in inputs if each.source is not Source.CANDLES]
    trades = [_at_the_end(row, span) for row in bot.trades]
    found_apart = [each for each in differences(trades, run.trades, span) if not _is_only_open(each)]
    told, why = causes(bot, run, found_apart, inputs, None)
    found = checked(bot, inputs, told)
    if again is None or not found:
        return found, why
    kinds = lived(bot, span)
    otherwise = {*_OTHERWISE, Source.EDIT}.difference(each.source for each in kinds)
    is_open = [each.cause.source not in otherwise and not is_contradicted(bot, each) for each in found]
    return confirmed(bot, found, is_open, kinds, again)


def confirmed(
    bot: Side, findings: Sequence[Finding], is_open: Sequence[bool], kinds: Sequence[Lived], again: Again
) -> tuple[list[Finding], str]:
    """The findings of a bot (A) with what is confirmed, the rest called unexplained; and why nothing could be run.

    ``is_open``: which of them anything that the bot lived through may be the cause of.
    """
    open_ = {each.difference.key: each for each, may in zip(findings, is_open, strict=True) if may}
    found: dict[Key, Cause] = {}
    waited = triggers_of(bot.store)
    lives = {key: _Life.of(bot, each.difference.a) for key, each in open_.items()}
    try:
        for chain in _chains(kinds):
            if len(found) == len(open_):
                break
            trades, triggers = again(reduce(Injected.beside, (each.injected for each in chain)))
            for key, finding in open_.items():
                live, other = lives[key], trades.get(key)
                is_same = live.came_out_as(other) and live.waited_as(waited.get(key), triggers.get(key))
                if key not in found and is_same:
                    found[key] = _cause(finding, chain)
    except CannotRepeat as error:
        return list(findings), f"the backtest could not be run with what the bot lived through: {error}"
    return [_concluded(each, open_, found) for each in findings], ""


def _chains(kinds: Sequence[Lived]) -> list[tuple[Lived, ...]]:
    """Each alone, then each beside the first, which is an edit or latency where there was one, then more and more."""
    pairs = [(kinds[0], each) for each in kinds[1:]]
    return [(each,) for each in kinds] + pairs + [tuple(kinds[:count]) for count in range(3, len(kinds) + 1)]


def _concluded(each: Finding, open_: dict[Key, Finding], found: dict[Key, Cause]) -> Finding:
    key = each.difference.key
    if key not in open_:
        return each
    told = each.cause.told
    if key not in found and each.cause.source is not Source.UNEXPLAINED:
        told = f"{told}; a backtest with what the bot lived through does not come out so"
    unexplained = Cause(source=Source.UNEXPLAINED, path="", told=told, how=each.cause.how)
    return Finding(difference=each.difference, cause=found.get(key, unexplained))


def _cause(finding: Finding, chain: Sequence[Lived]) -> Cause:
    last, *others = reversed(chain)
    difference = finding.difference
    what = tuple(str(each.source) for each in chain)
    small = next((each for each in chain if each.source is Source.SMALL_STEPS), None)
    if small is not None and _is_smaller(difference):
        last, others = small, [each for each in reversed(chain) if each is not small]
    elif (finding.cause.source in _CONSEQUENCES and not _is_a_root(chain)) or (
        finding.cause.source is Source.EDIT and str(Source.EDIT) in what
    ):
        return replace(finding.cause, confirmed=True, together=what)
    told = f"{_OWN_WORDS[last.source]}: {_first_field(finding)}"
    return Cause(
        source=last.source,
        path=difference.symbol,
        told=told,
        confirmed=True,
        together=tuple(str(other.source) for other in reversed(others)),
        how=finding.cause.told,
    )


def _is_a_root(chain: Sequence[Lived]) -> bool:
    """It is no consequence of other trades where one thing alone does it, or one from outside beside the first."""
    last = chain[-1].source
    return (len(chain) == 1 and last is not Source.EARLIER) or (len(chain) <= PAIR and last in _FROM_OUTSIDE)


def _is_smaller(difference: Difference) -> bool:
    """The bot traded less than its backtest."""
    live, again = difference.a, difference.b
    return live is not None and again is not None and live.quantity < again.quantity


def _first_field(finding: Finding) -> str:
    fields = finding.difference.fields
    if not fields:
        return f"{finding.difference.symbol}, signal of {iso(finding.difference.candle_ms)}"
    name, (one, other) = next(iter(fields.items()))
    return f"{name.replace('_', ' ')} {one} as it traded, {other} in the backtest"


END_OF_DATA = "END_OF_DATA"
_AFTER_ENTRY = ("exit_reason", "exit_price", "closed_ms", "fees", "funding", "net_pnl")


def _at_the_end(row: TradeRow, span: Span) -> TradeRow:
    """What ended behind the span was open at its end."""
    return replace(row, closed_ms=None) if row.closed_ms is not None and row.closed_ms > span.to_ms else row


def _is_only_open(difference: Difference) -> bool:
    """The bot's trade goes on, and its backtest closed it where the candles end."""
    live, again = difference.a, difference.b
    if live is None or again is None or live.closed_ms is not None or again.flagged != END_OF_DATA:
        return False
    return set(difference.fields) <= set(_AFTER_ENTRY)


Waited = frozenset[tuple[str, Decimal]] | None


class _Life(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of the bot as its orders were filled, None where it had none. ``rested``: its entry had to wait;
    ``was_over``: a stop or target had ended it before the bot decided to close it."""

    row: TradeRow | None
    rested: bool = False
    was_over: bool = False

    @classmethod
    def of(cls, bot: Side, row: TradeRow | None) -> _Life:
        if row is None:
            return cls(row=None)
        fills = queries.fills(bot.store, trade_id=row.id, limit=FILLS_MAX)[::-1]
        return cls(row=as_filled(row, fills), rested=rested(row, fills), was_over=was_over(bot, row, fills))

    def came_out_as(self, again: TradeRow | None) -> bool:
        """The same in everything; an order that rested may have been filled at another moment of its hour."""
        live = self.row
        if live is None or again is None:
            return live is None and again is None
        apart = differing(live, again)
        if self.was_over and again.exit_reason in (STOP_HIT, TARGET_HIT):
            apart.pop("exit_reason", None)
        if again.exit_reason in (STOP_HIT, TARGET_HIT) and _are_of_one_hour(live.closed_ms, again.closed_ms):
            apart.pop("closed_ms", None)
        if _are_near(live.closed_ms, again.closed_ms):
            apart.pop("closed_ms", None)
        if self.rested and _are_of_one_hour(live.first_fill_ms, again.first_fill_ms):
            apart.pop("first_fill_ms", None)
        if live.closed_ms is None and again.flagged == END_OF_DATA:
            apart = {name: each for name, each in apart.items() if name not in _AFTER_ENTRY}
        for name in ("fees", "net_pnl"):
            one, other = getattr(live, name), getattr(again, name)
            if one is not None and other is not None and abs(one - other) <= ROUNDED_AWAY:
                apart.pop(name, None)
        return not apart

    def waited_as(self, live: Waited, again: Waited) -> bool:
        """Its stops and targets lay where they do again, as far as the comparison goes and they could be moved."""
        if self.row is None or live == again:
            return True
        return self.row.closed_ms is None and live is not None and again is not None and again <= live


def _are_near(one_ms: int | None, other_ms: int | None) -> bool:
    return one_ms is not None and other_ms is not None and abs(one_ms - other_ms) <= AT_ITS_TIME_MS


def _are_of_one_hour(one_ms: int | None, other_ms: int | None) -> bool:
    return one_ms is not None and other_ms is not None and Timeframe.H1.floor(one_ms) == Timeframe.H1.floor(other_ms)
