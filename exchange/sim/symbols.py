"""The rules of the shipped symbols: filters and leverage brackets, read from this package's own data."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from exchange.binance import codec_market, fields
from exchange.filters import SymbolFilters
from exchange.types import Bracket


def shipped_folder() -> Path:
    """The folder of shipped candles, for CandleFolders."""
    return Path(str(resources.files("exchange.sim") / "data"))


def shipped_exchange_info() -> fields.Row:
    """The shipped snapshot in the shape of GET /fapi/v1/exchangeInfo."""
    return fields.row(_read("symbols.json"), "symbols.json")


def shipped_filters() -> dict[str, SymbolFilters]:
    """Filters by symbol."""
    return codec_market.exchange_info(_read("symbols.json")).filters


def shipped_brackets() -> dict[str, tuple[Bracket, ...]]:
    """Leverage brackets by symbol, lowest notional first."""
    payload = _read("brackets.json")
    names = [fields.text(row, "symbol", "brackets.json") for row in fields.rows(payload, "brackets.json")]
    return {name: codec_market.brackets(payload, name) for name in names}


def _read(name: str) -> object:
    return fields.decode((shipped_folder() / name).read_bytes(), name)
