"""Why nothing may be entered now, for the whole account or for one symbol; what is open is managed all the same.

Nothing here is remembered across a start: each reason is found out again by whoever gave it, and goes when it is over.
"""

from __future__ import annotations

FILES_UNUSABLE = "FILES_UNUSABLE"
UNSUPPORTED_ACCOUNT = "UNSUPPORTED_ACCOUNT"
STOPS_UNPROVED = "STOPS_UNPROVED"
SYMBOL_DISABLED = "SYMBOL_DISABLED"
SYMBOL_NOT_LISTED = "SYMBOL_NOT_LISTED"
SYMBOL_UNKNOWN = "SYMBOL_UNKNOWN"
SYMBOL_NOT_TRADING = "SYMBOL_NOT_TRADING"
BRACKETS_UNKNOWN = "BRACKETS_UNKNOWN"
MARGIN_ASSET = "MARGIN_ASSET"
CANDLES_DIFFER = "CANDLES_DIFFER"
RULES_STALE = "SYMBOL_RULES_STALE"
RULES_CHANGED = "SYMBOL_RULES_CHANGED"

ALL = ""
"""Stands for every symbol."""


class EntryBlocks:
    """Reasons by symbol; ``ALL`` holds for all of them. The first that was given is the one that is told."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[str, str]] = {}

    def set(self, symbol: str, reason: str, detail: str = "") -> bool:
        """Block entries. True when this is news: the reason did not hold before, or in other words."""
        held = self._reasons.setdefault(symbol, {})
        is_news = held.get(reason) != detail
        held[reason] = detail
        return is_news

    def clear(self, symbol: str, reason: str) -> bool:
        """The reason is over. True when it held."""
        return self._reasons.get(symbol, {}).pop(reason, None) is not None

    def of(self, symbol: str) -> str:
        """Why nothing may be entered in this symbol; empty when it may."""
        for held in (self._reasons.get(ALL), self._reasons.get(symbol)):
            for reason, detail in (held or {}).items():
                return f"{reason} {detail}".rstrip()
        return ""

    def holds(self, symbol: str, reason: str) -> bool:
        return reason in self._reasons.get(symbol, {})

    def of_symbol(self, symbol: str) -> bool:
        """Whether the symbol has a reason of its own."""
        return bool(self._reasons.get(symbol))

    def told(self) -> list[str]:
        """Everything that holds, in words."""
        return [
            f"nothing is entered in {symbol or 'any symbol'}: {', '.join(reasons)}"
            for symbol, reasons in sorted(self.all().items())
        ]

    def all(self) -> dict[str, list[str]]:
        """Everything that holds, by symbol, for readers."""
        return {
            symbol: [f"{reason} {detail}".rstrip() for reason, detail in held.items()]
            for symbol, held in self._reasons.items()
            if held
        }
