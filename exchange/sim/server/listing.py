"""What the exchange tells of its symbols, and how that changes: gone, illegible, without brackets, with other rules."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from exchange.errors import Refusal
from exchange.filters import SymbolFilters
from exchange.sim.playback.symbols import Row, filters_of, symbol_rows


class Told(StrEnum):
    """How a symbol is told of. ``GONE``: no call knows it. ``UNREADABLE``: its row of exchangeInfo makes no sense."""

    LISTED = "listed"
    GONE = "gone"
    UNREADABLE = "unreadable"
    UNBRACKETED = "unbracketed"


class Listing:
    """Starts with everything as it was recorded."""

    def __init__(self, exchange_info: Row) -> None:
        self._info = exchange_info
        self._told: dict[str, Told] = {}
        self._changed: dict[str, Row] = {}
        self.funding_hours: dict[str, int] = {}

    def tell(self, symbol: str, how: Told) -> None:
        self._told[symbol] = how

    def check(self, symbol: str) -> None:
        """Raises Refusal where no call knows the symbol any more."""
        if self._told.get(symbol) is Told.GONE:
            raise Refusal(-1121, "Invalid symbol.")

    def has(self, symbol: str) -> bool:
        return self._told.get(symbol) is not Told.GONE

    def check_brackets(self, symbol: str) -> None:
        if self._told.get(symbol) is Told.UNBRACKETED:
            raise Refusal(-1121, "Invalid symbol.")

    def change(self, symbol: str, values: Mapping[str, Mapping[str, str]], **fields: str | None) -> SymbolFilters:
        """Other values of filters by their type, or of fields such as status; returns what is in force then."""
        row = dict(self._row(symbol))
        listed: list[dict[str, object]] = msgspec.convert(row["filters"], list[dict[str, object]])
        row["filters"] = [{**rule, **values.get(str(rule["filterType"]), {})} for rule in listed]
        row.update({name: value for name, value in fields.items() if value is not None})
        found = filters_of({"symbols": [row]})
        if symbol not in found:
            raise ValueError(f"{symbol}: no rules could be made of these values")
        self._changed[symbol] = row
        return found[symbol]

    def rows(self, symbols: Mapping[str, object]) -> list[Row]:
        """The rows of exchangeInfo for these symbols."""
        found = [self._row(str(row["symbol"])) for row in symbol_rows(self._info) if row["symbol"] in symbols]
        return [self._as_told(row) for row in found if self.has(str(row["symbol"]))]

    def _row(self, symbol: str) -> Row:
        if symbol in self._changed:
            return self._changed[symbol]
        return next(row for row in symbol_rows(self._info) if row["symbol"] == symbol)

    def _as_told(self, row: Row) -> Row:
        if self._told.get(str(row["symbol"])) is not Told.UNREADABLE:
            return row
        return {**row, "filters": [{"filterType": "PRICE_FILTER", "tickSize": "?"}]}
