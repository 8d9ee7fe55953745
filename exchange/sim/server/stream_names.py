"""Understands names of market streams, and knows which routes carry them (WebSocket change notice, checked 2026-11)."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

import msgspec

from exchange.sim.server.hub import Route
from exchange.sim.server.market import INTERVALS_MS

_KLINE = re.compile(r"kline_(.+)")
_MARK = re.compile(r"markPrice(@1s)?")
_DEPTH = re.compile(r"depth(5|10|20)?(@100ms|@500ms)?")


class Kind(StrEnum):
    KLINE = "kline"
    MARK = "markPrice"
    TRADE = "aggTrade"
    DAY = "ticker"
    BOOK = "bookTicker"
    DEPTH = "depth"


CARRIED = {
    Kind.KLINE: frozenset({Route.MARKET}),
    Kind.MARK: frozenset({Route.MARKET}),
    Kind.TRADE: frozenset({Route.MARKET}),
    Kind.DAY: frozenset({Route.MARKET}),
    Kind.BOOK: frozenset({Route.PUBLIC, Route.UNROUTED}),
    Kind.DEPTH: frozenset({Route.PUBLIC, Route.UNROUTED}),
}
"""An un-routed connection only ever gets what /public has."""

_PERIOD_S = {Kind.KLINE: 0.25, Kind.MARK: 3.0, Kind.TRADE: 0.1, Kind.DAY: 2.0, Kind.BOOK: 0.0, Kind.DEPTH: 0.25}


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """``symbol`` None: all symbols in one message. ``detail``: the interval, or the number of levels."""

    name: str
    kind: Kind
    symbol: str | None
    detail: str
    period_s: float


def stream_of(name: str, symbols: Collection[str]) -> Stream | None:
    """None for a name that never brings anything: unknown kind or symbol, or capital letters."""
    if name in ("!markPrice@arr", "!markPrice@arr@1s"):
        period_s = 1.0 if name.endswith("@1s") else 3.0
        return Stream(name=name, kind=Kind.MARK, symbol=None, detail="", period_s=period_s)
    head, _, tail = name.partition("@")
    symbol = head.upper()
    if head != head.lower() or symbol not in symbols:
        return None
    kind, detail, period_s = _kind_of(tail)
    if kind is None:
        return None
    return Stream(name=name, kind=kind, symbol=symbol, detail=detail, period_s=period_s or _PERIOD_S[kind])


def _kind_of(tail: str) -> tuple[Kind | None, str, float]:
    """Kind, detail, and a period other than the usual one."""
    if tail in (Kind.TRADE, Kind.DAY, Kind.BOOK):
        return Kind(tail), "", 0.0
    if (found := _KLINE.fullmatch(tail)) and found[1] in INTERVALS_MS:
        return Kind.KLINE, found[1], 0.0
    if found := _MARK.fullmatch(tail):
        return Kind.MARK, "", 1.0 if found[1] else 0.0
    if found := _DEPTH.fullmatch(tail):
        return Kind.DEPTH, found[1] or "20", 0.1 if found[2] == "@100ms" else 0.0
    return None, "", 0.0
