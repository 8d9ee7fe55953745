"""Tells by the name of a file what it holds: Binance's archives, freqtrade's files, our own, and plain ones.

Binance names archives of last and of mark prices alike (BTCUSDT-1h-2024-01.zip, in folders klines and markPriceKlines;
public archive, checked 2026-11), so the folders count, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from exchange.candle_columns import CandleFileError
from exchange.candle_store.series import Kind
from indicators.candle import Timeframe

SUFFIXES = (".csv.gz", ".json.gz", ".csv", ".zip", ".json", ".feather", ".parquet")

_LENGTH = "(" + "|".join(Timeframe) + ")"
_DATES = r"(?:[-_]\d{4}-\d{2}(?:-\d{2})?(?:_\S*)?)?"
_OURS = re.compile(rf"([^\W_]+(?:_\d{{6}})?)-(?:(mark)-)?{_LENGTH}{_DATES}")
_FUNDING = re.compile(rf"([^\W_]+(?:_\d{{6}})?)-(?:fundingRate|funding){_DATES}")
_FREQTRADE = re.compile(
    rf"([^\W_]+)_([^\W_]+)(?:_[^\W_]+)?-{_LENGTH}(?:-(futures|mark|funding_rate|spot|index|premiumIndex))?"
)
_QUOTES = "USDT|USDC|BUSD|FDUSD|USD1|BTC"
_PLAIN = re.compile(rf"(?:binance[-_ ])?([^\W_]+?)[-_]?({_QUOTES})(_\d{{6}})?((?:[-_ .].*)?)", re.IGNORECASE)
"""Whatever else a name says, it begins with a pair: AVAXUSDT, AVAX-USDT, Binance_AVAXUSDT."""

_LENGTH_WITHIN = re.compile(rf"(?:^|[-_ .]){_LENGTH}(?=$|[-_ .])")
_OTHERS = {
    "indexPriceKlines": "the index",
    "premiumIndexKlines": "the premium",
    "premiumIndex": "the premium",
    "index": "the index",
}
_UNREAD = ("aggTrades", "trades", "bookDepth", "bookTicker", "metrics", "liquidationSnapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name and its folders say, or what whoever imports it says; None where nobody says it."""

    symbol: str | None = None
    kind: Kind | None = None
    timeframe: Timeframe | None = None


def named_by(path: Path) -> Named:
    """What a path says of its file. Raises CandleFileError for what is not read here."""
    stem = _stem(path)
    folders = set(path.parts[:-1])
    for folder, what in _OTHERS.items():
        if folder in folders:
            raise CandleFileError(f"{path}:1: candles of {what} are not used by anything here; leave this folder out")
    if any(f"-{word}-" in f"{stem}-" for word in _UNREAD):
        raise CandleFileError(f"{path}:1: only klines, markPriceKlines and fundingRate are read; leave this file out")
    if found := _FUNDING.fullmatch(stem):
        return Named(symbol=found[1].upper(), kind=Kind.FUNDING)
    if found := _FREQTRADE.fullmatch(stem):
        return _of_freqtrade(path, found)
    mark = "markPriceKlines" in folders or path.parent.name == "mark"
    if found := _OURS.fullmatch(stem):
        kind = Kind.MARK if mark or found[2] else Kind.LAST if "klines" in folders else None
        return Named(symbol=found[1].upper(), kind=kind, timeframe=Timeframe(found[3]))
    if found := _PLAIN.fullmatch(stem):
        length = _LENGTH_WITHIN.search(found[4])
        return Named(
            symbol=f"{found[1]}{found[2]}{found[3] or ''}".upper(),
            kind=Kind.MARK if mark else None,
            timeframe=None if length is None else Timeframe(length[1]),
        )
    return Named()


def _of_freqtrade(path: Path, found: re.Match[str]) -> Named:
    base, quote, length, what = found.groups()
    if what in _OTHERS:
        raise CandleFileError(
            f"{path}:1: candles of {_OTHERS[what]} are not used by anything here; leave this file out"
        )
    symbol = f"{base}{quote}"
    if what == "funding_rate":
        return Named(symbol=symbol, kind=Kind.FUNDING)
    kind = Kind.MARK if what == "mark" else Kind.LAST
    return Named(symbol=symbol, kind=kind, timeframe=Timeframe(length))


def _stem(path: Path) -> str:
    return next((path.name[: -len(suffix)] for suffix in SUFFIXES if path.name.lower().endswith(suffix)), path.stem)
