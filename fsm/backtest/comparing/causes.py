"""Says why a trade is not the same in two runs: by running again, and else by what both journals have of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fsm.backtest.comparing.inputs import Input, Source
from fsm.backtest.comparing.matching import Difference, Kind
from fsm.backtest.comparing.rerun import CannotRepeat, Rerun, Trades, same
from fsm.backtest.comparing.side import Side
from fsm.backtest.result import iso
from fsm.journal.explain import Explanation, NothingDecided, explain
from rules.conditions import ConditionTrace
from store import queries
from store.errors import StoreError

TRIED_MAX = 24
_REPEATED = (Source.SETTING, Source.RULES, Source.SYMBOL_RULES, Source.CANDLES, Source.FUNDING)
_OPERATOR = ("OPERATOR", "PAUSED")


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why. ``told``: one sentence with both numbers; ``confirmed``: a run with this alone (or with ``together``) came
    out as B; ``how``: the first condition, limit or fill that the journals show."""

    source: Source
    path: str
    told: str
    confirmed: bool = False
    together: tuple[str, ...] = ()
    how: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    difference: Difference
    cause: Cause


def causes(
    a: Side, b: Side, found: Sequence[Difference], inputs: Sequence[Input], again: Rerun | None
) -> tuple[list[Finding], str]:
    """A cause for each difference; and why nothing could be confirmed, where that is so."""
    confirmed, why = ({}, "the runs were not repeated") if again is None else _confirmed(a, found, inputs, again)
    findings: list[Finding] = []
    for difference in found:
        how = how_apart(a, b, difference)
        cause = confirmed.get(difference.key)
        if cause is not None:
            told = msgspec.structs.replace(cause, how=how.told)
        else:
            told = _by_journal(difference, how, inputs, findings)
        findings.append(Finding(difference=difference, cause=told))
    return findings, why


# --- by running again ---------------------------------------------------------------------------------


def _confirmed(
    a: Side, found: Sequence[Difference], inputs: Sequence[Input], again: Rerun
) -> tuple[dict[tuple[str, int, str], Cause], str]:
    tried = [each for each in inputs if each.source in _REPEATED]
    try:
        base = again(())
    except CannotRepeat as error:
        return {}, f"{a.name} could not be run again: {error}"
    if not all(same(base.get(each.key), each.a) for each in found):
        return {}, f"{a.name}, run again from what is at hand, does not come out as it did"
    causes: dict[tuple[str, int, str], Cause] = {}
    for each in tried[:TRIED_MAX]:
        _take(causes, found, _again(again, (each,)), each, ())
    for count in range(2, min(len(tried), TRIED_MAX) + 1):
        if len(causes) == len(found):
            break
        chain = tuple(tried[:count])
        _take(causes, found, _again(again, chain), chain[-1], chain[:-1])
    return causes, ""


def _again(again: Rerun, changed: Sequence[Input]) -> Trades | None:
    try:
        return again(changed)
    except CannotRepeat:
        return None


def _take(
    causes: dict[tuple[str, int, str], Cause],
    found: Sequence[Difference],
    trades: Trades | None,
    changed: Input,
    others: Sequence[Input],
) -> None:
    """Remember what this made as it is in B. A trade that is as in A anyway was not its doing."""
    for each in found:
        if trades is None or each.key in causes or not same(trades.get(each.key), each.b):
            continue
        causes[each.key] = Cause(
            source=changed.source,
            path=changed.path,
            told=in_words(changed),
            confirmed=True,
            together=tuple(other.path for other in others),
        )


def in_words(changed: Input) -> str:
    return f"{changed.source.replace('_', ' ').lower()} {changed.path}: {changed.a} in A, {changed.b} in B"


# --- by the journals ----------------------------------------------------------------------------------


def _by_journal(difference: Difference, how: Cause, inputs: Sequence[Input], earlier: Sequence[Finding]) -> Cause:
    """What the journals show; where that is the trade before, an edit or a candle, that is what it hangs on."""
    if how.source in (Source.OPERATOR, Source.OUTAGE) or (how.source is Source.FILL and how.path == difference.symbol):
        return how
    edited = [each for each in inputs if each.source is Source.EDIT and (each.at_ms or 0) <= _end_ms(difference)]
    if edited:
        return Cause(source=Source.EDIT, path=edited[-1].path, told=in_words(edited[-1]), how=how.told)
    for each in inputs:
        if each.source in (Source.SYMBOL_RULES, Source.CANDLES) and _concerns(each, difference):
            return Cause(source=each.source, path=each.path, told=in_words(each), how=how.told)
    if how.source in (Source.FILL, Source.FUNDING):
        return how
    if earlier and how.source in (Source.LIMIT, Source.EARLIER, Source.SETTING):
        first = earlier[0].difference
        told = f"it follows from the trade of {first.symbol} at {iso(first.candle_ms)}, which differs before"
        return Cause(source=Source.EARLIER, path=first.symbol, told=told, how=how.told)
    return how


def _concerns(each: Input, difference: Difference) -> bool:
    """It is about the trade's symbol, and was there before the trade's end."""
    return each.path.split()[0] == difference.symbol and (each.at_ms or 0) <= _end_ms(difference)


def _end_ms(difference: Difference) -> int:
    ends = [row.closed_ms for row in (difference.a, difference.b) if row is not None and row.closed_ms is not None]
    return max(ends, default=difference.candle_ms + 2**40)


def how_apart(a: Side, b: Side, difference: Difference) -> Cause:
    """The first thing in which both journals differ about this trade."""
    if difference.kind is Kind.DIFFERS:
        return _of_fields(a, b, difference)
    here, there = (a, b) if difference.kind is Kind.ONLY_A else (b, a)
    name = "B" if difference.kind is Kind.ONLY_A else "A"
    return _why_absent(here, there, name, difference)


def _why_absent(here: Side, there: Side, name: str, difference: Difference) -> Cause:
    """Why the trade that one run has is not in the other (``name``)."""
    close_ms = difference.candle_ms + 1
    ours, theirs = _explained(here, difference), _explained(there, difference)
    if theirs is None or theirs.asked_ms is not None:
        told = f"nothing was decided in {name} at that candle: it was not running, or had no candle"
        return Cause(source=Source.OUTAGE, path=difference.symbol, told=told)
    if theirs.reason in _OPERATOR or (theirs.outcome == "HALTED" and theirs.reason == "OPERATOR"):
        return Cause(source=Source.OPERATOR, path=theirs.reason, told=f"{theirs.summary} in {name}")
    if theirs.outcome == "IN_TRADE":
        return Cause(source=Source.EARLIER, path=difference.symbol, told=f"{theirs.summary} in {name}")
    if theirs.outcome in ("BLOCKED", "HALTED"):
        return Cause(source=Source.LIMIT, path=theirs.reason, told=f"{theirs.summary} in {name}")
    if theirs.outcome == "SIGNAL":
        return Cause(source=Source.FILL, path=difference.symbol, told=_unfilled(there, name, difference, close_ms))
    return _first_condition(ours, theirs, name)


def _unfilled(there: Side, name: str, difference: Difference, since_ms: int) -> str:
    wanted = queries.TransitionFilter(symbol=difference.symbol, since_ms=since_ms)
    rows = queries.transitions(there.store, wanted, limit=200).rows[::-1]
    ended = next((row for row in rows if row.trigger in ("abandon", "drop")), None)
    return f"the signal led to no position in {name}" + (f": {ended.reason}" if ended is not None else "")


def _first_condition(ours: Explanation | None, theirs: Explanation, name: str) -> Cause:
    """The first condition whose answer differs, with the numbers of both."""
    after = _conditions(theirs)
    for place, trace in () if ours is None else _conditions(ours).items():
        other = after.get(place)
        if other is not None and other.result is not trace.result:
            number = _first_unequal(trace, other)
            told = (
                f"condition {trace.id}: {_numbers(trace, number)} where it traded, {_numbers(other, number)} in {name}"
            )
            return Cause(source=Source.RULES, path=trace.id, told=told)
    return Cause(source=Source.UNEXPLAINED, path="", told=f"{theirs.summary} in {name}")


def _conditions(found: Explanation) -> dict[tuple[str, ...], ConditionTrace]:
    """Every condition by where it stands, in the order in which they are asked."""
    placed: dict[tuple[str, ...], ConditionTrace] = {}
    for side in found.rules.signal.traces if found.rules.signal is not None else ():
        placed |= {(side.side, "setup", trace.id): trace for trace in side.setup}
        placed |= {(side.side, "accept", trace.id): trace for trace in side.accept}
    for regime in found.rules.regimes:
        placed |= {(str(regime.regime), "enter", trace.id): trace for trace in regime.enter_conditions}
        placed |= {(str(regime.regime), "stay", trace.id): trace for trace in regime.stay_conditions}
    return placed


def _first_unequal(trace: ConditionTrace, other: ConditionTrace) -> int:
    """Which of its comparisons answers otherwise; the first where none does, or they are not the same ones."""
    pairs = zip(trace.comparisons, other.comparisons, strict=False)
    return next((at for at, (one, two) in enumerate(pairs) if one.result is not two.result), 0)


def _numbers(trace: ConditionTrace, number: int) -> str:
    if len(trace.comparisons) <= number:
        return f"{trace.text} is {trace.result.name}"
    found = trace.comparisons[number]
    return f"{found.text} ({_short(found.left)} and {_short(found.right)}) is {found.result.name}"


def _short(value: object) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _of_fields(a: Side, b: Side, difference: Difference) -> Cause:
    """The first of its figures that differs says which part of its life to look at."""
    field, (one, other) = next(iter(difference.fields.items()))
    told = f"{field.replace('_', ' ')}: {one} in A, {other} in B"
    assert difference.a is not None
    assert difference.b is not None
    ends = {difference.a.exit_reason, difference.b.exit_reason}
    if field == "quantity":
        return Cause(source=Source.EARLIER, path=field, told=f"{told} (equity and risk at the entry)")
    if "OPERATOR" in ends and field in ("exit_reason", "exit_price", "closed_ms"):
        return Cause(source=Source.OPERATOR, path=field, told=told)
    if field in ("entry_price", "first_fill_ms", "exit_price", "closed_ms", "exit_reason", "fees"):
        return Cause(source=Source.FILL, path=field, told=told)
    if field == "funding":
        return Cause(source=Source.FUNDING, path=field, told=told)
    return Cause(source=Source.RULES, path=field, told=told)


def _explained(side: Side, difference: Difference) -> Explanation | None:
    """The decision at the signal's candle, or None where nothing was decided about the symbol."""
    try:
        found = explain(side.store, difference.symbol, difference.candle_ms + _entry_ms(side))
    except (NothingDecided, StoreError):
        return None
    return found


def _entry_ms(side: Side) -> int:
    from rules.load import stored_rules

    return stored_rules(side.rules[-1].text, side.name).for_symbol("").entry_timeframe.ms
