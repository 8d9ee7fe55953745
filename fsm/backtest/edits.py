"""Lets a backtest take up edited files on the way: new rules decide at the next close, a trade keeps its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from fsm.backtest.history import History
from fsm.backtest.injecting import Edit

Take = Callable[[Edit], tuple[str, dict[str, History]]]
"""Puts the files in force; gives the hash of the rules and what they say of each symbol's candles."""


class Edits:
    """Each edit at the first instant that is not before it; a symbol with an open trade follows when that has ended."""

    def __init__(self, edits: Sequence[Edit], rules_hash: str, take: Take, is_free: Callable[[str], bool]) -> None:
        self._waiting = deque(edits)
        self._take = take
        self._is_free = is_free
        self._histories: dict[str, History] = {}
        self.rules_hash = rules_hash

    def come(self, now_ms: int) -> None:
        while self._waiting and self._waiting[0].at_ms <= now_ms:
            self.rules_hash, self._histories = self._take(self._waiting.popleft())

    def settle(self, histories: dict[str, History]) -> None:
        """Symbols without a trade are read by the rules in force."""
        for symbol in [symbol for symbol in self._histories if self._is_free(symbol)]:
            histories[symbol] = self._histories.pop(symbol)
