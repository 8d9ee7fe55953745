"""The port: what the engine's shell asks of any exchange, real or simulated.

Writes return an Outcome and never raise for what the exchange answered; reads return values and raise
an ExchangeError. An implementation that raises anything else has a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Protocol

from exchange.day_volumes import DayVolumes
from exchange.events import Sink
from exchange.filters import SymbolFilters
from exchange.types import (
    Account,
    AccountModes,
    AlgoOrder,
    AlgoRequest,
    Book,
    Bracket,
    Fill,
    Income,
    LookRequest,
    MarginType,
    MarkPrice,
    Order,
    OrderRequest,
    Outcome,
    Pause,
    Position,
    Room,
    SymbolConfig,
    SymbolSnapshot,
)
from indicators.candle import Candle, Timeframe


class EventStream(Protocol):
    """Tells the sink that it was made with what changed, sooner than a look would: a reason to look, never a fact.

    The bot works without one. Whatever may have been missed is told as Resync.
    """

    received_count: int
    """Events of the present connection."""

    async def run(self) -> None:
        """Listen for ever, over as many connections as it takes."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it hears now."""
        ...

    def expect(self, client_id: str) -> None:
        """The exchange confirmed an order of this id: an event about it must come, or the stream is deaf."""
        ...


Listen = Callable[[Sink], EventStream]
"""Makes the event stream of one run, once it is known who is to be told."""


class Exchange(Protocol):
    """USDT-M futures in one-way mode."""

    # --- writes -------------------------------------------------------------------------------
    async def place_order(self, request: OrderRequest) -> Outcome: ...
    async def place_algo(self, request: AlgoRequest) -> Outcome: ...
    async def cancel_order(self, symbol: str, client_id: str) -> Outcome: ...
    async def cancel_algo(self, symbol: str, client_id: str) -> Outcome: ...
    async def cancel_all(self, symbol: str) -> Outcome:
        """Cancel every regular and every conditional order of the symbol: both families, always."""
        ...

    async def ensure_margin_type(self, symbol: str, margin_type: MarginType) -> Outcome:
        """Read, then write only if different."""
        ...

    async def ensure_leverage(self, symbol: str, leverage: int) -> Outcome:
        """Read, then write only if different."""
        ...

    # --- what goes first, and what went -------------------------------------------------------
    def set_naked(self, symbol: str, naked: bool) -> None:
        """This symbol's position has no confirmed stop: its stop or close leaves before everything else."""
        ...

    def has_left(self, client_id: str) -> bool:
        """Whether an order of this id may have reached the exchange from here; False: it was never sent.

        Ask it about a call that was cancelled: one that still waited for its turn did not leave.
        """
        ...

    def pause(self) -> Pause | None:
        """What holds requests up now, by the exchange's own word; None: nothing does."""
        ...

    def room(self) -> Room:
        """What may still leave now for what protects, by the exchange's limits as they were told or counted."""
        ...

    def tell_unreadable(self, told: Callable[[str, str], None]) -> None:
        """Who hears from now on of each row of the account's lists that cannot be read: its symbol (empty where not
        even that is legible), and what is wrong with it."""
        ...

    # --- reads --------------------------------------------------------------------------------
    async def server_time_ms(self) -> int: ...
    async def filters(self) -> dict[str, SymbolFilters]: ...
    async def brackets(self, symbol: str) -> tuple[Bracket, ...]: ...
    async def commission_rates(self, symbol: str) -> tuple[Decimal, Decimal]:
        """(maker, taker) as fractions of notional."""
        ...

    async def candles(
        self, symbol: str, timeframe: Timeframe, *, start_ms: int | None = None, limit: int = 500
    ) -> list[Candle]:
        """Closed candles only, ascending, with confirmed holes between them. Raises CandlesMissing for others."""
        ...

    async def funding_rates(self, symbol: str, *, start_ms: int) -> list[tuple[int, float]]:
        """(settled at, fraction of notional) since then, ascending; stamps may lie some milliseconds late."""
        ...

    async def mark_price(self, symbol: str) -> MarkPrice: ...
    async def mark_prices(self, symbols: Collection[str]) -> dict[str, MarkPrice]:
        """The prices of several symbols at one moment; one that the exchange does not list is left out."""
        ...

    async def day_volumes(self) -> DayVolumes:
        """What was traded of every symbol within 24 hours. Raises MalformedReply for what is no list of that."""
        ...

    async def book(self, symbol: str) -> Book:
        """What rests in the market, as deep as an entry of usual size could reach."""
        ...

    async def account(self) -> Account: ...
    async def positions(self, symbol: str | None = None) -> list[Position]: ...
    async def open_orders(self, symbol: str | None = None) -> list[Order]: ...
    async def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]: ...
    async def order(self, symbol: str, client_id: str) -> Order | None:
        """None = not found, which is evidence and not proof."""
        ...

    async def algo(self, symbol: str, client_id: str) -> AlgoOrder | None: ...
    async def fills(
        self, symbol: str, *, after_fill_id: int | None = None, start_ms: int | None = None
    ) -> list[Fill]: ...
    async def past_orders(self, symbol: str, *, start_ms: int) -> list[Order]:
        """Every regular order since then, open or ended, also those that a conditional one became (under its id).

        Orders that ended unfilled are forgotten after some days.
        """
        ...

    async def income(self, *, start_ms: int, end_ms: int | None = None, symbol: str | None = None) -> list[Income]: ...
    async def symbol_config(self, symbol: str) -> SymbolConfig: ...
    async def account_modes(self) -> AccountModes:
        """How the account is set up; what is not supported is refused by whoever starts."""
        ...

    async def look(self, symbol: str, request: LookRequest) -> SymbolSnapshot:
        """One look at a symbol: position, both order families, tracked orders, new fills, prices."""
        ...
