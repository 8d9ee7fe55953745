"""What went into two runs and is not the same: settings, rules, candles, rules of the exchange, funding, edits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from exchange.candle_files import CandleFolders
from fsm.backtest.comparing.side import Side, Span
from rules.changes import ABSENT, unequal


class Source(StrEnum):
    """What kind of thing made a difference."""

    SETTING = "SETTING"
    RULES = "RULES"
    CANDLES = "CANDLES"
    FUNDING = "FUNDING"
    SYMBOL_RULES = "SYMBOL_RULES"
    EDIT = "EDIT"
    LIMIT = "LIMIT"
    FILL = "FILL"
    OPERATOR = "OPERATOR"
    SMALL_STEPS = "SMALL_STEPS"
    OUTAGE = "OUTAGE"
    TRANSFER = "TRANSFER"
    HAND = "HAND"
    TROUBLE = "TROUBLE"
    LATENCY = "LATENCY"
    SLIPPAGE = "SLIPPAGE"
    PARTIAL_FILL = "PARTIAL_FILL"
    MISSED_ENTRY = "MISSED_ENTRY"
    EARLIER = "EARLIER"
    UNEXPLAINED = "UNEXPLAINED"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs. ``path`` names it: a key, a symbol with its timeframe; ``at_ms`` is from when on."""

    source: Source
    path: str
    a: str
    b: str
    at_ms: int | None = None


_NOT_DECISIVE = ("version", "web", "alerts", "loops", "logging", "drift", "reload")
"""Sections of config.yaml that no trade depends on."""


def differing_inputs(a: Side, b: Side, span: Span) -> list[Input]:
    """Everything that differs, in the order in which it is tried as a cause."""
    found = [*_settings(a, b), *_rules(a, b), *_symbol_rules(a, b, span), *_candles(a, b, span)]
    return [*found, *_edits(a, "A", span), *_edits(b, "B", span)]


def _settings(a: Side, b: Side) -> Iterator[Input]:
    for path, one, other in unequal(a.settings.plain(), b.settings.plain()):
        if path.split(".")[0] not in _NOT_DECISIVE:
            yield Input(source=Source.SETTING, path=path, a=one, b=other)


def _rules(a: Side, b: Side) -> Iterator[Input]:
    if a.rules[0].hash == b.rules[0].hash:
        return
    for path, one, other in unequal(a.rules_data, b.rules_data):
        yield Input(source=Source.RULES, path=path, a=one, b=other)


def _symbol_rules(a: Side, b: Side, span: Span) -> Iterator[Input]:
    """What the exchange said of each symbol and was not the same at some time, and from when on anything was not."""
    ours, theirs = a.symbol_rules(), b.symbol_rules()
    found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    since: dict[tuple[str, str], int] = {}
    for at_ms in sorted({span.from_ms, *(at_ms for at_ms, _ in (*ours, *theirs) if span.from_ms < at_ms < span.to_ms)}):
        for key, path, one, other in _unequal_rules(_in_force(ours, at_ms), _in_force(theirs, at_ms)):
            found.setdefault(key, {}).setdefault(path, (one, other))
            since.setdefault(key, at_ms)
    for (part, symbol), paths in sorted(found.items()):
        told, (one, other) = ", ".join([*paths][:3]), next(iter(paths.values()))
        at = since[part, symbol]
        yield Input(
            source=Source.SYMBOL_RULES,
            path=f"{symbol} {told}",
            a=one,
            b=other,
            at_ms=None if at == span.from_ms else at,
        )


def _in_force(told: Sequence[tuple[int, dict[str, Any]]], at_ms: int) -> dict[str, Any]:
    """What was said last, or first where nothing was yet."""
    return next((rules for said_ms, rules in reversed(told) if said_ms <= at_ms), told[0][1] if told else {})


def _unequal_rules(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str, str, str]]:
    for part in ("filters", "brackets"):
        ours, theirs = a.get(part, {}), b.get(part, {})
        for symbol in sorted({*ours} & {*theirs}):
            for path, one, other in unequal({part: ours[symbol]}, {part: theirs[symbol]}):
                if ABSENT not in (one, other):  # else one of them knows what was not kept when the other ran
                    yield (part, symbol), path, one, other


def _candles(a: Side, b: Side, span: Span) -> Iterator[Input]:
    """The first candle of each series that differs up to the span's end; the finest that both have of each symbol."""
    for symbol in sorted({*a.symbols_read} & {*b.symbols_read}):
        for timeframe in sorted({*a.timeframes(symbol)} & {*b.timeframes(symbol)}):
            ours, theirs = a.candles(symbol, timeframe), b.candles(symbol, timeframe)
            first = max(min(ours, default=0), min(theirs, default=0))
            last = min(max(ours, default=0), max(theirs, default=0), span.to_ms)
            unequal_ms = [
                at_ms
                for at_ms in sorted({*ours, *theirs})
                if first <= at_ms <= last and ours.get(at_ms) != theirs.get(at_ms)
            ]
            if unequal_ms:
                at_ms = unequal_ms[0]
                yield Input(
                    source=Source.CANDLES,
                    path=f"{symbol} {timeframe}, {len(unequal_ms)} of {len(ours)}",
                    a=_candle(ours.get(at_ms)),
                    b=_candle(theirs.get(at_ms)),
                    at_ms=at_ms,
                )


def differing_funding(
    symbols: Sequence[str], folders: Sequence[Path], theirs: Sequence[Path], span: Span
) -> list[Input]:
    """The first funding rate of each symbol that is another in B's folders."""
    found = []
    for symbol in symbols:
        ours, others = (_rates(CandleFolders(each), symbol, span) for each in (folders, theirs))
        unequal_ms = sorted(at_ms for at_ms in {*ours, *others} if ours.get(at_ms) != others.get(at_ms))
        for at_ms in unequal_ms[:1]:
            one, other = (str(rates.get(at_ms, ABSENT)) for rates in (ours, others))
            path = f"{symbol}, {len(unequal_ms)} of {len(ours)}"
            found.append(Input(source=Source.FUNDING, path=path, a=one, b=other, at_ms=at_ms))
    return found


def _rates(folders: CandleFolders, symbol: str, span: Span) -> dict[int, float]:
    found = folders.funding(symbol)
    if found is None:
        return {}
    pairs = zip(map(int, found.time_ms), map(float, found.rate), strict=True)
    return {at_ms: rate for at_ms, rate in pairs if span.from_ms <= at_ms < span.to_ms}


def _candle(row: tuple[str, ...] | None) -> str:
    return ABSENT if row is None else "/".join(row)


def _edits(side: Side, name: str, span: Span) -> Iterator[Input]:
    """Files that were edited while it ran."""
    for what, versions in (("rules.yaml", side.rules), ("config.yaml", side.configs)):
        for before, after in itertools.pairwise(versions):
            if after.at_ms <= span.to_ms and after.hash != before.hash:
                edited = f"{before.hash[:8]} → {after.hash[:8]}"
                one, other = (edited, ABSENT) if name == "A" else (ABSENT, edited)
                yield Input(source=Source.EDIT, path=f"{what} in {name}", a=one, b=other, at_ms=after.at_ms)
